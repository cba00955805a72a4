/**
 * How a kernel is spread over an adapter: chosen per kernel from its shape and the adapter's class and limits, as plain
 * data with reasons, so that it can be printed and compared.
 */
import type { AdapterProfile } from "../executable.ts";
import type { Kernel, ReduceStage, StoreStage } from "../fuse/kernel.ts";
import type { Axis } from "../lower/expr.ts";
import type { Binding } from "./bindings.ts";
import { type Canonicalizer } from "./index-arithmetic.ts";
import { laneAccess } from "./lanes.ts";
import { type Contraction, findContraction } from "./contraction.ts";
import { matmulCandidates, type MatmulSchedule } from "./matmul-schedule.ts";
import { rowCost } from "./schedule-cost.ts";
import { linearSpace, sizeOfAxes } from "./space.ts";
import { type StreamSchedule, streamCandidates } from "./stream-schedule.ts";
import { findStream } from "./stream.ts";
import type { Lanes } from "./wgsl-math.ts";

/** Each row by one thread or several; a thread may take four neighbouring rows at once, and several in turn. */
export interface RowSchedule {
  readonly kind: "rows";
  readonly workgroupSize: number;
  /** A power of two that divides the workgroup. */
  readonly threadsPerRow: number;
  /** The threads of a row exchange values within their subgroups, and only beyond them through workgroup memory. */
  readonly bySubgroups: boolean;
  readonly rowLanes: Lanes;
  /** How often a thread goes on to the row, or the four rows, a workgroup further; 1 where threads share a row. */
  readonly rowsInTurn: number;
  /** For each stage, how many positions of its loop a thread takes at once. */
  readonly stageLanes: readonly Lanes[];
  readonly reasons: readonly string[];
}

export type Schedule = RowSchedule | MatmulSchedule | StreamSchedule;

export interface SchedulingContext {
  readonly canonical: Canonicalizer;
  readonly profile: AdapterProfile;
  readonly bindings: readonly Binding[];
}

/** A legal schedule, and what it is estimated to cost beside the others of its kernel. */
export interface Candidate<S extends Schedule = Schedule> {
  readonly schedule: S;
  readonly cost: number;
}

/** Expects a kernel with at least one row. The one that `chooseSchedule` takes first, the others by their costs. */
export function candidates(kernel: Kernel, context: SchedulingContext): Candidate[] {
  const chosen = describeSchedule(chooseSchedule(kernel, context));
  const rank = ({ schedule }: Candidate): number => (describeSchedule(schedule) === chosen ? 0 : 1);
  const contraction = findContraction(kernel);
  const products = productCandidates(kernel, contraction, context);
  const rows = (runsByRows(kernel) ? rowCandidates(kernel, context, contraction) : []).map((schedule) => ({
    schedule,
    cost: rowCost(kernel, schedule, context.profile),
  }));
  return [...products, ...rows].sort((a, b) => rank(a) - rank(b) || a.cost - b.cost);
}

/** Expects a kernel with at least one row. */
export function chooseSchedule(kernel: Kernel, context: SchedulingContext): Schedule {
  const contraction = findContraction(kernel);
  const products = productCandidates(kernel, contraction, context);
  let best: Candidate | null = null;
  for (const candidate of products) if (best === null || candidate.cost < best.cost) best = candidate;
  if (best !== null && !runsByRows(kernel)) return best.schedule;
  const rows = chooseRows(kernel, context, contraction);
  if (best === null) return rows;
  // On software adapters both costs are nanoseconds; on GPUs only products that suit tiles have candidates.
  const byRows = context.profile.class === "cpu" && rowCost(kernel, rows, context.profile) < best.cost;
  return byRows ? rows : best.schedule;
}

/** Rows by themselves have no loop within the loop. */
function runsByRows({ stages }: Kernel): boolean {
  return stages.every((stage) => stage.kind === "store" || !stage.inner);
}

function productCandidates(
  kernel: Kernel,
  contraction: Contraction | null,
  context: SchedulingContext,
): Candidate<MatmulSchedule | StreamSchedule>[] {
  if (contraction) return matmulCandidates(kernel, contraction, context);
  const stream = findStream(kernel);
  return stream ? streamCandidates(kernel, stream, context) : [];
}

