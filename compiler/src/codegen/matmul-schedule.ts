/** The ways to tile a matrix product. `m` are the rows of the first factor, `n` those of the second, `k` is summed. */
import type { AdapterProfile } from "../executable.ts";
import type { Kernel } from "../fuse/kernel.ts";
import type { Axis, Expr } from "../lower/expr.ts";
import type { Contraction } from "./contraction.ts";
import { laneAccess, liesAlong } from "./lanes.ts";
import { epilogueBytes, registerCost, stationaryCost, widthOf, workgroupCost } from "./schedule-cost.ts";
import type { Candidate, SchedulingContext } from "./schedule.ts";
import { linearSpace, sizeOfAxes } from "./space.ts";
import type { Lanes } from "./wgsl-math.ts";

interface Roles {
  /** The right factor of the contraction is the first here. */
  readonly swapped: boolean;
}

/** No workgroup memory: each thread keeps results in registers, alone or in a tile that its subgroup shares. */
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
  /** Steps along k in one iteration of the loop; divides k. */
  readonly depth: 1 | 4;
  /** Whether a load takes all steps of an iteration, of one row or column. */
  readonly firstAlongK: boolean;
  readonly secondAlongK: boolean;
  /**
   * 1, or the size of the subgroup whose threads have the same rows and columns beside each other. Each loads some of the
   * rows for all.
   */
  readonly threadsPerTile: number;
  readonly reasons: readonly string[];
}

/**
 * Short sums: a thread keeps its columns of the second factor for all of k in registers, and walks along rows of the
 * first. No sum is carried from one iteration to the next.
 */
export interface StationarySchedule extends Roles {
  readonly kind: "matmul-stationary";
  readonly workgroupSize: number;
  /** Columns, or groups of four, of a thread. */
  readonly columnTile: number;
  readonly columnLanes: Lanes;
  /** Rows that a thread walks along. */
  readonly rowsPerThread: number;
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
  /** Neighbouring threads load along k (else along m, n), one element or four. */
  readonly firstAlongK: boolean;
  readonly secondAlongK: boolean;
  readonly firstLanes: Lanes;
  readonly secondLanes: Lanes;
  /** How many columns an accumulator holds; divides `threadN`. */
  readonly columnLanes: Lanes;
  readonly reasons: readonly string[];
}

export type MatmulSchedule = RegisterSchedule | StationarySchedule | WorkgroupSchedule;

