/** What the debug switches show of the pipeline: times, texts on stderr, numbered files in a folder. */
import { type DebugSwitches, debugSwitches } from "./debug.ts";

type TextSwitch = "ir" | "loops" | "fused" | "plan" | "wgsl";

export interface Reporter {
  /** Runs a stage; shows its time and text if the switches ask for them. */
  stage<T>(name: string, text: TextSwitch, run: () => T, print: (result: T) => string): T;
}

/** Something that the host was busy with, on the clock of `performance.now()`, in ms. */
export interface HostPhase {
  readonly name: string;
  readonly start: number;
  readonly duration: number;
}

let observer: ((phase: HostPhase) => void) | null = null;

/** Tells `next` of every phase from now on; null ends it. */
export function observePhases(next: ((phase: HostPhase) => void) | null): void {
  observer = next;
}

/** When a phase begins, for `endPhase`; nothing is measured while nobody observes. */
export function beginPhase(): number {
  return observer === null ? 0 : performance.now();
}

export function endPhase(name: string, start: number): void {
  if (observer !== null && start > 0) observer({ name, start, duration: performance.now() - start });
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
      observer?.({ name, start: started, duration: ms });
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