type Stage = ReduceStage | StoreStage;

/** For any kernel, also a product. */
export function chooseRows(
  kernel: Kernel,
  context: SchedulingContext,
  contraction: Contraction | null = null,
): RowSchedule {
  const { profile } = context;
  const rows = sizeOfAxes(kernel.rows);
  const longest = Math.max(1, ...kernel.stages.map((stage) => sizeOfAxes(stage.axes)));
  const reasons: string[] = [];
  if (contraction) reasons.push("a product of two factors, too small for tiles");
  let stageLanes = kernel.stages.map((stage): Lanes => (stageRunsInLanes(kernel, stage, context) ? 4 : 1));
  const alongRows = rowsRunInLanes(kernel, context);
  const loops = longest > 1;
  const rowsTogether = alongRows && (!loops || !stageLanes.includes(4));
  const threadsPerRow = threadsPerRowFor(kernel, { rows, longest, profile, alongRows });
  const together = threadsPerRow > 1;
  const bySubgroups = together && profile.features.includes("subgroups");
  const rowLanes: Lanes = rowsTogether && !together ? 4 : 1;
  if (rowLanes === 4) stageLanes = stageLanes.map((): Lanes => 1);
  if (rowLanes === 4) reasons.push("four neighbouring rows lie together: vec4 loads and stores");
  if (stageLanes.includes(4)) reasons.push("rows are contiguous: vec4 within the row");
  const workgroupSize = workgroupSizeFor({ rows: rows / rowLanes, longest, threadsPerRow, profile });
  const rowsInTurn = together ? 1 : rowsInTurnFor({ rows: rows / rowLanes, longest, profile }, workgroupSize);
  if (together) reasons.push(`${rows} rows of up to ${longest}: ${threadsPerRow} threads per row`);
  else if (loops) reasons.push(`${rows} rows of up to ${longest}: a thread per row`);
  if (rowsInTurn > 1) reasons.push("short rows: starting a thread would cost as much as its row");
  return {
    kind: "rows",
    workgroupSize,
    threadsPerRow,
    bySubgroups,
    rowLanes,
    rowsInTurn,
    stageLanes,
    reasons,
  };
}

function rowCandidates(kernel: Kernel, context: SchedulingContext, contraction: Contraction | null): RowSchedule[] {
  const chosen = chooseRows(kernel, context, contraction);
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX } = context.profile.limits;
  const most = Math.min(maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX);
  const narrow = kernel.stages.map((): Lanes => 1);
  const alongRows = rowsRunInLanes(kernel, context);
  const reduces = kernel.stages.some((stage) => stage.kind === "reduce");
  const inLanes = kernel.stages.map((stage): Lanes => (stageRunsInLanes(kernel, stage, context) ? 4 : 1));
  const others = [16, 64, 256]
    .filter((size) => size <= most)
    .flatMap((workgroupSize): RowSchedule[] => {
      const base = {
        kind: "rows",
        workgroupSize,
        threadsPerRow: 1,
        bySubgroups: false,
        rowLanes: 1,
        rowsInTurn: 1,
      } as const;
      const plain: RowSchedule = { ...base, stageLanes: narrow, reasons: [] };
      const wide = [plain, ...(inLanes.includes(4) ? [{ ...plain, stageLanes: inLanes }] : [])];
      const shared = reduces ? wide.flatMap((schedule) => sharedRows(schedule, context.profile)) : [];
      const single = [...wide, ...(alongRows ? [{ ...plain, rowLanes: 4 as const }] : [])];
      return [...single, ...shared, ...single.flatMap((schedule) => inTurn(schedule, kernel))];
    });
  const known = new Set([describeSchedule(chosen)]);
  return [
    chosen,
    ...others.filter((schedule) => {
      const text = describeSchedule(schedule);
      return !known.has(text) && known.add(text);
    }),
  ];
}

