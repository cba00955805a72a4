/** Chooses how a matrix product is tiled. `m` are the rows of the first factor, `n` those of the second, `k` is summed. */
import type { AdapterProfile } from "../executable.ts";
import type { Kernel } from "../fuse/kernel.ts";
import type { Axis, Expr } from "../lower/expr.ts";
import type { Contraction } from "./contraction.ts";
import { laneAccess } from "./lanes.ts";
import type { SchedulingContext } from "./schedule.ts";
import { linearSpace, sizeOfAxes } from "./space.ts";
import type { Lanes } from "./wgsl-math.ts";

interface Roles {
  /** The right factor of the contraction is the first here. */
  readonly swapped: boolean;
}

/** No workgroup memory: each thread keeps a tile of results in registers. */
export interface RegisterSchedule extends Roles {
  readonly kind: "matmul-registers";
  readonly workgroupSize: number;
  /** Results of a thread: rows, and columns or groups of four columns. */
  readonly rowTile: number;
  readonly columnTile: number;
  /** How many columns an accumulator holds. */
  readonly columnLanes: Lanes;
  /** How many rows of the first factor a load takes; divides `rowTile`. */
  readonly rowLanes: Lanes;
  readonly reasons: readonly string[];
}

/** Tiles of both factors in workgroup memory, a square of results per thread. */
export interface WorkgroupSchedule extends Roles {
  readonly kind: "matmul-workgroup";
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  readonly threadM: number;
  readonly threadN: number;
  /** Neighbouring threads load along k (else along m, n). */
  readonly firstAlongK: boolean;
  readonly secondAlongK: boolean;
  readonly reasons: readonly string[];
}

export type MatmulSchedule = RegisterSchedule | WorkgroupSchedule;

interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
}

export interface Ordered {
  readonly first: Expr;
  readonly second: Expr;
  readonly mAxes: readonly Axis[];
  readonly nAxes: readonly Axis[];
}

export function orderFactors(c: Contraction, swapped: boolean): Ordered {
  return swapped
    ? { first: c.right, second: c.left, mAxes: c.rightRows, nAxes: c.leftRows }
    : { first: c.left, second: c.right, mAxes: c.leftRows, nAxes: c.rightRows };
}

/** Null if the product is too thin for tiles. */
export function chooseMatmul(
  kernel: Kernel,
  contraction: Contraction,
  context: SchedulingContext,
): MatmulSchedule | null {
  const { leftRows, rightRows, inner, batch } = contraction;
  const sizes: Sizes = {
    m: sizeOfAxes(leftRows),
    n: sizeOfAxes(rightRows),
    k: sizeOfAxes(inner),
    batch: sizeOfAxes(batch),
  };
  if (sizes.m < 4 || sizes.n < 4 || sizes.k < 4) return null;
  const along = contiguity(kernel, contraction, context);
  return context.profile.class === "cpu"
    ? chooseRegisters(sizes, along)
    : chooseWorkgroup(sizes, along, context.profile);
}

interface Contiguity {
  /** Whether vec4s of the left factor lie along its own rows, and along k; the same of the right. */
  readonly left: { readonly rows: boolean; readonly k: boolean };
  readonly right: { readonly rows: boolean; readonly k: boolean };
  /** Whether what is stored lies along the left factor's rows, rather than along the right's. */
  readonly storedAlongLeft: boolean;
}

function contiguity(kernel: Kernel, c: Contraction, context: SchedulingContext): Contiguity {
  const alongAxes = (factor: Expr, axes: readonly Axis[]): boolean => {
    const { canonical } = context;
    const size = sizeOfAxes(axes);
    if (size % 4 !== 0) return false;
    const lanes = linearSpace(axes, 4, canonical);
    if (!lanes.lane) return false;
    const others = [...kernel.rows, ...c.inner].filter((axis) => !axes.includes(axis));
    const rest = new Map(others.flatMap((axis) => [...linearSpace([axis], 1, canonical).substitution]));
    const rewritten = canonical.rewriter(new Map([...rest, ...lanes.substitution]))(factor);
    const access = laneAccess([rewritten], [], lanes.lane, context);
    return access.together > 0 && access.apart === 0 && !access.divergent;
  };
  return {
    left: { rows: alongAxes(c.left, c.leftRows), k: alongAxes(c.left, c.inner) },
    right: { rows: alongAxes(c.right, c.rightRows), k: alongAxes(c.right, c.inner) },
    storedAlongLeft: storedAlong(kernel, c.leftRows),
  };
}

