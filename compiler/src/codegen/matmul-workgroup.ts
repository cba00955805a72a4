/**
 * Matrix products on GPUs: the workgroup loads a tile of each factor into workgroup memory, step by step along k, and
 * each thread sums a square of results in registers. Tiles are filled with zeros beyond the edges. Where columns come in
 * fours, a thread's lie in groups of four, apart by the width of the workgroup: neighbouring threads load and store
 * neighbouring vec4s.
 */
import type { Kernel } from "../fuse/kernel.ts";
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import type { Contraction } from "./contraction.ts";
import {
  chooseVectorBindings,
  gridOf,
  groupIndex,
  type KernelBody,
  writeIndex,
  type WriterContext,
} from "./kernel-body.ts";
import { planEpilogue, writeEpilogue } from "./matmul-epilogue.ts";
import { orderFactors, type WorkgroupSchedule } from "./matmul-schedule.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";
import type { Lanes } from "./wgsl-math.ts";

/** A factor, and how its tile is filled and lies in workgroup memory. */
interface TiledFactor {
  readonly name: "first" | "second";
  readonly expr: Expr;
  /** Over rows or columns, or groups of four if a load takes four along them. */
  readonly outer: Axis;
  /** Over steps along k, or groups of four. */
  readonly inner: Axis;
  readonly lane: Axis;
  readonly tile: number;
  readonly tileK: number;
  readonly alongK: boolean;
  readonly lanes: Lanes;
  /** Elements of an entry of the tile. */
  readonly entry: Lanes;
}

/** Between the steps of a tile: entries that lie one by one are apart by an odd number, for the memory's banks. */
function pitchOf({ tile, entry }: TiledFactor): number {
  return entry === 4 ? tile / 4 : tile + 1;
}

export function writeWorkgroupMatmul(
  kernel: Kernel,
  contraction: Contraction,
  schedule: WorkgroupSchedule,
  context: WriterContext,
): KernelBody {
  const { canonical, profile } = context;
  const { first, second, mAxes, nAxes } = orderFactors(contraction, schedule.swapped);
  const { tileM, tileN, tileK, threadM, threadN, columnLanes } = schedule;
  const [m, n, k] = [sizeOfAxes(mAxes), sizeOfAxes(nAxes), sizeOfAxes(contraction.inner)];
  const threadsN = tileN / threadN;
  const threads = (tileM / threadM) * threadsN;
  const columns = threadN / columnLanes;
  const tiles = [
    newAxis(sizeOfAxes(contraction.batch)),
    newAxis(Math.ceil(m / tileM)),
    newAxis(Math.ceil(n / tileN)),
  ] as const;
  const step = newAxis(sizeOfAxes(tiles));
  const places = unravel(tiles, axisOf(step, canonical), canonical);
  const batch = places.get(tiles[0]) ?? axisOf(newAxis(1), canonical);
  const batchParts = unravel(contraction.batch, batch, canonical);
  const tiled = (
    name: TiledFactor["name"],
    factor: Expr,
    { axes, tile, alongK, lanes }: { axes: readonly Axis[]; tile: number; alongK: boolean; lanes: Lanes },
  ): TiledFactor => {
    const [along, across] = [lanes, 1] as const;
    const [outer, inner] = [
      newAxis(sizeOfAxes(axes) / (alongK ? across : along)),
      newAxis(k / (alongK ? along : across)),
    ];
    const lane = newAxis(4);
    const position = (axis: Axis, by: number): Expr =>
      by === 1
        ? axisOf(axis, canonical)
        : canonical.binary(
            "add",
            canonical.binary("mul", axisOf(axis, canonical), canonical.intern(constExpr(by))),
            axisOf(lane, canonical),
          );
    const expr = canonical.rewriter(
      new Map([
        ...batchParts,
        ...unravel(axes, position(outer, alongK ? across : along), canonical),
        ...unravel(contraction.inner, position(inner, alongK ? along : across), canonical),
      ]),
    )(factor);
    const entry: Lanes = name === "second" && lanes === 4 && !alongK && columnLanes === 4 ? 4 : 1;
    return { name, expr, outer, inner, lane, tile, tileK, alongK, lanes, entry };
  };
  const factors = [
    tiled("first", first, {
      axes: mAxes,
      tile: tileM,
      alongK: schedule.firstAlongK,
      lanes: schedule.firstLanes,
    }),
    tiled("second", second, {
      axes: nAxes,
      tile: tileN,
      alongK: schedule.secondAlongK,
      lanes: schedule.secondLanes,
    }),
  ] as const;
  const epilogue = planEpilogue(kernel, contraction, { mAxes, nAxes, lanes: columnLanes }, canonical);
  chooseVectorBindings(
    [
      ...factors.map(({ lane, expr }) => ({ lane, roots: [expr], stores: [] })),
      { lane: epilogue.lane, roots: [], stores: epilogue.stores },
    ],
    context,
  );

  const writer = new ExprWriter(context);
  const workgroups = gridOf(step.size, profile);
  writeIndex(writer, "tile", groupIndex(workgroups), step.size, workgroups[0] * workgroups[1] * workgroups[2]);
  writer.bindAxis(step, "tile");
  writer.statement(`let m_start = ${writer.emit(places.get(tiles[1]) ?? batch).text} * ${tileM};`);
  writer.statement(`let n_start = ${writer.emit(places.get(tiles[2]) ?? batch).text} * ${tileN};`);
  writer.statement(`let m_own = i32(local) / ${threadsN} * ${threadM};`);
  // Of columns, or of groups of four.
  writer.statement(`let n_own = i32(local) % ${threadsN}${columnLanes === 4 ? "" : ` * ${threadN}`};`);
  const columnAt = (column: number): number => column * (columnLanes === 4 ? threadsN : 1);
  const type = registerType("f32", columnLanes);
  const cells = Array.from({ length: threadM * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return { row, column, name: `acc${row}_${column}` };
  });
  for (const { name } of cells) writer.statement(`var ${name} = ${type}(0.0);`);
  writer.block(`for (var k_start = 0; k_start < ${k}; k_start += ${tileK}) {`, () => {
    for (const factor of factors) writeFill(writer, factor, threads);
    writer.statement("workgroupBarrier();");
    writer.block(`for (var k = 0; k < ${tileK}; k++) {`, () => {
      const [left, right] = factors;
      const element = (factor: TiledFactor, at: string): string =>
        `${factor.name}_tile[k * ${pitchOf(factor)} + ${at}]`;
      const firsts = Array.from({ length: threadM }, (_, i) => {
        writer.statement(`let first${i} = ${element(left, `m_own + ${i}`)};`);
        return `first${i}`;
      });
      const seconds = Array.from({ length: columns }, (_, i) => {
        const at = `n_own + ${columnAt(i)}`;
        const lanes = Array.from({ length: columnLanes }, (_, j) => element(right, `(${at}) * ${columnLanes} + ${j}`));
        const apart = columnLanes === 4 ? `vec4<f32>(${lanes.join(", ")})` : element(right, at);
        writer.statement(`let second${i} = ${right.entry === 4 ? element(right, at) : apart};`);
        return `second${i}`;
      });
      for (const { row, column, name } of cells) {
        writer.statement(`${name} += ${firsts[row] ?? ""} * ${seconds[column] ?? ""};`);
      }
    });
    writer.statement("workgroupBarrier();");
  });
  const batchText = writer.emit(batch).text;
  for (const { row, column, name } of cells) {
    const start = columnLanes === 4 ? "n_start / 4" : "n_start";
    const [r, c] = [`m_start + m_own + ${row}`, `${start} + n_own + ${columnAt(column)}`];
    const call = `${context.prefix ?? ""}store_result(${batchText}, ${r}, ${c}, ${name});`;
    const guards = [m % tileM ? `${r} < ${m}` : "", n % tileN ? `${c} < ${n / columnLanes}` : ""].filter(Boolean);
    writer.statement(guards.length > 0 ? `if (${guards.join(" && ")}) { ${call} }` : call);
  }
  return {
    declarations: [
      ...factors.map(
        (factor) =>
          `var<workgroup> ${factor.name}_tile: array<${registerType("f32", factor.entry)}, ${pitchOf(factor) * tileK}>;`,
      ),
      writeEpilogue(epilogue, context),
    ],
    main: writer.root.render("  "),
    workgroupSize: threads,
    workgroups,
  };
}