/** With several threads a row: some, or the whole workgroup. */
function sharedRows(schedule: RowSchedule, { features, subgroupSize }: AdapterProfile): RowSchedule[] {
  const { workgroupSize } = schedule;
  const ways = [
    { threadsPerRow: 8, bySubgroups: false },
    { threadsPerRow: workgroupSize, bySubgroups: false },
    ...(features.includes("subgroups")
      ? [subgroupSize, workgroupSize].map((threadsPerRow) => ({ threadsPerRow, bySubgroups: true }))
      : []),
  ];
  return ways.filter(({ threadsPerRow }) => threadsPerRow <= workgroupSize).map((way) => ({ ...schedule, ...way }));
}

/** With several rows a thread, as long as every thread of a workgroup has some. */
function inTurn(schedule: RowSchedule, kernel: Kernel): RowSchedule[] {
  const threads = sizeOfAxes(kernel.rows) / schedule.rowLanes;
  return [4, 16, 64]
    .filter((rowsInTurn) => rowsInTurn * schedule.workgroupSize <= threads)
    .map((rowsInTurn) => ({ ...schedule, rowsInTurn }));
}

interface Extent {
  readonly rows: number;
  readonly longest: number;
  readonly profile: AdapterProfile;
}

/** Fewer rows than this leave a software adapter's cores, or their lanes, idle. */
const fewRows = 16;
/** Threads that keep a GPU busy. */
const busyThreads = 16_384;
/** Elements that a thread of a GPU takes of a shared row, about. */
const elementsPerThread = 8;

function threadsPerRowFor(
  kernel: Kernel,
  { rows, longest, profile, alongRows }: Extent & { readonly alongRows: boolean },
): number {
  if (!kernel.stages.some((stage) => stage.kind === "reduce")) return 1;
  const subgroups = profile.features.includes("subgroups");
  if (profile.class === "cpu") {
    // Workgroup memory pays there only where there would be nothing else to run in parallel.
    if (!subgroups) return rows < 8 && longest >= 8192 ? largestWorkgroup(longest, profile) : 1;
    return rows < fewRows && longest >= 16 * profile.subgroupSize ? profile.subgroupSize : 1;
  }
  if (longest < 2 * elementsPerThread || (alongRows && rows >= busyThreads)) return 1;
  const few = 2 ** Math.ceil(Math.log2(longest / elementsPerThread));
  const direct = subgroups ? profile.subgroupSize : 32;
  if (few <= direct) return few;
  // A subgroup has no barriers; its threads may take four times as much where there are rows enough without more of them.
  return longest <= 4 * elementsPerThread * direct && rows * direct >= busyThreads
    ? direct
    : largestWorkgroup(longest, profile);
}

/** For a row as long as that. */
function largestWorkgroup(longest: number, profile: AdapterProfile): number {
  return Math.min(mostThreads(profile), Math.max(32, 2 ** Math.ceil(Math.log2(longest / elementsPerThread))));
}

