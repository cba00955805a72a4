/**
 * What schedules are estimated to cost, to compare those of one kernel with each other: in nanoseconds on software
 * adapters, in steps of a busy GPU's multiprocessor else.
 *
 * Software adapters (measured on SwiftShader): they compile each access to memory into hundreds of bytes of machine
 * code (bounds, masks, a gather lane by lane), and what runs is bound by how many bytes of code go through the decoder.
 * A loop beyond the instruction cache costs almost double; a sum that is carried around a loop costs more than the
 * multiplication that adds to it. Four threads run as one.
 */
import type { AdapterProfile } from "../executable.ts";
import { costOf, loadCost } from "../fuse/cost.ts";
import type { Kernel } from "../fuse/kernel.ts";
import type { Expr } from "../lower/expr.ts";
import { forEachExpr } from "./bindings.ts";
import type { MatmulSizes, RegisterSchedule, StationarySchedule, WorkgroupSchedule } from "./matmul-schedule.ts";
import type { RowSchedule } from "./schedule.ts";
import { sizeOfAxes } from "./space.ts";
import type { StreamRegisterSchedule, StreamSizes, StreamWorkgroupSchedule } from "./stream-schedule.ts";
import type { Stream } from "./stream.ts";
import type { Lanes } from "./wgsl-math.ts";

/** Bytes of machine code for four threads. */
const code = {
  load: 700,
  laneOfLoad: 560,
  lane: 48,
  carried: 72,
  exchange: 150,
  start: 1000,
  instructionCache: 30_000,
} as const;
/** The same in the loop of a product, whose accesses follow each other and whose multiplications find operands near. */
const product = {
  load: 430,
  laneOfLoad: 300,
  multiply: 58,
  carried: 15,
  broadcast: 70,
  /** From a register to the array of a tile's results, and back in the loop that stores them. */
  result: 40,
  instructionCache: 64_000,
  /** Large loops are what drivers compile longest: 4 µs a byte on SwiftShader, of which this is the share of one run in 40. */
  nanosecondsToCompile: 100,
} as const;
/** The same in the loop of a stream, whose operands are computed beside its sums. */
const stream = { lane: 28, carried: 55, broadcast: 40, operation: 84 } as const;
const threadsAtOnce = 4;
const nanosecondsPerByte = 0.037;
/** Compiling a byte, as a share of the many runs that a kernel is compiled for. */
const nanosecondsToCompile = 30;

/** Threads that an instruction of a software adapter runs for. */
export function widthOf({ subgroupSize }: AdapterProfile): number {
  return subgroupSize || threadsAtOnce;
}

export function accessBytes(lanes: Lanes): number {
  return lanes === 4 ? 4 * code.laneOfLoad : code.load;
}

function productAccess(lanes: Lanes): number {
  return lanes === 4 ? 4 * product.laneOfLoad : product.load;
}

/** What follows the sum for `lanes` columns; apart, the lanes are stored one by one. */
export function epilogueBytes(kernel: Kernel, lanes: Lanes, together: boolean): number {
  const stores = kernel.stages.flatMap((stage) => (stage.kind === "store" ? stage.stores : []));
  const { loads, operations } = contentsOf(stores.map(({ value }) => value));
  const accesses = loads + stores.length;
  return accesses * (together ? accessBytes(lanes) : lanes * accessBytes(1)) + operations * lanes * code.lane;
}

function contentsOf(roots: readonly Expr[]): { loads: number; operations: number } {
  let [loads, operations] = [0, 0];
  forEachExpr(roots, (e) => {
    if (e.op === "load") loads++;
    else if (e.op !== "const" && e.op !== "axis" && e.dtype !== "i32") operations++;
  });
  return { loads, operations };
}

interface CodeSize {
  /** What runs once; of it, `outside` is compiled, since a loop may hold it. */
  readonly once: number;
  readonly outside: number;
  readonly loop: number;
  readonly iterations: number;
}

function softwareCost({ once, outside, loop, iterations }: CodeSize, threads: number): number {
  const pressure = loop > product.instructionCache ? 1.6 : 1;
  const run = (code.start + once + loop * pressure * iterations) * nanosecondsPerByte;
  const compiled = outside * nanosecondsToCompile + loop * product.nanosecondsToCompile;
  return Math.ceil(threads / threadsAtOnce) * run + compiled;
}

