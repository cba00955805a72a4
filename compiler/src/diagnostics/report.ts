/** What the debug switches show of the pipeline: times, texts on stderr, numbered files in a folder. */
import { type DebugSwitches, debugSwitches } from "./debug.ts";

type TextSwitch = "ir" | "loops" | "fused" | "plan" | "wgsl";

export interface Reporter {
  /** Runs a stage; shows its time and text if the switches ask for them. */
  stage<T>(name: string, text: TextSwitch, run: () => T, print: (result: T) => string): T;
}

interface FileSystem {
  mkdirSync(path: string, options: { recursive: true }): void;
  writeFileSync(path: string, text: string): void;
}

const nodeProcess = (globalThis as { process?: NodeJS.Process }).process;
let nextFile = 0;

/** The reporter that the switches ask for now. */
export function reporter(): Reporter {
  const switches = debugSwitches();
  return {
    stage(name, text, run, print) {
      const started = performance.now();
      const result = run();
      const ms = performance.now() - started;
      show(name, text, switches, ms, () => print(result));
      return result;
    },
  };
}

function show(name: string, text: TextSwitch, switches: DebugSwitches, ms: number, print: () => string): void {
  if (switches.times) write(`${name.padEnd(10)} ${ms.toFixed(2)} ms\n`);
  if (switches[text]) write(`── ${name} ──\n${print().trimEnd()}\n`);
  if (switches.dump === null) return;
  const files = nodeProcess?.getBuiltinModule?.("node:fs") as FileSystem | undefined;
  if (files === undefined) return;
  files.mkdirSync(switches.dump, { recursive: true });
  const number = String(nextFile++).padStart(4, "0");
  files.writeFileSync(
    `${switches.dump}/${number}-${name}.${text === "ir" ? "jaxpr" : "txt"}`,
    `${print().trimEnd()}\n`,
  );
}

function write(line: string): void {
  if (nodeProcess?.stderr) nodeProcess.stderr.write(line);
  else console.error(line);
}
