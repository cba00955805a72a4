/** `fax inspect`: a program at one stage of the compiler. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { checkJaxpr, findPrimitive, inspectStage, type Jaxpr, parseJaxpr, type Stage } from "@fax/compiler";
import { FaxError, type Style } from "@fax/compiler/diagnostics";
import { compilationTarget, setDevice } from "@fax/core";
import type { ExitCode } from "./command-line.ts";
import { entryOf, traceEntry } from "./entries.ts";
import { loadModule, missingFile } from "./load-module.ts";
import { readFile } from "./report-error.ts";
import type { devices } from "./run.ts";
import type { Terminal } from "./terminal.ts";

/** The stages that `--wrt` says something to. */
const derivatives: readonly Stage[] = ["jvp", "linearize", "transpose", "grad"];

export interface InspectOptions {
  readonly entry?: string;
  readonly stage: Stage;
  /** Which argument the derivatives are taken by. */
  readonly wrt: number;
  readonly sources?: boolean;
  /** Bytes that a call may take besides its arguments. */
  readonly memoryLimit?: number;
  /** What each kernel costs, and who reads what it stores. */
  readonly explain?: boolean;
  /** For which adapter; without, for what every WebGPU device has. */
  readonly device?: (typeof devices)[number];
  readonly json?: boolean;
}

/** What `--json` prints. */
export interface InspectDocument {
  readonly program: string;
  readonly stage: Stage;
  readonly wrt: number;
  readonly text: string;
}

/** A program as inspection needs it: `args` says which inputs of the Jaxpr each argument gives. */
interface Inspected {
  readonly name: string;
  readonly jaxpr: Jaxpr;
  readonly args: readonly (readonly number[])[];
}

export async function inspect(file: string, options: InspectOptions, terminal: Terminal): Promise<ExitCode> {
  const { stage, wrt, json } = options;
  setDevice(options.device ?? "reference");
  const program = file.endsWith(".jaxpr")
    ? parsedProgram(file, terminal.cwd)
    : await tracedProgram(file, options, terminal);
  const inputs = program.args[wrt] ?? [];
  if (derivatives.includes(stage) && program.args[wrt] === undefined) {
    throw new FaxError({
      code: "FAX1404",
      message: `inspect: --wrt ${wrt} names an argument that ${program.name} does not have; it has ${program.args.length}`,
      help: "arguments count from 0",
    });
  }
  const style: { style?: Style } = json ? {} : { style: terminal.style.stdout };
  const { profile, known } = await compilationTarget();
  const text = inspectStage(program.jaxpr, stage, {
    ...style,
    wrt: inputs,
    profile,
    choose: known.choose,
    memoryLimit: options.memoryLimit,
    sources: options.sources === true,
    explain: options.explain === true,
    cwd: terminal.cwd,
  });
  if (json) {
    const document: InspectDocument = { program: program.name, stage, wrt, text };
    terminal.stdout(`${JSON.stringify(document, null, 2)}\n`);
  } else terminal.stdout(`${text.trimEnd()}\n`);
  return 0;
}

async function tracedProgram(file: string, { entry }: InspectOptions, { cwd }: Terminal): Promise<Inspected> {
  const { name, jaxpr, args } = traceEntry(entryOf(await loadModule(file, { cwd }), entry));
  return { name, jaxpr, args: args.map(({ inputs }) => inputs) };
}

/** Text that a person may have written, so its faults are theirs. Each input counts as an argument. */
function parsedProgram(file: string, cwd: string): Inspected {
  const path = resolve(cwd, file);
  if (readFile(path) === undefined) throw missingFile(path, cwd);
  const jaxpr = parseJaxpr(readFileSync(path, "utf8"), { file: path });
  checkJaxpr(jaxpr, { find: findPrimitive }, { origin: "text", what: file });
  return { name: file, jaxpr, args: jaxpr.invars.map((_, i) => [i]) };
}