export function registerCost(
  schedule: RegisterSchedule,
  { m, n, k, batch }: MatmulSizes,
  { epilogue, profile }: { readonly epilogue: number; readonly profile: AdapterProfile },
): number {
  const { rowTile, columnTile, columnLanes, rowLanes, depth, firstAlongK, secondAlongK, threadsPerTile } = schedule;
  const columns = Math.ceil(n / columnLanes / columnTile / threadsPerTile);
  const threads = batch * Math.ceil(m / rowTile) * columns * threadsPerTile;
  const firstLoads = Math.ceil(rowTile / rowLanes / threadsPerTile);
  const first = firstLoads * (firstAlongK ? productAccess(4) : depth * productAccess(rowLanes));
  const second = columnTile * (secondAlongK ? productAccess(4) : depth * productAccess(columnLanes));
  const shared = threadsPerTile > 1 ? rowTile * depth * product.broadcast : 0;
  const cells = rowTile * columnTile * columnLanes;
  // Accesses are made lane by lane; an operation takes the whole width of the adapter.
  const arithmetic = (cells * (depth * product.multiply + product.carried) * threadsAtOnce) / widthOf(profile);
  const loop = first + second + shared + arithmetic;
  const sums = rowTile * columnTile;
  const stored = epilogue + columnLanes * product.result;
  return softwareCost({ once: sums * stored, outside: epilogue, loop, iterations: k / depth }, threads);
}

export function stationaryCost(
  schedule: StationarySchedule,
  { m, n, k, batch }: MatmulSizes,
  epilogue: number,
): number {
  const { rowsPerThread, columnTile, columnLanes } = schedule;
  const threads = batch * Math.ceil(m / rowsPerThread) * Math.ceil(n / columnLanes / columnTile);
  const once = k * columnTile * productAccess(columnLanes);
  const loop = k * productAccess(1) + columnTile * (k * columnLanes * product.multiply + epilogue);
  return softwareCost({ once, outside: once, loop, iterations: rowsPerThread }, threads);
}

/** Workgroups that a GPU runs at once, about: fewer leave it idle. */
const workgroupsAtOnce = 128;

/**
 * On GPUs: what one workgroup does for a tile, times the rounds that the tiles need. A step along k multiplies
 * threadM · threadN times for threadM + threadN reads of workgroup memory, which take about as long each; a vec4 is one read.
 */
export function workgroupCost(schedule: WorkgroupSchedule, { m, n, k, batch }: MatmulSizes): number {
  const { tileM, tileN, tileK, threadM, threadN, firstLanes, secondLanes, columnLanes } = schedule;
  const tiles = batch * Math.ceil(m / tileM) * Math.ceil(n / tileN);
  const rounds = Math.max(1, tiles / workgroupsAtOnce);
  const threads = (tileM * tileN) / (threadM * threadN);
  const fills = (tileM / firstLanes + tileN / secondLanes) / threads;
  const step = threadM * threadN + threadM + threadN / columnLanes + fills * 4;
  const barriers = (2 * 32) / tileK;
  return rounds * k * (step * (threads / 32) + barriers);
}

/** Threads that a GPU runs at once, about. */
const gpuThreads = 65_536;
const stepsPerAccess = 8;
const stepsPerBarrier = 32;
const stepsPerExchange = 4;