export interface MatmulSizes {
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

/** All that are legal for the adapter's class; none if the product is too small for tiles, or on GPUs too thin. */
export function matmulCandidates(
  kernel: Kernel,
  contraction: Contraction,
  context: SchedulingContext,
): Candidate<MatmulSchedule>[] {
  const { leftRows, rightRows, inner, batch } = contraction;
  const sizes: MatmulSizes = {
    m: sizeOfAxes(leftRows),
    n: sizeOfAxes(rightRows),
    k: sizeOfAxes(inner),
    batch: sizeOfAxes(batch),
  };
  const { profile } = context;
  const extents = [sizes.m, sizes.n];
  if ((profile.class === "gpu" ? Math.min(...extents) : Math.max(...extents)) < 4 || sizes.k < 1) return [];
  const along = contiguity(kernel, contraction, context);
  if (profile.class === "gpu") return workgroupCandidates(sizes, along, profile);
  return [false, true].flatMap((swapped) => [
    ...registerCandidates(kernel, sizes, along, { swapped, profile }),
    ...stationaryCandidates(kernel, sizes, along, swapped),
  ]);
}

interface Contiguity {
  /** Whether vec4s of the left factor lie along its own rows, and along k; the same of the right. */
  readonly left: { readonly rows: boolean; readonly k: boolean };
  readonly right: { readonly rows: boolean; readonly k: boolean };
  /** Whether four columns of a result, neighbours along the right factor's rows, may be stored at once. */
  readonly columnsTogether: boolean;
  /** Whether what is stored lies along the left factor's rows; along the right's. */
  readonly storedAlongLeft: boolean;
  readonly storedAlongRight: boolean;
}

function contiguity(kernel: Kernel, c: Contraction, context: SchedulingContext): Contiguity {
  const space = [...kernel.rows, ...c.inner];
  const alongAxes = (factor: Expr, axes: readonly Axis[]): boolean => liesAlong(factor, axes, space, context);
  const columnsTogether = !storesDiverge(kernel, c.rightRows, context);
  return {
    left: {
      rows: alongAxes(c.left, c.leftRows) && !storesDiverge(kernel, c.leftRows, context),
      k: alongAxes(c.left, c.inner),
    },
    right: {
      rows: alongAxes(c.right, c.rightRows) && columnsTogether,
      k: alongAxes(c.right, c.inner),
    },
    columnsTogether,
    storedAlongLeft: storedAlong(kernel, c.leftRows),
    storedAlongRight: storedAlong(kernel, c.rightRows),
  };
}

/** Whether what follows the sum guards a load by a choice that differs between four neighbours along the axes. */
export function storesDiverge(kernel: Kernel, axes: readonly Axis[], context: SchedulingContext): boolean {
  const { lane, substitution } = linearSpace(axes, 4, context.canonical);
  if (!lane) return false;
  const rewrite = context.canonical.rewriter(substitution);
  const values = kernel.stages
    .flatMap((stage) => (stage.kind === "store" ? stage.stores : []))
    .map(({ value }) => value);
  return laneAccess(values.map(rewrite), [], lane, context).divergent;
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

/** The sizes and the contiguity as the schedule's first and second factor see them. */
function roles(sizes: MatmulSizes, { left, right, storedAlongLeft, storedAlongRight }: Contiguity, swapped: boolean) {
  return swapped
    ? { sizes: { ...sizes, m: sizes.n, n: sizes.m }, first: right, second: left, stored: storedAlongLeft }
    : { sizes, first: left, second: right, stored: storedAlongRight };
}

const rowTiles = [1, 2, 4, 5, 6, 7, 8, 10, 12, 16];
const columnTiles = { 1: [1, 2, 4, 5, 8, 10, 16], 4: [1, 2, 3, 4, 5, 8] } as const;
/** More of them take drivers seconds to compile. */
const mostAccumulators = 160;
/**
 * In one iteration of the loop. Drivers of wide adapters (measured on llvmpipe) no longer keep sums in registers beyond
 * some 250 of them, which makes the kernel five times as slow.
 */
const mostMultiplications = { narrow: 512, wide: 128 } as const;

/** No workgroup memory, no barriers: what software adapters run best. */
function registerCandidates(
  kernel: Kernel,
  given: MatmulSizes,
  along: Contiguity,
  { swapped, profile }: { readonly swapped: boolean; readonly profile: AdapterProfile },
): Candidate<RegisterSchedule>[] {
  const { sizes, first, second, stored } = roles(given, along, swapped);
  const columnLanes: Lanes = second.rows ? 4 : 1;
  const epilogue = epilogueBytes(kernel, columnLanes, stored);
  const most = mostMultiplications[widthOf(profile) > 4 ? "wide" : "narrow"];
  const candidates: Candidate<RegisterSchedule>[] = [];
  for (const ways of registerWays({ first, second, swapped, profile })) {
    const { threadsPerTile, depth, alongRows } = ways;
    for (const rowTile of rowTiles) {
      for (const columnTile of columnTiles[columnLanes]) {
        const accumulators = rowTile * columnTile * columnLanes;
        if (rowTile > sizes.m || columnTile > Math.ceil(sizes.n / columnLanes / threadsPerTile)) continue;
        if (accumulators > mostAccumulators || accumulators * depth > most) continue;
        const rowLanes: Lanes = alongRows && rowTile % 4 === 0 ? 4 : 1;
        const schedule: RegisterSchedule = {
          kind: "matmul-registers",
          swapped,
          workgroupSize,
          rowTile,
          columnTile,
          columnLanes,
          rowLanes,
          depth,
          firstAlongK: ways.firstAlongK,
          secondAlongK: ways.secondAlongK,
          threadsPerTile,
          reasons: ways.reasons,
        };
        candidates.push({ schedule, cost: registerCost(schedule, sizes, { epilogue, profile }) });
      }
    }
  }
  return candidates;
}

const workgroupSize = 16;

interface RegisterWays {
  readonly threadsPerTile: number;
  readonly depth: 1 | 4;
  readonly firstAlongK: boolean;
  readonly secondAlongK: boolean;
  readonly alongRows: boolean;
  readonly reasons: readonly string[];
}

type Along = Contiguity["left"];

/** The ways in which tiles in registers can be loaded: by threads alone or by subgroups, by steps along k or four at once. */
function registerWays(given: {
  readonly first: Along;
  readonly second: Along;
  readonly swapped: boolean;
  readonly profile: AdapterProfile;
}): RegisterWays[] {
  const { first, second, swapped, profile } = given;
  const { features, subgroupSize } = profile;
  const bySubgroup = features.includes("subgroups") && subgroupSize > 1 && workgroupSize % subgroupSize === 0;
  const secondAlongK = second.k && !second.rows;
  const [firstFactor, secondFactor] = swapped ? ["right", "left"] : ["left", "right"];
  return [1, ...(bySubgroup ? [subgroupSize] : [])].flatMap((threadsPerTile) =>
    [...(first.k ? [true] : []), ...(!first.k || threadsPerTile === 1 ? [false] : [])].map((firstAlongK) => ({
      threadsPerTile,
      depth: firstAlongK || secondAlongK ? (4 as const) : (1 as const),
      firstAlongK,
      secondAlongK,
      alongRows: first.rows && !firstAlongK,
      reasons: [
        ...(secondAlongK
          ? [`the ${secondFactor} factor is contiguous along the sum: vec4 loads`]
          : lanesReason(swapped, second.rows ? 4 : 1)),
        ...(firstAlongK ? [`the ${firstFactor} factor is contiguous along the sum: vec4 loads`] : []),
        ...(threadsPerTile > 1 ? [`subgroups of ${threadsPerTile}: each thread loads rows for all by broadcast`] : []),
      ],
    })),
  );
}

/** Beyond this many the registers that hold the second factor are no longer registers. */
const mostStationary = 160;

function stationaryCandidates(
  kernel: Kernel,
  given: MatmulSizes,
  along: Contiguity,
  swapped: boolean,
): Candidate<StationarySchedule>[] {
  const { sizes, second, stored } = roles(given, along, swapped);
  const columnLanes: Lanes = second.rows ? 4 : 1;
  const reasons = [`sums of ${sizes.k}: one factor stays in registers`, ...lanesReason(swapped, columnLanes)];
  return [1, 2, 4].flatMap((columnTile) =>
    [4, 16, 64].flatMap((most) => {
      const fits = columnTile * columnLanes <= sizes.n && sizes.k * columnTile * columnLanes <= mostStationary;
      if (!fits || most / 4 >= sizes.m) return [];
      // The blocks are as even as they can be.
      const rowsPerThread = Math.ceil(sizes.m / Math.ceil(sizes.m / most));
      const tile = { swapped, columnTile, columnLanes, rowsPerThread };
      const schedule = { kind: "matmul-stationary", workgroupSize: 16, ...tile, reasons } as const;
      return [{ schedule, cost: stationaryCost(schedule, sizes, epilogueBytes(kernel, columnLanes, stored)) }];
    }),
  );
}

function lanesReason(swapped: boolean, lanes: Lanes): string[] {
  if (lanes === 1) return ["no factor is contiguous along the result's columns"];
  const [factor, side] = swapped ? ["left", "rows"] : ["right", "columns"];
  return [`the ${factor} factor is contiguous along the result's ${side}`];
}

function workgroupCandidates(
  sizes: MatmulSizes,
  { left, right, columnsTogether }: Contiguity,
  profile: AdapterProfile,
): Candidate<WorkgroupSchedule>[] {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = profile.limits;
  const tiles = [
    { tileM: 128, tileN: 128, tileK: 8, threadM: 8, threadN: 8 },
    { tileM: 64, tileN: 128, tileK: 16, threadM: 4, threadN: 8 },
    { tileM: 128, tileN: 64, tileK: 16, threadM: 8, threadN: 4 },
    { tileM: 64, tileN: 64, tileK: 16, threadM: 4, threadN: 4 },
    { tileM: 16, tileN: 64, tileK: 16, threadM: 2, threadN: 4 },
    { tileM: 64, tileN: 16, tileK: 16, threadM: 4, threadN: 2 },
    { tileM: 32, tileN: 32, tileK: 16, threadM: 4, threadN: 4 },
    { tileM: 16, tileN: 16, tileK: 16, threadM: 2, threadN: 2 },
  ];
  return tiles
    .filter(
      (t) =>
        (t.tileM * t.tileN) / (t.threadM * t.threadN) <= maxComputeInvocationsPerWorkgroup &&
        (t.tileM + t.tileN + 2) * t.tileK * 4 <= maxComputeWorkgroupStorageSize,
    )
    .map((tile) => {
      const count = sizes.batch * Math.ceil(sizes.m / tile.tileM) * Math.ceil(sizes.n / tile.tileN);
      const firstLanes: Lanes = left.k || left.rows ? 4 : 1;
      const secondLanes: Lanes = right.k || right.rows ? 4 : 1;
      const columnLanes: Lanes = columnsTogether && sizes.n % 4 === 0 && tile.threadN % 4 === 0 ? 4 : 1;
      const schedule = {
        kind: "matmul-workgroup",
        swapped: false,
        ...tile,
        firstAlongK: left.k || !left.rows,
        secondAlongK: right.k && !right.rows,
        firstLanes,
        secondLanes,
        columnLanes,
        reasons: [
          `${count} workgroups of a tile each`,
          ...(firstLanes * secondLanes === 16 ? ["both factors are contiguous: vec4 loads"] : []),
          ...(columnLanes === 4 ? ["columns come in fours: vec4 sums and stores"] : []),
        ],
      } as const;
      return { schedule, cost: workgroupCost(schedule, sizes) };
    });
}
