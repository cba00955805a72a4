/** Matrix products without workgroup memory: each thread sums a tile of results in registers. */
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
import { planEpilogue, writeEpilogue, writeTileStores } from "./matmul-epilogue.ts";
import { orderFactors, type RegisterSchedule } from "./matmul-schedule.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";

const laneNames = ["x", "y", "z", "w"] as const;

export function writeRegisterMatmul(
  kernel: Kernel,
  contraction: Contraction,
  schedule: RegisterSchedule,
  context: WriterContext,
): KernelBody {
  const { canonical, profile } = context;
  const { first, second, mAxes, nAxes } = orderFactors(contraction, schedule.swapped);
  const { rowTile, columnTile, columnLanes, rowLanes, workgroupSize } = schedule;
  const constant = (value: number): Expr => canonical.intern(constExpr(value));
  const [m, k] = [sizeOfAxes(mAxes), sizeOfAxes(contraction.inner)];
  const columns = sizeOfAxes(nAxes) / columnLanes;
  const tiles = [
    newAxis(sizeOfAxes(contraction.batch)),
    newAxis(Math.ceil(m / rowTile)),
    newAxis(Math.ceil(columns / columnTile)),
  ] as const;
  const step = newAxis(sizeOfAxes(tiles));
  const places = unravel(tiles, axisOf(step, canonical), canonical);
  const [batch, rowBlock, columnBlock] = tiles.map((axis) => places.get(axis) ?? constant(0)) as [Expr, Expr, Expr];
  const batchParts = unravel(contraction.batch, batch, canonical);

  const [rowLane, columnLane, stepK] = [newAxis(4), newAxis(4), newAxis(k)];
  const inner = unravel(contraction.inner, axisOf(stepK, canonical), canonical);
  const at = (block: Expr, tile: number, offset: number): Expr =>
    canonical.binary("add", canonical.binary("mul", block, constant(tile)), constant(offset));
  /** Beyond the edge the last one is computed again, and not stored. */
  const clamped = (e: Expr, size: number): Expr => canonical.binary("min", e, constant(size - 1));
  const quad = (e: Expr, lane: Axis): Expr =>
    canonical.binary("add", canonical.binary("mul", e, constant(4)), axisOf(lane, canonical));
  const place = (factor: Expr, axes: readonly Axis[], position: Expr): Expr =>
    canonical.rewriter(new Map([...batchParts, ...unravel(axes, position, canonical), ...inner]))(factor);

  const firsts = Array.from({ length: rowTile / rowLanes }, (_, i) => {
    const position = clamped(at(rowBlock, rowTile / rowLanes, i), m / rowLanes);
    return place(first, mAxes, rowLanes === 4 ? quad(position, rowLane) : position);
  });
  const seconds = Array.from({ length: columnTile }, (_, i) => {
    const position = clamped(at(columnBlock, columnTile, i), columns);
    return place(second, nAxes, columnLanes === 4 ? quad(position, columnLane) : position);
  });
  const cells = Array.from({ length: rowTile * columnTile }, (_, i) => {
    const [row, column] = [Math.floor(i / columnTile), i % columnTile];
    return { row, column, name: `acc${row}_${column}` };
  });

  const epilogue = planEpilogue(kernel, contraction, { mAxes, nAxes, lanes: columnLanes }, canonical);
  chooseVectorBindings(
    [
      { lane: rowLane, roots: firsts, stores: [] },
      { lane: columnLane, roots: seconds, stores: [] },
      { lane: epilogue.lane, roots: [], stores: epilogue.stores },
    ],
    context,
  );
  const writer = new ExprWriter(context);
  for (const operand of [...firsts, ...seconds]) writer.countUses(operand);

  const threads = step.size;
  const workgroups = gridOf(Math.ceil(threads / workgroupSize), profile);
  const covered = workgroups[0] * workgroups[1] * workgroups[2] * workgroupSize;
  writeIndex(writer, "tile", `${groupIndex(workgroups)} * ${workgroupSize}u + local`, threads, covered);
  writer.bindAxis(step, "tile");
  for (const lane of [rowLane, columnLane]) writer.bindAxis(lane, "vec4<i32>(0, 1, 2, 3)", 4);
  const type = registerType("f32", columnLanes);
  for (const { name } of cells) writer.statement(`var ${name} = ${type}(0.0);`);
  writer.block(`for (var k = 0; k < ${k}; k++) {`, () => {
    writer.bindAxis(stepK, "k");
    const left = firsts.map((e) => writer.emitNamed(e));
    const right = seconds.map((e) => writer.emitNamed(e).text);
    for (const { row, column, name } of cells) {
      const value = left[Math.floor(row / rowLanes)];
      const lane = value?.lanes === 4 ? `.${laneNames[row % 4] ?? "x"}` : "";
      writer.statement(`${name} += ${value?.text ?? ""}${lane} * ${right[column] ?? ""};`);
    }
  });
  const batchText = writer.emit(batch).text;
  const cell = newAxis(cells.length);
  const within = unravel([newAxis(rowTile), newAxis(columnTile)], axisOf(cell, canonical), canonical);
  const [rowWithin, columnWithin] = [...within.values()].reverse() as [Expr, Expr];
  writeTileStores(writer, { sums: cells.map(({ name }) => name), type, cell }, (sum) => {
    const r = writer.emitNamed(canonical.binary("add", at(rowBlock, rowTile, 0), rowWithin)).text;
    const c = writer.emitNamed(canonical.binary("add", at(columnBlock, columnTile, 0), columnWithin)).text;
    const call = `${context.prefix ?? ""}store_result(${batchText}, ${r}, ${c}, ${sum});`;
    const guards = [m % rowTile ? `${r} < ${m}` : "", columns % columnTile ? `${c} < ${columns}` : ""].filter(Boolean);
    writer.statement(guards.length > 0 ? `if (${guards.join(" && ")}) { ${call} }` : call);
  });
  return {
    declarations: [writeEpilogue(epilogue, context)],
    main: writer.root.render("  "),
    workgroupSize,
    workgroups,
  };
}