export function rowCost(kernel: Kernel, schedule: RowSchedule, profile: AdapterProfile): number {
  const { threadsPerRow, bySubgroups, rowLanes, rowsInTurn, stageLanes } = schedule;
  const directly = bySubgroups ? Math.min(profile.subgroupSize, threadsPerRow) : 1;
  const exchanges = Math.log2(directly);
  const barriers = threadsPerRow === directly ? 0 : bySubgroups ? 1 : Math.log2(threadsPerRow);
  const threads = Math.ceil(sizeOfAxes(kernel.rows) / rowLanes / rowsInTurn) * threadsPerRow;
  let [once, loops, bytes, steps] = [0, 0, 0, 0];
  kernel.stages.forEach((stage, i) => {
    const roots = stage.kind === "reduce" ? stage.reductions.map((r) => r.body) : stage.stores.map((s) => s.value);
    const { loads, operations } = contentsOf(roots);
    const lanes = rowLanes === 4 ? 4 : (stageLanes[i] ?? 1);
    const accesses = loads + (stage.kind === "store" ? stage.stores.length : 0);
    const carried = stage.kind === "reduce" ? stage.reductions.length : 0;
    const iterations = Math.ceil(sizeOfAxes(stage.axes) / (stageLanes[i] ?? 1) / threadsPerRow);
    const body = accesses * accessBytes(lanes) + lanes * (operations * code.lane + carried * code.carried);
    if (iterations > 1) loops += body;
    else once += body;
    bytes += body * iterations;
    steps += (accesses * stepsPerAccess + (operations + carried) * lanes) * iterations;
    if (carried > 0) {
      bytes += exchanges * code.exchange + barriers * code.instructionCache;
      steps += exchanges * stepsPerExchange + barriers * stepsPerBarrier;
    }
  });
  if (profile.class === "gpu") return steps * rowsInTurn * Math.max(1, threads / gpuThreads);
  return (
    Math.ceil(threads / threadsAtOnce) * (code.start + bytes * rowsInTurn) * nanosecondsPerByte +
    (once + loops) * nanosecondsToCompile
  );
}

/** A load counts as an access; everything else as it does in fusion. */
function bytesOfValue(roots: readonly Expr[]): number {
  const { loads } = contentsOf(roots);
  return loads * accessBytes(1) + Math.max(0, costOf(roots) - loads * loadCost) * stream.operation;
}

export function streamRegisterCost(
  { rowTile, columnTile, columnLanes, threadsPerTile }: StreamRegisterSchedule,
  { passes }: Stream,
  { m, n, k, batch }: StreamSizes,
): number {
  const tiles = batch * Math.ceil(m / rowTile) * Math.ceil(n / columnLanes / columnTile / threadsPerTile);
  let [once, loop] = [0, 0];
  for (const { inner, maximum, rows, products } of passes) {
    for (const { axes } of inner) {
      const walks = maximum ? 2 : 1;
      const quads = sizeOfAxes(axes) / 4;
      loop += walks * quads * ((rowTile + 1) * accessBytes(4) + rowTile * 4 * stream.operation);
    }
    const sums = rowTile * columnTile * columnLanes;
    const reduced = [...(maximum ? [maximum] : []), ...rows];
    const own = bytesOfValue([...reduced.map(({ body }) => body), ...products.map(({ left }) => left)]);
    // What a thread does for as many steps along the loop as its subgroup has threads.
    const right = columnTile * accessBytes(columnLanes) + sums * stream.lane;
    const shared = threadsPerTile > 1 ? rowTile * stream.broadcast : 0;
    loop += rowTile * (own + reduced.length * stream.carried);
    loop += products.length * (threadsPerTile * (right + shared) + sums * stream.carried);
    // The results are stored in a loop.
    once += products.length * (accessBytes(columnLanes) + sums * stream.lane);
  }
  return softwareCost({ once, outside: once, loop, iterations: k / threadsPerTile }, tiles * threadsPerTile);
}

export function streamWorkgroupCost(
  { threads, cellM, cellK, cellN }: StreamWorkgroupSchedule,
  { passes }: Stream,
  { m, n, k, batch }: StreamSizes,
): number {
  const [tileM, tileK, tileN] = [threads * cellM, threads * cellK, threads * cellN];
  const tiles = batch * Math.ceil(m / tileM) * Math.ceil(n / tileN);
  const rounds = Math.max(1, tiles / workgroupsAtOnce);
  // Along k: the products, the maxima of the thread's rows, its cells of the factors, and the barriers of a tile.
  const multiplied = cellM * cellN + cellM + cellN + 2 * cellM;
  const cells = (cellM * cellK * (stepsPerAccess + 20) + cellN * cellK * stepsPerAccess) / tileK;
  const barriers = (4 * stepsPerBarrier) / tileK;
  const depth = passes.reduce(
    (sum, { inner }) => sum + inner.reduce((total, { axes }) => total + sizeOfAxes(axes), 0),
    0,
  );
  const inner = (depth * (cellM * cellK + cellM + cellK)) / tileK;
  return rounds * Math.ceil(k / tileK) * tileK * ((multiplied + cells + inner) * (threads ** 2 / 32) + barriers);
}