/** The workgroup's threads load the tile in turns, neighbours along what lies together in memory. */
function writeFill(writer: ExprWriter, factor: TiledFactor, threads: number): void {
  const { name, expr, outer, inner, lane, tile, tileK, alongK, lanes, entry } = factor;
  const [tileOuter, tileInner] = alongK ? [tile, tileK / lanes] : [tile / lanes, tileK];
  writer.block(`for (var e = i32(local); e < ${tileOuter * tileInner}; e += ${threads}) {`, () => {
    writer.statement(`let inner = ${alongK ? `e % ${tileInner}` : `e / ${tileOuter}`};`);
    writer.statement(`let outer = ${alongK ? `e / ${tileInner}` : `e % ${tileOuter}`};`);
    const start = name === "first" ? "m_start" : "n_start";
    writer.statement(`let position = ${start}${alongK || lanes === 1 ? "" : " / 4"} + outer;`);
    writer.statement(`let k = k_start${alongK && lanes === 4 ? " / 4" : ""} + inner;`);
    writer.statement(`var value = ${registerType("f32", lanes)}(0.0);`);
    writer.bindAxis(outer, "position");
    writer.bindAxis(inner, "k");
    writer.bindAxis(lane, "vec4<i32>(0, 1, 2, 3)", 4);
    writer.block(
      `if (position < ${outer.size} && k < ${inner.size}) {`,
      () => {
        writer.countUses(expr);
        writer.statement(`value = ${writer.emitWide(expr, lanes)};`);
      },
      { conditional: true },
    );
    const pitch = pitchOf(factor);
    if (lanes === 1 || entry === 4) {
      writer.statement(`${name}_tile[inner * ${pitch} + outer] = value;`);
      return;
    }
    for (let j = 0; j < 4; j++) {
      const at = alongK ? `(inner * 4 + ${j}) * ${pitch} + outer` : `inner * ${pitch} + outer * 4 + ${j}`;
      writer.statement(`${name}_tile[${at}] = value[${j}];`);
    }
  });
}