function mostThreads({ limits }: AdapterProfile): number {
  return Math.min(256, limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
}

function workgroupSizeFor({ rows, longest, threadsPerRow, profile }: Extent & { threadsPerRow: number }): number {
  const most = mostThreads(profile);
  if (profile.class === "gpu") return Math.min(most, longest > 1 ? Math.max(64, threadsPerRow) : 256);
  if (threadsPerRow > 1) return threadsPerRow;
  // Workgroups are what software adapters hand to their threads.
  return Math.min(most, longest > 1 && rows < 4096 ? 16 : 64);
}

/** Enough of them to keep a software adapter's threads busy. */
const fewestWorkgroups = 16;
/** Steps of a thread beyond which its start no longer counts. */
const enoughSteps = 64;

/** On software adapters, where starting a thread costs as much as about twenty operations. */
function rowsInTurnFor({ rows, longest, profile }: Extent, workgroupSize: number): number {
  if (profile.class === "gpu") return 1;
  const most = Math.min(enoughSteps / longest, rows / workgroupSize / fewestWorkgroups);
  return most < 2 ? 1 : 2 ** Math.floor(Math.log2(most));
}

function selectsPosition(stage: Stage): boolean {
  return (
    stage.kind === "reduce" && stage.reductions.some(({ reducer }) => reducer === "argmax" || reducer === "argmin")
  );
}

function stageRunsInLanes(kernel: Kernel, stage: Stage, context: SchedulingContext): boolean {
  const size = sizeOfAxes(stage.axes);
  if (size < 4 || size % 4 !== 0 || selectsPosition(stage)) return false;
  const space = linearSpace(stage.axes, 4, context.canonical);
  const rows = linearSpace(kernel.rows, 1, context.canonical);
  return runInLanes([stage], new Map([...rows.substitution, ...space.substitution]), space.lane, context);
}

function rowsRunInLanes(kernel: Kernel, context: SchedulingContext): boolean {
  if (sizeOfAxes(kernel.rows) % 4 !== 0 || kernel.stages.some(selectsPosition)) return false;
  const space = linearSpace(kernel.rows, 4, context.canonical);
  const every = kernel.stages.filter((stage) => stage.kind === "reduce" || !stage.once);
  return runInLanes(every, space.substitution, space.lane, context);
}

function runInLanes(
  stages: readonly Stage[],
  substitution: Parameters<Canonicalizer["rewriter"]>[0],
  lane: Axis | null,
  context: SchedulingContext,
): boolean {
  if (!lane) return false;
  const rewrite = context.canonical.rewriter(substitution);
  const roots = stages.flatMap((stage) =>
    stage.kind === "reduce" ? stage.reductions.map((r) => rewrite(r.body)) : [],
  );
  const stores = stages.flatMap((stage) =>
    stage.kind === "store"
      ? stage.stores.map((store) => ({ ...store, index: store.index.map(rewrite), value: rewrite(store.value) }))
      : [],
  );
  const access = laneAccess(roots, stores, lane, context);
  return access.together > 0 && access.apart === 0 && !access.divergent;
}

export function describeSchedule(schedule: Schedule): string {
  if (schedule.kind === "rows") {
    const { workgroupSize, threadsPerRow, bySubgroups, rowLanes, rowsInTurn, stageLanes } = schedule;
    const lanes = rowLanes === 4 ? ", 4 rows a thread" : stageLanes.includes(4) ? ", 4 elements a step" : "";
    const turns = rowsInTurn > 1 ? `, ${rowsInTurn} times in turn` : "";
    const exchange = bySubgroups ? " by subgroups" : "";
    const threads = threadsPerRow > 1 ? `${threadsPerRow} threads per row${exchange}` : "thread per row";
    return `${threads}, workgroups of ${workgroupSize}${lanes}${turns}`;
  }
  if (schedule.kind === "matmul-registers") {
    const { rowTile, columnTile, columnLanes, firstAlongK, secondAlongK, threadsPerTile, workgroupSize } = schedule;
    const steps = firstAlongK || secondAlongK ? ", 4 steps a load" : "";
    const sharing = threadsPerTile > 1 ? `, rows shared by ${threadsPerTile} threads` : "";
    return `matmul in registers, ${rowTile} × ${columnTile * columnLanes} a thread${steps}${sharing}, workgroups of ${workgroupSize}`;
  }
  if (schedule.kind === "matmul-stationary") {
    const { rowsPerThread, columnTile, columnLanes, workgroupSize } = schedule;
    return `matmul, one factor in registers, ${rowsPerThread} × ${columnTile * columnLanes} a thread, workgroups of ${workgroupSize}`;
  }
  if (schedule.kind === "stream-registers") {
    const { rowTile, columnTile, columnLanes, threadsPerTile, workgroupSize } = schedule;
    const sharing = threadsPerTile > 1 ? `, rows shared by ${threadsPerTile} threads` : "";
    return `rows and products in registers, ${rowTile} × ${columnTile * columnLanes} a thread${sharing}, workgroups of ${workgroupSize}`;
  }
  if (schedule.kind === "stream-workgroup") {
    const { threads, cellM, cellK, cellN } = schedule;
    return `rows and products in workgroup memory, ${threads * cellM} × ${threads * cellN} × ${threads * cellK} a workgroup, ${cellM} × ${cellN} a thread`;
  }
  const { tileM, tileN, tileK, threadM, threadN } = schedule;
  return `matmul in workgroup memory, ${tileM} × ${tileN} × ${tileK} a workgroup, ${threadM} × ${threadN} a thread`;
}
