import { plainStyle } from "@fax/compiler/diagnostics";
import { expect, test } from "vitest";
import { type Actions, type ExitCode, runCommandLine } from "./command-line.ts";
import type { Terminal } from "./terminal.ts";

/** Runs the command line with actions that only record how they are called. */
async function fax(
  ...args: readonly string[]
): Promise<{ exitCode: ExitCode; out: string; err: string; calls: unknown[] }> {
  let [out, err] = ["", ""];
  const calls: unknown[] = [];
  const record =
    (name: string, exitCode: ExitCode = 0) =>
    async (...given: readonly unknown[]): Promise<ExitCode> => {
      calls.push([name, ...given]);
      return exitCode;
    };
  const actions: Actions = {
    run: record("run"),
    inspect: record("inspect"),
    compile: record("compile"),
    check: record("check", 1),
    tune: record("tune"),
    doctor: record("doctor"),
  };
  const terminal: Terminal = {
    cwd: "/",
    style: { stdout: plainStyle, stderr: plainStyle },
    columns: null,
    stdout: (text) => void (out += text),
    stderr: (text) => void (err += text),
    onInterrupt: () => () => undefined,
    abort: () => undefined,
  };
  return { exitCode: await runCommandLine(args, actions, terminal, "1.2.3"), out, err, calls };
}

test("options are parsed", async () => {
  const { calls, exitCode } = await fax(
    "run",
    "a.fax.ts",
    "--rounds",
    "3",
    "--clients",
    "10",
    "--seed",
    "0",
    "--device",
    "software",
    "--json",
  );
  expect(exitCode).toBe(0);
  expect(calls).toEqual([["run", "a.fax.ts", { rounds: 3, clients: 10, seed: 0, device: "software", json: true }]]);
  expect((await fax("inspect", "a.fax.ts")).calls).toEqual([["inspect", "a.fax.ts", { stage: "trace", wrt: 0 }]]);
  expect((await fax("compile", "a.fax.ts", "-o", "out", "--entry", "loss")).calls).toEqual([
    ["compile", "a.fax.ts", { output: "out", entry: "loss" }],
  ]);
  expect((await fax("tune", "a.fax.ts", "--budget", "5")).calls).toEqual([
    ["tune", "a.fax.ts", { budget: 5, candidates: 16 }],
  ]);
  expect((await fax("doctor", "--json")).calls).toEqual([["doctor", { json: true }]]);
});

test("a command's exit code is the process's", async () => {
  expect((await fax("check", "a.fax.ts")).exitCode).toBe(1);
});

test.each([
  [["train", "a.fax.ts"], "usage: unknown command 'train'"],
  [["rum", "a.fax.ts"], "(Did you mean run?)"],
  [["run"], "usage: missing required argument 'file'"],
  [["run", "a.fax.ts", "b.fax.ts"], "usage: too many arguments"],
  [["run", "a.fax.ts", "--round", "3"], "(Did you mean --rounds?)"],
  [["run", "a.fax.ts", "--rounds", "0"], "It must be a whole number from 1 on."],
  [["run", "a.fax.ts", "--rounds", "1.5"], "It must be a whole number from 1 on."],
  [["run", "a.fax.ts", "--seed", "-1"], "It must be a whole number from 0 on."],
  [["run", "a.fax.ts", "--device", "tpu"], "Allowed choices are auto, gpu, software, reference."],
  [["inspect", "a.fax.ts", "--stage", "asm"], "Allowed choices are trace, jvp, linearize,"],
  [["compile", "a.fax.ts"], "usage: required option '-o, --output <dir>' not specified"],
])("%j is wrong usage", async (args, message) => {
  const { exitCode, out, err, calls } = await fax(...args);
  expect(exitCode).toBe(2);
  expect(out).toBe("");
  expect(err).toContain(message);
  expect(err).toContain("(fax help COMMAND prints what there is)");
  expect(calls).toEqual([]);
});

test("without a command the help goes to stderr", async () => {
  const { exitCode, out, err } = await fax();
  expect(exitCode).toBe(2);
  expect(out).toBe("");
  expect(err).toContain("Usage: fax [options] [command]");
});

test("help is success, and has examples", async () => {
  const { exitCode, out, err } = await fax("--help");
  expect([exitCode, err]).toEqual([0, ""]);
  expect(out).toMatchInlineSnapshot(`
    "Usage: fax [options] [command]

    Trains federated models that are written in TypeScript, on your GPU, and shows what the compiler
    did.

    Options:
      -V, --version             print the version
      -h, --help                print this help

    Commands:
      run [options] <file>      Run the experiment that a module exports as its default.
      inspect [options] <file>  Print a program as it is at one stage of the compiler.
      compile [options] <file>  Write a compiled program into a folder: manifest.json, program.jaxpr and
                                kernels/*.wgsl.
      check [options] <file>    Find type errors, and errors of tracing every exported program, without
                                a device.
      tune [options] <file>     Measure how the kernels of a module's programs run fastest here, and
                                keep that for later runs.
      doctor [options]          Say which adapters there are, which would be used and why, and what to
                                install.
      help [command]            print the help of a command

    Examples:
      fax run examples/fedavg-mnist.fax.ts                    train, and print a line per round
      fax inspect examples/parallel-loss.fax.ts --stage grad  the derivative, as a federated program
      fax doctor                                              what would run here

    Exit codes: 0 success, 1 your program is at fault, 2 wrong usage.
    "
  `);
  for (const command of ["run", "inspect", "compile", "check", "doctor"]) {
    const help = await fax(command, "--help");
    expect(help.exitCode).toBe(0);
    expect(help.out).toContain(`Examples:\n  fax ${command}`);
  }
  expect((await fax("run", "--help")).out).toMatchInlineSnapshot(`
    "Usage: fax run [options] <file>

    Run the experiment that a module exports as its default.

    Arguments:
      file                    a module, as in fedavg.fax.ts

    Options:
      --rounds <n>            how many rounds (default: the experiment's)
      --clients <n>           how many clients (default: the program's)
      --seed <n>              the seed of all randomness (default: the experiment's)
      --device <device>       where to run: auto takes the best there is (choices: "auto", "gpu",
                              "software", "reference")
      --memory-limit <bytes>  what a call may take besides its arguments, as in 64MiB: what does not fit
                              is computed again
      --profile <file>        write what host and device were busy with, for chrome://tracing or
                              ui.perfetto.dev
      --json                  print one JSON document on stdout, and nothing else there
      -h, --help              print this help

    Examples:
      fax run fedavg.fax.ts                                   all rounds
      fax run fedavg.fax.ts --rounds 3 --clients 10 --seed 7  a short try
      fax run fedavg.fax.ts --rounds 3 --profile trace.json   a trace of three rounds
      fax run fedavg.fax.ts --json > result.json              { device, rounds: [{ round, ms, metrics }], final }

    Ctrl-C ends after the current round, with exit code 0; a second Ctrl-C ends at once.
    "
  `);
});

test("the version", async () => {
  expect(await fax("--version")).toMatchObject({ exitCode: 0, out: "1.2.3\n" });
});