/** Whether the last dimension of most stored tensors is one of the axes. */
function storedAlong(kernel: Kernel, axes: readonly Axis[]): boolean {
  const stores = kernel.stages.flatMap((stage) => (stage.kind === "store" ? stage.stores : []));
  const along = stores.filter(({ index }) => {
    const last = index.at(-1);
    return last?.op === "axis" && axes.includes(last.axis);
  });
  return along.length * 2 > stores.length;
}

/**
 * Measured on SwiftShader: eight rows by four vec4s where the second factor is contiguous along its columns; else eight by
 * eight single results, twice as fast as vec4s along k with partial sums.
 */
function chooseRegisters(sizes: Sizes, { left, right, storedAlongLeft }: Contiguity): RegisterSchedule {
  // Where either factor may give the columns, the one along which results are stored does.
  const swapped = left.rows && (!right.rows || storedAlongLeft);
  const [m, n] = swapped ? [sizes.n, sizes.m] : [sizes.m, sizes.n];
  const first = swapped ? right : left;
  const base = { kind: "matmul-registers", workgroupSize: 16, swapped, rowTile: tileFor(m, 8) } as const;
  if (!right.rows && !left.rows) {
    const reasons = ["no factor is contiguous along the result"];
    return { ...base, columnTile: tileFor(n, 8), columnLanes: 1, rowLanes: 1, reasons };
  }
  return {
    ...base,
    columnTile: tileFor(n / 4, 4),
    columnLanes: 4,
    rowLanes: first.rows && base.rowTile >= 4 ? 4 : 1,
    reasons: [
      `the ${swapped ? "left" : "right"} factor is contiguous along the result's ${swapped ? "rows" : "columns"}`,
    ],
  };
}

/** The power of two up to `most` that wastes least of the last tile, the larger of two as good. */
function tileFor(size: number, most: number): number {
  let best = 1;
  for (let tile = 2; tile <= most; tile *= 2) {
    if (Math.ceil(size / tile) * tile <= Math.ceil(size / best) * best * 1.25) best = tile;
  }
  return best;
}

function chooseWorkgroup(sizes: Sizes, { left, right }: Contiguity, profile: AdapterProfile): WorkgroupSchedule {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = profile.limits;
  const candidates = [
    { tileM: 128, tileN: 128, tileK: 16, threadM: 8, threadN: 8 },
    { tileM: 64, tileN: 64, tileK: 16, threadM: 4, threadN: 4 },
    { tileM: 32, tileN: 32, tileK: 16, threadM: 4, threadN: 4 },
  ];
  const tilesOf = (t: { tileM: number; tileN: number }): number =>
    sizes.batch * Math.ceil(sizes.m / t.tileM) * Math.ceil(sizes.n / t.tileN);
  const chosen = candidates.find(
    (t) =>
      (t.tileM * t.tileN) / (t.threadM * t.threadN) <= maxComputeInvocationsPerWorkgroup &&
      (t.tileM + t.tileN) * t.tileK * 4 <= maxComputeWorkgroupStorageSize &&
      sizes.m > t.tileM / 2 &&
      sizes.n > t.tileN / 2 &&
      tilesOf(t) >= 64,
  ) ?? { tileM: 32, tileN: 32, tileK: 16, threadM: 4, threadN: 4 };
  return {
    kind: "matmul-workgroup",
    swapped: false,
    ...chosen,
    firstAlongK: left.k || !left.rows,
    secondAlongK: right.k && !right.rows,
    reasons: [`${tilesOf(chosen)} tiles keep the adapter busy`],
  };
}
