/** The command line: which commands and options there are, their help, and what each exit code means. */
import { stages } from "@fax/compiler";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { CheckOptions } from "./check.ts";
import type { CompileOptions } from "./compile.ts";
import type { DoctorOptions } from "./doctor.ts";
import type { InspectOptions } from "./inspect.ts";
import { devices, type RunOptions } from "./run.ts";
import type { TuneCommandOptions } from "./tune.ts";
import type { Terminal } from "./terminal.ts";

/** 0: success. 1: the user's program is at fault (or, by accident, fax). 2: wrong usage. */
export type ExitCode = 0 | 1 | 2;

/** What the commands do. */
export interface Actions {
  run(file: string, options: RunOptions): Promise<ExitCode>;
  inspect(file: string, options: InspectOptions): Promise<ExitCode>;
  compile(file: string, options: CompileOptions): Promise<ExitCode>;
  check(file: string, options: CheckOptions): Promise<ExitCode>;
  tune(file: string, options: TuneCommandOptions): Promise<ExitCode>;
  doctor(options: DoctorOptions): Promise<ExitCode>;
}

/** Parses `args` (without node and the script) and carries out the command that they name. */
export async function runCommandLine(
  args: readonly string[],
  actions: Actions,
  terminal: Terminal,
  version: string,
): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const does = (code: Promise<ExitCode>): Promise<void> => code.then((result) => void (exitCode = result));
  const program = commands(does, actions, terminal, version);
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // commander ends with 0 after --help and --version, and with 1 on what it does not understand.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

