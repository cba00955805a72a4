/**
 * Matrix products on GPUs: the workgroup loads a tile of each factor into workgroup memory, step by step along k, and
 * each thread sums a square of results in registers. Tiles are filled with zeros beyond the edges.
 */
import type { Kernel } from "../fuse/kernel.ts";
import { type Axis, type Expr, newAxis } from "../lower/expr.ts";
import type { Contraction } from "./contraction.ts";
import { gridOf, groupIndex, type KernelBody, writeIndex, type WriterContext } from "./kernel-body.ts";
import { planEpilogue, writeEpilogue } from "./matmul-epilogue.ts";
import { orderFactors, type WorkgroupSchedule } from "./matmul-schedule.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { ExprWriter } from "./wgsl-expr.ts";

export function writeWorkgroupMatmul(
  kernel: Kernel,
  contraction: Contraction,
  schedule: WorkgroupSchedule,
  context: WriterContext,
): KernelBody {
  const { canonical, profile } = context;
  const { first, second, mAxes, nAxes } = orderFactors(contraction, schedule.swapped);
  const { tileM, tileN, tileK, threadM, threadN, firstAlongK, secondAlongK } = schedule;
  const [m, n, k] = [sizeOfAxes(mAxes), sizeOfAxes(nAxes), sizeOfAxes(contraction.inner)];
  const threadsN = tileN / threadN;
  const threads = (tileM / threadM) * threadsN;
  const tiles = [
    newAxis(sizeOfAxes(contraction.batch)),
    newAxis(Math.ceil(m / tileM)),
    newAxis(Math.ceil(n / tileN)),
  ] as const;
  const step = newAxis(sizeOfAxes(tiles));
  const places = unravel(tiles, axisOf(step, canonical), canonical);
  const batch = places.get(tiles[0]) ?? axisOf(newAxis(1), canonical);
  const [mAxis, nAxis, kAxis] = [newAxis(m), newAxis(n), newAxis(k)];
  const inner = unravel(contraction.inner, axisOf(kAxis, canonical), canonical);
  const batchParts = unravel(contraction.batch, batch, canonical);
  const rewrite = (factor: Expr, axes: readonly Axis[], along: Axis): Expr =>
    canonical.rewriter(new Map([...batchParts, ...unravel(axes, axisOf(along, canonical), canonical), ...inner]))(
      factor,
    );
  const factors = [
    { expr: rewrite(first, mAxes, mAxis), axis: mAxis, size: m, tile: tileM, name: "first", alongK: firstAlongK },
    { expr: rewrite(second, nAxes, nAxis), axis: nAxis, size: n, tile: tileN, name: "second", alongK: secondAlongK },
  ] as const;

  const writer = new ExprWriter(context);
  const workgroups = gridOf(step.size, profile);
  writeIndex(writer, "tile", groupIndex(workgroups), step.size, workgroups[0] * workgroups[1] * workgroups[2]);
  writer.bindAxis(step, "tile");
  writer.statement(`let m_start = ${writer.emit(places.get(tiles[1]) ?? batch).text} * ${tileM};`);
  writer.statement(`let n_start = ${writer.emit(places.get(tiles[2]) ?? batch).text} * ${tileN};`);
  writer.statement(`let m_own = i32(local) / ${threadsN} * ${threadM};`);
  writer.statement(`let n_own = i32(local) % ${threadsN} * ${threadN};`);
  const cells = Array.from({ length: threadM * threadN }, (_, i) => {
    const [row, column] = [Math.floor(i / threadN), i % threadN];
    return { row, column, name: `acc${row}_${column}` };
  });
  for (const { name } of cells) writer.statement(`var ${name} = 0.0;`);
  writer.block(`for (var k_start = 0; k_start < ${k}; k_start += ${tileK}) {`, () => {
    for (const { expr, axis, size, tile, name, alongK } of factors) {
      writer.block(`for (var e = i32(local); e < ${tile * tileK}; e += ${threads}) {`, () => {
        writer.statement(`let inner = ${alongK ? `e % ${tileK}` : `e / ${tile}`};`);
        writer.statement(`let outer = ${alongK ? `e / ${tileK}` : `e % ${tile}`};`);
        writer.statement(`let position = ${name === "first" ? "m_start" : "n_start"} + outer;`);
        writer.statement("let k = k_start + inner;");
        writer.statement("var value = 0.0;");
        writer.bindAxis(axis, "position");
        writer.bindAxis(kAxis, "k");
        writer.block(
          `if (position < ${size} && k < ${k}) {`,
          () => {
            writer.countUses(expr);
            writer.statement(`value = ${writer.emit(expr).text};`);
          },
          { conditional: true },
        );
        writer.statement(`${name}_tile[inner * ${tile + 1} + outer] = value;`);
      });
    }
    writer.statement("workgroupBarrier();");
    writer.block(`for (var k = 0; k < ${tileK}; k++) {`, () => {
      const load = (name: string, own: string, tile: number, i: number): string => {
        const value = `${name}${i}`;
        writer.statement(`let ${value} = ${name}_tile[k * ${tile + 1} + ${own} + ${i}];`);
        return value;
      };
      const firsts = Array.from({ length: threadM }, (_, i) => load("first", "m_own", tileM, i));
      const seconds = Array.from({ length: threadN }, (_, i) => load("second", "n_own", tileN, i));
      for (const { row, column, name } of cells) {
        writer.statement(`${name} += ${firsts[row] ?? ""} * ${seconds[column] ?? ""};`);
      }
    });
    writer.statement("workgroupBarrier();");
  });
  const batchText = writer.emit(batch).text;
  for (const { row, column, name } of cells) {
    const [r, c] = [`m_start + m_own + ${row}`, `n_start + n_own + ${column}`];
    const call = `${context.prefix ?? ""}store_result(${batchText}, ${r}, ${c}, ${name});`;
    const guards = [m % tileM ? `${r} < ${m}` : "", n % tileN ? `${c} < ${n}` : ""].filter(Boolean);
    writer.statement(guards.length > 0 ? `if (${guards.join(" && ")}) { ${call} }` : call);
  }
  const epilogue = planEpilogue(kernel, contraction, { mAxes, nAxes, lanes: 1 }, canonical);
  return {
    declarations: [
      ...factors.map(({ name, tile }) => `var<workgroup> ${name}_tile: array<f32, ${(tile + 1) * tileK}>;`),
      writeEpilogue(epilogue, context),
    ],
    main: writer.root.render("  "),
    workgroupSize: threads,
    workgroups,
  };
}
