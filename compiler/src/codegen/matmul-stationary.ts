/**
 * Matrix products of short sums: each thread keeps its columns of the second factor in registers, for all of k, and
 * walks along rows of the first.
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
import { orderFactors, type StationarySchedule } from "./matmul-schedule.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";

export function writeStationaryMatmul(
  kernel: Kernel,
  contraction: Contraction,
  schedule: StationarySchedule,
  context: WriterContext,
): KernelBody {
  const { canonical, profile } = context;
  const { first, second, mAxes, nAxes } = orderFactors(contraction, schedule.swapped);
  const { rowsPerThread, columnTile, columnLanes, workgroupSize } = schedule;
  const constant = (value: number): Expr => canonical.intern(constExpr(value));
  const m = sizeOfAxes(mAxes);
  const columns = sizeOfAxes(nAxes) / columnLanes;
  const tiles = [
    newAxis(sizeOfAxes(contraction.batch)),
    newAxis(Math.ceil(m / rowsPerThread)),
    newAxis(Math.ceil(columns / columnTile)),
  ] as const;
  const step = newAxis(sizeOfAxes(tiles));
  const places = unravel(tiles, axisOf(step, canonical), canonical);
  const [batch, rowBlock, columnBlock] = tiles.map((axis) => places.get(axis) ?? constant(0)) as [Expr, Expr, Expr];
  const batchParts = unravel(contraction.batch, batch, canonical);
  const [row, lane] = [newAxis(m), newAxis(4)];
  const steps = Array.from({ length: sizeOfAxes(contraction.inner) }, (_, i) =>
    unravel(contraction.inner, constant(i), canonical),
  );
  const place = (factor: Expr, axes: readonly Axis[], position: Expr, inner: ReadonlyMap<Axis, Expr>): Expr =>
    canonical.rewriter(new Map([...batchParts, ...unravel(axes, position, canonical), ...inner]))(factor);
  const columnAt = (i: number): Expr =>
    canonical.binary("add", canonical.binary("mul", columnBlock, constant(columnTile)), constant(i));

  const firsts = steps.map((inner) => place(first, mAxes, axisOf(row, canonical), inner));
  const seconds = Array.from({ length: columnTile }, (_, i) => {
    // Beyond the edge the last one is computed again, and not stored.
    const column = canonical.binary("min", columnAt(i), constant(columns - 1));
    const quad = canonical.binary("add", canonical.binary("mul", column, constant(4)), axisOf(lane, canonical));
    return steps.map((inner) => place(second, nAxes, columnLanes === 4 ? quad : column, inner));
  });
  const epilogue = planEpilogue(kernel, contraction, { mAxes, nAxes, lanes: columnLanes }, canonical);
  chooseVectorBindings(
    [
      { lane, roots: seconds.flat(), stores: [] },
      { lane: epilogue.lane, roots: [], stores: epilogue.stores },
    ],
    context,
  );
  const writer = new ExprWriter(context);
  for (const operand of [...firsts, ...seconds.flat()]) writer.countUses(operand);

  const workgroups = gridOf(Math.ceil(step.size / workgroupSize), profile);
  const covered = workgroups[0] * workgroups[1] * workgroups[2] * workgroupSize;
  writeIndex(writer, "tile", `${groupIndex(workgroups)} * ${workgroupSize}u + local`, step.size, covered);
  writer.bindAxis(step, "tile");
  writer.bindAxis(lane, "vec4<i32>(0, 1, 2, 3)", 4);
  const batchText = writer.emit(batch).text;
  const columnTexts = seconds.map((_, i) => writer.emitNamed(columnAt(i)).text);
  const kept = seconds.map((column) => column.map((e) => writer.emitNamed(e)));
  writer.statement(`let start = ${writer.emit(rowBlock).text} * ${rowsPerThread};`);
  const end = m % rowsPerThread ? `min(start + ${rowsPerThread}, ${m})` : `start + ${rowsPerThread}`;
  writer.block(`for (var m = start; m < ${end}; m++) {`, () => {
    writer.bindAxis(row, "m");
    const left = firsts.map((e) => writer.emitNamed(e).text);
    kept.forEach((column, i) => {
      const sum = writer.fresh("sum");
      writer.statement(`var ${sum} = ${registerType("f32", columnLanes)}(0.0);`);
      column.forEach((value, j) => writer.statement(`${sum} += ${left[j] ?? ""} * ${value.text};`));
      const call = `${context.prefix ?? ""}store_result(${batchText}, m, ${columnTexts[i] ?? ""}, ${sum});`;
      writer.statement(columns % columnTile ? `if (${columnTexts[i] ?? ""} < ${columns}) { ${call} }` : call);
    });
  });
  return {
    declarations: [writeEpilogue(epilogue, context)],
    main: writer.root.render("  "),
    workgroupSize,
    workgroups,
  };
}
