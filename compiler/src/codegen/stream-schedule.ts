/** The ways to walk along a kernel with columns (stream.ts). */
import type { AdapterProfile } from "../executable.ts";
import type { Kernel } from "../fuse/kernel.ts";
import { streamRegisterCost, streamWorkgroupCost } from "./schedule-cost.ts";
import { liesAlong } from "./lanes.ts";
import { storesDiverge } from "./matmul-schedule.ts";
import type { Candidate, SchedulingContext } from "./schedule.ts";
import { sizeOfAxes } from "./space.ts";
import { rowReductions } from "./stream-sums.ts";
import type { Stream } from "./stream.ts";
import type { Lanes } from "./wgsl-math.ts";
import { accumulatorType } from "./wgsl-operators.ts";

/**
 * No workgroup memory: a thread has a tile of rows and columns, and what its rows reduce. The threads of a subgroup may have the
 * same rows, and columns beside each other: each computes the left factors at some steps along the loop for all of them.
 */
export interface StreamRegisterSchedule {
  readonly kind: "stream-registers";
  readonly workgroupSize: number;
  readonly rowTile: number;
  /** Columns, or groups of four. */
  readonly columnTile: number;
  readonly columnLanes: Lanes;
  /** 1, or the size of a subgroup. */
  readonly threadsPerTile: number;
  readonly reasons: readonly string[];
}

/**
 * A workgroup of `threads` × `threads` has tiles of both factors in workgroup memory. It computes the left factors once:
 * a thread `cellM` × `cellK` of them, of which it then sums `cellM` rows and as many columns as its share is.
 */
export interface StreamWorkgroupSchedule {
  readonly kind: "stream-workgroup";
  readonly threads: number;
  readonly cellM: number;
  readonly cellK: number;
  /** Columns of a thread. */
  readonly cellN: number;
  readonly reasons: readonly string[];
}

export type StreamSchedule = StreamRegisterSchedule | StreamWorkgroupSchedule;

export interface StreamSizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export function streamSizes({ batch, leftRows, columns, inner }: Stream): StreamSizes {
  return { batch: sizeOfAxes(batch), m: sizeOfAxes(leftRows), n: sizeOfAxes(columns), k: sizeOfAxes(inner) };
}

/** All that are legal for the adapter's class; at least one. */
export function streamCandidates(
  kernel: Kernel,
  stream: Stream,
  context: SchedulingContext,
): Candidate<StreamSchedule>[] {
  return context.profile.class === "gpu"
    ? workgroupCandidates(stream, context.profile)
    : registerCandidates(kernel, stream, context);
}

const rowTiles = [1, 2, 4, 5, 6, 8, 10, 12, 16];
const columnTiles = [1, 2, 3, 4, 5, 8];
/** More of them take drivers seconds to compile. */
const mostAccumulators = 160;
const workgroupSize = 16;

function registerCandidates(
  kernel: Kernel,
  stream: Stream,
  context: SchedulingContext,
): Candidate<StreamRegisterSchedule>[] {
  const sizes = streamSizes(stream);
  const { features, subgroupSize } = context.profile;
  const bySubgroup = features.includes("subgroups") && subgroupSize > 1 && workgroupSize % subgroupSize === 0;
  const rights = stream.passes.flatMap(({ products }) => products.map(({ right }) => right));
  const space = [...kernel.rows, ...stream.inner];
  const inLanes = rights.length > 0 && rights.every((e) => liesAlong(e, stream.columns, space, context));
  const columnLanes: Lanes = inLanes && !storesDiverge(kernel, stream.columns, context) ? 4 : 1;
  const products = Math.max(...stream.passes.map((pass) => pass.products.length));
  const quads = Math.ceil(sizes.n / columnLanes);
  return [1, ...(bySubgroup ? [subgroupSize] : [])].flatMap((threadsPerTile) => {
    const reasons = [
      "reductions of rows go along with the products that need them",
      ...(columnLanes === 4 ? ["the right factor is contiguous along the columns"] : []),
      ...(threadsPerTile > 1
        ? [`subgroups of ${threadsPerTile} compute each left factor once for all their columns`]
        : []),
    ];
    return rowTiles.flatMap((rowTile) =>
      columnTiles.flatMap((columnTile): Candidate<StreamRegisterSchedule>[] => {
        const fits = rowTile <= Math.max(1, sizes.m) && columnTile <= Math.ceil(quads / threadsPerTile);
        if (!fits || rowTile * columnTile * columnLanes * products > mostAccumulators) return [];
        const tile = { rowTile, columnTile, columnLanes, threadsPerTile };
        const schedule = { kind: "stream-registers", workgroupSize, ...tile, reasons } as const;
        return [{ schedule, cost: streamRegisterCost(schedule, stream, sizes) }];
      }),
    );
  });
}

/** Steps along an inner sum whose factors lie in workgroup memory at a time. */
export const innerTile = 16;

/** Elements of workgroup memory that a schedule takes: tiles of the factors, and what threads of a row exchange. */
function workgroupElements(
  stream: Stream,
  { threads, cellM, cellK, cellN }: Pick<StreamWorkgroupSchedule, "threads" | "cellM" | "cellK" | "cellN">,
): number {
  const [tileM, tileK, tileN] = [threads * cellM, threads * cellK, threads * cellN];
  const products = Math.max(...stream.passes.map((pass) => pass.products.length));
  const types = new Set(rowReductions(stream).map(({ body }) => accumulatorType(body.dtype)));
  const inner = stream.passes.some((pass) => pass.inner.length > 0) ? (tileM + tileK + 2) * innerTile : 0;
  return inner + products * (tileM + 1 + tileN) * tileK + types.size * tileM * (threads + 1);
}

function workgroupCandidates(stream: Stream, { limits }: AdapterProfile): Candidate<StreamWorkgroupSchedule>[] {
  const sizes = streamSizes(stream);
  const shapes = [16, 8].flatMap((threads) =>
    [4, 2, 1].flatMap((cellM) =>
      [2, 1].flatMap((cellK) => [8, 4, 2, 1].map((cellN) => ({ threads, cellM, cellK, cellN }))),
    ),
  );
  return shapes.flatMap((shape): Candidate<StreamWorkgroupSchedule>[] => {
    const tiles = sizes.batch * Math.ceil(sizes.m / (shape.threads * shape.cellM));
    const schedule = {
      kind: "stream-workgroup",
      ...shape,
      reasons: [`${tiles} workgroups of ${shape.threads * shape.cellM} rows each keep what they reduce`],
    } as const;
    if (shape.threads ** 2 > limits.maxComputeInvocationsPerWorkgroup) return [];
    if (workgroupElements(stream, shape) * 4 > limits.maxComputeWorkgroupStorageSize) return [];
    return [{ schedule, cost: streamWorkgroupCost(schedule, stream, sizes) }];
  });
}
