/** `fax run`: drives the experiment that a module exports as its default. */
import { resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { device, type Experiment, onDeviceOpen, setDevice, type StartOptions } from "@fax/core";
import { FaxError } from "@fax/compiler/diagnostics";
import type { ExitCode } from "./command-line.ts";
import { type LoadedModule, loadModule } from "./load-module.ts";
import { formatDuration, ProgressBar } from "./progress-bar.ts";
import { startProfile } from "./profile.ts";
import type { Terminal } from "./terminal.ts";

export const devices = ["auto", "gpu", "software", "reference"] as const;

export interface RunOptions {
  readonly rounds?: number;
  readonly clients?: number;
  readonly seed?: number;
  /** Bytes that a round may take besides its arguments. */
  readonly memoryLimit?: number;
  readonly device?: (typeof devices)[number];
  readonly json?: boolean;
  /** A file for the trace. */
  readonly profile?: string;
}

type Metrics = Readonly<Record<string, number>>;

interface RoundRecord {
  /** Counted from 1. */
  readonly round: number;
  readonly ms: number;
  readonly metrics: Metrics;
}

/** What `--json` prints. */
export interface RunDocument {
  readonly device: string;
  readonly rounds: readonly RoundRecord[];
  /** The metrics of the last round. */
  readonly final: Metrics;
}

export async function run(file: string, options: RunOptions, terminal: Terminal): Promise<ExitCode> {
  const style = terminal.style.stderr;
  tellDevice(terminal);
  if (options.device !== undefined) setDevice(options.device);
  const experiment = experimentOf(await loadModule(file, { cwd: terminal.cwd }));
  const info = await device();
  const { name } = info;
  const profile =
    options.profile === undefined ? null : await startProfile(resolve(terminal.cwd, options.profile), info);
  const { rounds, stopped } = await drive(experiment, options, terminal);
  if (profile !== null) terminal.stderr(`${style("muted", "profile:")} ${await profile.stop()}\n`);
  const final = rounds.at(-1)?.metrics ?? {};
  if (options.json)
    terminal.stdout(`${JSON.stringify({ device: name, rounds, final } satisfies RunDocument, null, 2)}\n`);
  else terminal.stdout(`${summary(rounds, name)}\n`);
  if (stopped) terminal.stderr(`${style("warning", "stopped")} after round ${rounds.length}\n`);
  return 0;
}

/** Says which device it is, once it is open. */
export function tellDevice(terminal: Terminal): void {
  const style = terminal.style.stderr;
  onDeviceOpen(({ reason, notes }) => {
    terminal.stderr(`${style("muted", "device:")} ${reason}\n`);
    for (const note of notes) terminal.stderr(`${style("muted", "note:")} ${note}\n`);
  });
}

/** The module's default export. FAX3004 if there is none, FAX3005 if it is something else. */
export function experimentOf({ file, exports }: Pick<LoadedModule, "file" | "exports">): Experiment {
  const help = "export default experiment({ program, init, data, rounds, metrics })";
  const source = { file, line: 1, column: 1 };
  if (!("default" in exports)) {
    const names = Object.keys(exports);
    const others = names.length === 0 ? "nothing at all" : names.join(", ");
    throw new FaxError({
      code: "FAX3004",
      message: `run: the module has no default export; it exports ${others}`,
      source,
      help,
    });
  }
  if (isExperiment(exports["default"])) return exports["default"];
  throw new FaxError({ code: "FAX3005", message: "run: the default export is no experiment", source, help });
}

export function isExperiment(value: unknown): value is Experiment {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "experiment";
}

async function drive(
  experiment: Experiment,
  { json, ...options }: RunOptions,
  terminal: Terminal,
): Promise<{ rounds: readonly RoundRecord[]; stopped: boolean }> {
  let stopping = false;
  const unsubscribe = terminal.onInterrupt(() => {
    if (stopping) terminal.abort(130);
    stopping = true;
    terminal.stderr("\nstopping after this round; press Ctrl-C again to stop at once\n");
  });
  const records: RoundRecord[] = [];
  let bar: ProgressBar | null = null;
  try {
    const session = await experiment.start(startOptions(options));
    const total = session.rounds;
    bar = new ProgressBar(terminal, total);
    while (records.length < total && !stopping) {
      const started = performance.now();
      const { round, metrics } = await session.round();
      const record = { round, ms: Math.round((performance.now() - started) * 10) / 10, metrics };
      records.push(record);
      if (!json) bar.printAbove(() => terminal.stdout(`${roundLine(record, total, terminal)}\n`));
      bar.advance(records.length);
      // A device may answer without a turn of the event loop, in which alone Ctrl-C is seen.
      await setImmediate();
    }
    return { rounds: records, stopped: records.length < total };
  } finally {
    bar?.clear();
    unsubscribe();
  }
}

/** What is not asked for is left to the experiment. */
function startOptions({ rounds, clients, seed, memoryLimit }: RunOptions): StartOptions {
  return {
    ...(rounds === undefined ? {} : { rounds }),
    ...(clients === undefined ? {} : { clients }),
    ...(seed === undefined ? {} : { seed }),
    ...(memoryLimit === undefined ? {} : { memoryLimit }),
  };
}

/** `round  3/20   loss 0.4213   accuracy 87.35 %   1.2 s` */
function roundLine({ round, ms, metrics }: RoundRecord, total: number, terminal: Terminal): string {
  const style = terminal.style.stdout;
  const count = `${String(round).padStart(String(total).length)}/${total}`;
  const values = Object.entries(metrics).map(([name, value]) => `${style("muted", name)} ${formatMetric(name, value)}`);
  return [`${style("muted", "round")} ${count}`, ...values, style("muted", formatDuration(ms))].join("   ");
}

function summary(rounds: readonly RoundRecord[], name: string): string {
  const ms = rounds.reduce((sum, record) => sum + record.ms, 0);
  const count = `${rounds.length} ${rounds.length === 1 ? "round" : "rounds"}`;
  const metrics = Object.entries(rounds.at(-1)?.metrics ?? {});
  const final = metrics.map(([metric, value]) => `${metric} ${formatMetric(metric, value).trim()}`).join(", ");
  return `${count} in ${formatDuration(ms)} on ${name}${final === "" ? "" : `: ${final}`}`;
}

/** Accuracies as percentages; all of one width while they are ordinary. */
export function formatMetric(name: string, value: number): string {
  if (/accuracy$/i.test(name)) return `${(value * 100).toFixed(2).padStart(6)} %`;
  const magnitude = Math.abs(value);
  if (!Number.isFinite(value) || (magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e6)))
    return value.toExponential(3);
  return value.toFixed(4);
}