function commands(
  does: (code: Promise<ExitCode>) => Promise<void>,
  actions: Actions,
  terminal: Terminal,
  version: string,
): Command {
  const program = new Command("fax")
    .description(
      "Trains federated models that are written in TypeScript, on your GPU, and shows what the compiler did.",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help");
  inheritable(program, terminal);
  program.addHelpText(
    "after",
    examples(terminal, {
      "fax run examples/fedavg-mnist.fax.ts": "train, and print a line per round",
      "fax inspect examples/parallel-loss.fax.ts --stage grad": "the derivative, as a federated program",
      "fax doctor": "what would run here",
    }),
  );
  program.addHelpText("after", "\nExit codes: 0 success, 1 your program is at fault, 2 wrong usage.");

  const json = (): Option => new Option("--json", "print one JSON document on stdout, and nothing else there");
  const entry = (): Option =>
    new Option("--entry <name>", "the exported program (default: the default export, or the only program)");
  const device = (): Option =>
    new Option("--device <device>", "where to run: auto takes the best there is").choices([...devices]);

  program
    .command("run")
    .description("Run the experiment that a module exports as its default.")
    .argument("<file>", "a module, as in fedavg.fax.ts")
    .option("--rounds <n>", "how many rounds (default: the experiment's)", wholeNumber(1))
    .option("--clients <n>", "how many clients (default: the program's)", wholeNumber(1))
    .option("--seed <n>", "the seed of all randomness (default: the experiment's)", wholeNumber(0))
    .addOption(device())
    .option("--memory-limit <bytes>", memoryLimitHelp, byteCount)
    .option("--profile <file>", "write what host and device were busy with, for chrome://tracing or ui.perfetto.dev")
    .addOption(json())
    .addHelpText(
      "after",
      examples(terminal, {
        "fax run fedavg.fax.ts": "all rounds",
        "fax run fedavg.fax.ts --rounds 3 --clients 10 --seed 7": "a short try",
        "fax run fedavg.fax.ts --rounds 3 --profile trace.json": "a trace of three rounds",
        "fax run fedavg.fax.ts --json > result.json": "{ device, rounds: [{ round, ms, metrics }], final }",
      }),
    )
    .addHelpText("after", "\nCtrl-C ends after the current round, with exit code 0; a second Ctrl-C ends at once.")
    .action((file: string, options: RunOptions) => does(actions.run(file, options)));

  program
    .command("inspect")
    .description("Print a program as it is at one stage of the compiler.")
    .argument("<file>", "a module, or a program.jaxpr that fax compile wrote")
    .addOption(entry())
    .addOption(new Option("--stage <stage>", "which stage").choices([...stages]).default("trace"))
    .option("--wrt <i>", "the argument that jvp, linearize, transpose and grad differentiate by", wholeNumber(0), 0)
    .option("--memory-limit <bytes>", `with --stage fused, memory and wgsl: ${memoryLimitHelp}`, byteCount)
    .option("--explain", "with --stage fused: costs, schedules, readers of what is stored, what fusion saved")
    .addOption(
      new Option("--device <device>", "the adapter to compile for (default: what every WebGPU device has)").choices([
        ...devices,
      ]),
    )
    .option("--sources", "end each line of IR with the place in your source that it stems from")
    .addOption(json())
    .addHelpText(
      "after",
      examples(terminal, {
        "fax inspect loss.fax.ts": "the traced program",
        "fax inspect loss.fax.ts --stage grad --wrt 1": "its gradient by argument 1",
        "fax inspect loss.fax.ts --entry loss --stage wgsl": "its kernels",
        "fax inspect loss.fax.ts --stage wgsl --device auto": "as they run here",
      }),
    )
    .action((file: string, options: InspectOptions) => does(actions.inspect(file, options)));

  program
    .command("compile")
    .description("Write a compiled program into a folder: manifest.json, program.jaxpr and kernels/*.wgsl.")
    .argument("<file>", "a module")
    .requiredOption("-o, --output <dir>", "the folder, made if need be")
    .addOption(entry())
    .addOption(json())
    .addHelpText(
      "after",
      examples(terminal, {
        "fax compile loss.fax.ts -o out": "the only program of the module",
        "fax compile loss.fax.ts -o out --entry loss": "the program that is exported as loss",
      }),
    )
    .action((file: string, options: CompileOptions) => does(actions.compile(file, options)));

  program
    .command("check")
    .description("Find type errors, and errors of tracing every exported program, without a device.")
    .argument("<file>", "a module")
    .addOption(json())
    .addHelpText("after", examples(terminal, { "fax check fedavg.fax.ts": "prints every error with its line" }))
    .action((file: string, options: CheckOptions) => does(actions.check(file, options)));

  program
    .command("tune")
    .description("Measure how the kernels of a module's programs run fastest here, and keep that for later runs.")
    .argument("<file>", "a module")
    .addOption(entry().default(undefined, "all programs"))
    .option("--clients <n>", "how many clients (default: the program's, or the experiment's)", wholeNumber(1))
    .addOption(device())
    .option("--budget <seconds>", "how long to measure", wholeNumber(1), 60)
    .option("--candidates <n>", "how many schedules of a kernel to try", wholeNumber(1), 16)
    .addOption(json())
    .addHelpText(
      "after",
      examples(terminal, {
        "fax tune fedavg.fax.ts": "a table of the kernels, with what was gained",
        "fax tune fedavg.fax.ts --budget 10": "the kernels that take the longest, for ten seconds",
        "fax tune fedavg.fax.ts --json": "{ device, kernels: [{ kernel, estimated, best, … }], file }",
      }),
    )
    .addHelpText("after", "\nFAX_CACHE=off leaves out what was kept; FAX_CACHE=DIR keeps it elsewhere.")
    .action((file: string, options: TuneCommandOptions) => does(actions.tune(file, options)));

  program
    .command("doctor")
    .description("Say which adapters there are, which would be used and why, and what to install.")
    .addOption(json())
    .addHelpText("after", examples(terminal, { "fax doctor": "a page to attach to a report" }))
    .action((options: DoctorOptions) => does(actions.doctor(options)));

  return program;
}

/** Settings that commander hands on to the commands that are added afterwards. */
function inheritable(program: Command, terminal: Terminal): void {
  const { stdout: style, stderr: errorStyle } = terminal.style;
  program
    .exitOverride()
    .helpCommand("help [command]", "print the help of a command")
    .configureHelp({
      styleTitle: (text) => style("strong", text),
      styleCommandText: (text) => style("primitive", text),
      styleSubcommandText: (text) => style("primitive", text),
      styleOptionText: (text) => style("type", text),
      styleArgumentText: (text) => style("literal", text),
    })
    .configureOutput({
      writeOut: (text) => terminal.stdout(text),
      writeErr: (text) => terminal.stderr(text),
      getErrHelpWidth: () => terminal.columns ?? 100,
      getOutHelpWidth: () => terminal.columns ?? 100,
      outputError: (text, write) => write(text.replace(/^error:/, errorStyle("error", "usage:"))),
    })
    .showHelpAfterError(errorStyle("muted", "(fax help COMMAND prints what there is)"));
}

function examples({ style }: Terminal, list: Readonly<Record<string, string>>): string {
  const entries = Object.entries(list);
  const width = Math.max(...entries.map(([command]) => command.length));
  const lines = entries.map(([command, does]) => `  ${command.padEnd(width)}  ${style.stdout("muted", does)}`);
  return `\n${style.stdout("strong", "Examples:")}\n${lines.join("\n")}`;
}

const byteUnits = { "": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
const memoryLimitHelp = "what a call may take besides its arguments, as in 64MiB: what does not fit is computed again";

function byteCount(text: string): number {
  const [, digits = "", unit = ""] = /^(\d+)(|KiB|MiB|GiB)$/.exec(text) ?? [];
  const bytes = Number(digits) * byteUnits[unit as keyof typeof byteUnits];
  if (digits === "" || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError("It must be a number of bytes, or of KiB, MiB or GiB, as in 64MiB.");
  }
  return bytes;
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
    }
    return value;
  };
}
