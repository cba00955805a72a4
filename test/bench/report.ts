/** The table and the JSON of a run. */
import type { RowResult } from "./bench-row.ts";
import type { FirstCall } from "./first-call.ts";
import { type Floor, floorOf } from "./floor.ts";
import type { JaxRun } from "./jax.ts";
import type { Library, LibraryName } from "./libraries/library.ts";
import { type Clock, clocks, ratioOf, type Sample, spreadOf } from "./measure.ts";

export type Cells = readonly string[];

export function headings(peers: readonly LibraryName[]): Cells {
  return ["row", "MFLOP", "MB", "kernels", "peak MB", "floor ms", "fax ms", "× floor", ...peers];
}

/** A peer's cell: how many times as long as fax, its milliseconds, its kernels. */
export function rowCells(result: RowResult, floor: Floor | null, peers: readonly LibraryName[], clock: Clock): Cells {
  const { row, entries, peakBytes, absent } = result;
  const own = entries.find(({ library }) => library === "fax");
  const least = floorMs(result, floor, clock);
  const time = own && spreadOf(own.samples.map((sample) => sample[clock]));
  return [
    row.name,
    number(row.flops / 1e6),
    number(row.bytes / 1e6),
    own?.kernels?.toString() ?? "–",
    peakBytes === null ? "–" : number(peakBytes / 1e6),
    number(least),
    own ? spread(own.samples, clock) : `– ${absent.fax ?? ""}`,
    time ? number(time.median / least) : "–",
    ...peers.map((peer) => {
      const entry = entries.find(({ library }) => library === peer);
      if (entry === undefined) return `– ${absent[peer] ?? ""}`.trim();
      const ratio = own ? `${number(ratioOf(entry.samples, own.samples, clock))}× ` : "";
      const kernels = entry.kernels === null ? "" : `, ${entry.kernels} k`;
      return `${ratio}(${number(spreadOf(entry.samples.map((s) => s[clock])).median)}${kernels})`;
    }),
  ];
}

/** NaN where it was not measured. */
function floorMs({ row, bare }: RowResult, floor: Floor | null, clock: Clock): number {
  if (bare !== null) return spreadOf(bare.map((sample) => sample[clock])).median;
  return floor === null ? NaN : floorOf(row, floor, clock);
}

export function firstCallCells(calls: readonly FirstCall[], peers: readonly LibraryName[], clock: Clock): Cells {
  const own = calls.find(({ library }) => library === "fax")?.samples ?? [];
  return [
    "MLP value and gradient: first call",
    "–",
    "–",
    "–",
    "–",
    "–",
    spread(own, clock),
    "–",
    ...peers.map((peer) => {
      const samples = calls.find(({ library }) => library === peer)?.samples ?? [];
      if (samples.length === 0) return "–";
      return `${number(ratioOf(samples, own, clock))}× (${number(spreadOf(samples.map((s) => s[clock])).median)})`;
    }),
  ];
}

/** Median and quartiles. */
export function spread(samples: readonly Sample[], clock: Clock): string {
  if (samples.length === 0) return "–";
  const { median, low, high } = spreadOf(samples.map((sample) => sample[clock]));
  return `${number(median)} (${number(low)}–${number(high)})`;
}

export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 100) return value.toFixed(0);
  return value
    .toPrecision(value >= 1 ? 3 : 2)
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "");
}

/** A Markdown table row, so that a run can be pasted into documents. */
export function line(cells: Cells): string {
  return `| ${cells.join(" | ")} |`;
}

/** The geometric mean over the rows of each peer's ratio. */
export function geometricMeans(results: readonly RowResult[], peers: readonly LibraryName[], clock: Clock): string[] {
  return peers.flatMap((peer) => {
    const ratios = results.flatMap(({ entries }) => {
      const own = entries.find(({ library }) => library === "fax");
      const other = entries.find(({ library }) => library === peer);
      return own && other ? [ratioOf(other.samples, own.samples, clock)] : [];
    });
    if (ratios.length === 0) return [];
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    const behind = ratios.filter((ratio) => ratio < 1).length;
    return [`${peer}: ${number(mean)}× in the geometric mean of ${ratios.length} rows, fax behind in ${behind}`];
  });
}

export interface Run {
  readonly adapter: string;
  readonly date: string;
  readonly node: string;
  readonly cpus: string;
  readonly quick: boolean;
  readonly libraries: readonly Library[];
  readonly absent: Readonly<Partial<Record<LibraryName, string>>>;
  readonly floor: Floor | null;
  readonly jax: JaxRun | null;
  readonly results: readonly RowResult[];
  readonly firstCalls: readonly FirstCall[];
  readonly compile: readonly Sample[];
}

export function jsonOf(run: Run): string {
  const { results, libraries, floor, jax, ...rest } = run;
  const rows = results.map((result) => {
    const { row, entries, absent, peakBytes, checked } = result;
    return {
      name: row.name,
      flops: row.flops,
      bytes: row.bytes,
      peakBytes,
      checked,
      absent,
      jaxMs: jax?.rows.get(row.name) ?? null,
      floorMs: Object.fromEntries(clocks.map((clock) => [clock, floorMs(result, floor, clock)])),
      entries: entries.map(({ samples, ...entry }) => ({
        ...entry,
        ms: Object.fromEntries(clocks.map((clock) => [clock, spreadOf(samples.map((sample) => sample[clock]))])),
        samples,
      })),
    };
  });
  const versions = Object.fromEntries(libraries.map(({ name, version }) => [name, version]));
  return `${JSON.stringify({ ...rest, versions, jax: jax && { version: jax.version, device: jax.device }, floor, rows }, null, 2)}\n`;
}
