/**
 * The debug switches: `FAX_DEBUG=times,check=passes,dump=out`. Every switch is a row of `debugSwitchTable`, and of the
 * table in docs/debugging.md.
 */
import { FaxError } from "./diagnostic.ts";

/** When the IR checker runs: never, on what enters and leaves the pipeline, or after every pass. */
export type CheckLevel = "none" | "ends" | "passes";

export interface DebugSwitches {
  readonly times: boolean;
  readonly ir: boolean;
  readonly loops: boolean;
  readonly fused: boolean;
  readonly plan: boolean;
  readonly wgsl: boolean;
  /** A folder for the IR after every pass, numbered. */
  readonly dump: string | null;
  readonly check: CheckLevel;
  readonly opByOp: boolean;
  readonly reference: boolean;
}

interface SwitchRow {
  readonly name: string;
  /** What stands after `=`; null for a switch that is on or off. */
  readonly value: string | null;
  readonly doc: string;
}

/** Every switch with what it does, in the order of the pipeline. */
export const debugSwitchTable = [
  { name: "times", value: null, doc: "the time of every pass, and of every call's compilation" },
  { name: "ir", value: null, doc: "the Jaxpr before and after every pass" },
  { name: "loops", value: null, doc: "the loop IR" },
  { name: "fused", value: null, doc: "every kernel, and each fusion decision with its reason" },
  { name: "plan", value: null, doc: "the memory plan: which buffer holds what, and the peak in bytes" },
  { name: "wgsl", value: null, doc: "the text of every kernel" },
  { name: "dump", value: "DIR", doc: "writes all of the above into DIR, one numbered file per pass" },
  {
    name: "check",
    value: "none|ends|passes",
    doc: "when the IR checker runs: never, on what enters and leaves the pipeline (as without the switch), or after every pass",
  },
  { name: "op-by-op", value: null, doc: "jit compiles nothing: every operation runs by itself" },
  { name: "reference", value: null, doc: "everything runs on the reference evaluator" },
] as const satisfies readonly SwitchRow[];

type SwitchName = (typeof debugSwitchTable)[number]["name"];

const checkLevels: readonly string[] = ["none", "ends", "passes"] satisfies readonly CheckLevel[];

function isCheckLevel(text: string): text is CheckLevel {
  return checkLevels.includes(text);
}

/** Reads a list such as `times,check=passes`; spaces and empty entries are ignored. FAX3006 on what is no switch. */
export function parseDebugSwitches(text: string): DebugSwitches {
  const given = new Map<SwitchName, string>();
  for (const entry of text.split(",").map((part) => part.trim())) {
    if (entry === "") continue;
    const [name, ...rest] = entry.split("=");
    const value = rest.join("=");
    const row = debugSwitchTable.find((candidate) => candidate.name === name);
    if (row === undefined) throw unknownSwitch(`${name} is no switch`);
    if (row.value === null && rest.length > 0) throw unknownSwitch(`${name} takes no value, but got ${value}`);
    if (row.value !== null && value === "") throw unknownSwitch(`${name} needs a value, as in ${name}=${row.value}`);
    given.set(row.name, value);
  }
  const check = given.get("check") ?? "ends";
  if (!isCheckLevel(check)) throw unknownSwitch(`check=${check} is no level of checking`);
  return {
    times: given.has("times"),
    ir: given.has("ir"),
    loops: given.has("loops"),
    fused: given.has("fused"),
    plan: given.has("plan"),
    wgsl: given.has("wgsl"),
    dump: given.get("dump") ?? null,
    check,
    opByOp: given.has("op-by-op"),
    reference: given.has("reference"),
  };
}

function unknownSwitch(fact: string): FaxError {
  const names = debugSwitchTable.map(({ name, value }) => (value === null ? name : `${name}=${value}`));
  return new FaxError({
    code: "FAX3006",
    message: `FAX_DEBUG: ${fact}`,
    help: `a list, separated by commas, of ${names.join(", ")}`,
  });
}

let read: { readonly text: string; readonly switches: DebugSwitches } | null = null;

/** The switches of the environment variable `FAX_DEBUG`, as it is now. */
export function debugSwitches(): DebugSwitches {
  // A browser has no process.
  const text = (globalThis as { process?: NodeJS.Process }).process?.env["FAX_DEBUG"] ?? "";
  if (read?.text !== text) read = { text, switches: parseDebugSwitches(text) };
  return read.switches;
}
