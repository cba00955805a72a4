/**
 * Kernels with columns without workgroup memory: a thread walks along the loop once for each stage, with what its rows
 * reduce and a tile of the products' sums in registers. A maximum is known before it is needed: to scale sums as it grows
 * would be a branch in the loop, which software adapters pay for with a choice for every sum. The threads of a subgroup that
 * have the same rows each take one step in as many: what they compute there, and reduce, they then broadcast.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Kernel } from "../fuse/kernel.ts";
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import { chooseVectorBindings, type KernelBody, type WriterContext } from "./kernel-body.ts";
import { liesAlong } from "./lanes.ts";
import { planEpilogueOf, writeEpilogue } from "./matmul-epilogue.ts";
import { RegisterTiles } from "./register-tiles.ts";
import { axisOf, linearSpace, sizeOfAxes, unravel } from "./space.ts";
import type { StreamRegisterSchedule } from "./stream-schedule.ts";
import { epilogueInputs, ownInner, ownReductions, StreamSums } from "./stream-sums.ts";
import { type Pass, passesInTurn, type Product, type Stream } from "./stream.ts";
import { ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";

/** A row of the thread: its expressions, with reductions of its own. */
interface Row {
  readonly place: (e: Expr) => Expr;
  readonly own: (reduction: number) => number;
  readonly ownInner: (sum: number) => number;
}

/** An inner sum: its loop, and its factors along it, where the thread's rows and its own step are. */
interface InnerLoop {
  readonly step: Axis;
  readonly lane: Axis | null;
  readonly fixed: readonly Expr[];
  readonly moving: Expr;
}

export function writeRegisterStream(
  kernel: Kernel,
  stream: Stream,
  schedule: StreamRegisterSchedule,
  context: WriterContext,
): KernelBody {
  const { canonical } = context;
  const { rowTile, columnTile, columnLanes, threadsPerTile, workgroupSize } = schedule;
  const constant = (value: number): Expr => canonical.intern(constExpr(value));
  const k = sizeOfAxes(stream.inner);
  const space = { batch: stream.batch, rows: stream.leftRows, columns: stream.columns };
  const tiles = new RegisterTiles(space, schedule, canonical);
  const batchParts = unravel(stream.batch, tiles.batch, canonical);
  /** Beyond the edge the last one is computed again, and not stored. */
  const clamped = (e: Expr, size: number): Expr => canonical.binary("min", e, constant(size - 1));

  // The step of the thread itself, and the one of which all threads of the tile sum the products.
  const [ownStep, commonStep, columnLane] = [newAxis(k), newAxis(k), newAxis(4)];
  const rowAxes = (i: number): ReadonlyMap<Axis, Expr> =>
    new Map([
      ...batchParts,
      ...unravel(stream.leftRows, clamped(tiles.rowAt(constant(i)), tiles.rows), canonical),
      ...unravel(stream.inner, axisOf(ownStep, canonical), canonical),
    ]);
  const rows = Array.from({ length: rowTile }, (_, i): Row => {
    const { own, substitution } = ownReductions(stream, i, canonical);
    const inner = ownInner(stream, i, canonical);
    const place = canonical.rewriter(rowAxes(i), new Map([...substitution, ...inner.substitution]));
    return { own, ownInner: inner.own, place };
  });
  const innerLoops = new Map(
    stream.passes
      .flatMap((pass) => pass.inner)
      .map((sum): [number, InnerLoop] => {
        const inSpace = [...kernel.rows, ...stream.inner, ...sum.axes];
        const inLanes = [sum.fixed, sum.moving].every((e) => liesAlong(e, sum.axes, inSpace, context));
        const { step: along, lane, substitution } = linearSpace(sum.axes, inLanes ? 4 : 1, canonical);
        const placed = (i: number, e: Expr): Expr => canonical.rewriter(new Map([...rowAxes(i), ...substitution]))(e);
        const fixed = rows.map((_, i) => placed(i, sum.fixed));
        return [sum.id, { step: along, lane, fixed, moving: placed(0, sum.moving) }];
      }),
  );
  const fourth = (quad: Expr, lane: Expr): Expr =>
    canonical.binary("add", canonical.binary("mul", quad, constant(4)), lane);
  const rightsOf = ({ right }: Product): Expr[] =>
    Array.from({ length: columnTile }, (_, i) => {
      const position = clamped(tiles.columnAt(constant(i)), tiles.columns);
      const column = columnLanes === 4 ? fourth(position, axisOf(columnLane, canonical)) : position;
      const inner = unravel(stream.inner, axisOf(commonStep, canonical), canonical);
      return canonical.rewriter(new Map([...batchParts, ...inner, ...unravel(stream.columns, column, canonical)]))(
        right,
      );
    });
  const rights = new Map(stream.passes.flatMap(({ products }) => products.map((p) => [p, rightsOf(p)] as const)));

  const inputs = epilogueInputs(kernel, stream, columnLanes);
  const stored = { mAxes: stream.leftRows, nAxes: stream.columns, lanes: columnLanes };
  const epilogue = planEpilogueOf(kernel, stream.batch, inputs, stored, canonical);
  chooseVectorBindings(
    [
      { lane: columnLane, roots: [...rights.values()].flat(), stores: [] },
      ...[...innerLoops.values()].flatMap(({ lane, fixed, moving }) =>
        lane ? [{ lane, roots: [...fixed, moving], stores: [] }] : [],
      ),
      { lane: epilogue.lane, roots: [], stores: epilogue.stores },
    ],
    context,
  );

  const writer = new ExprWriter(context);
  const workgroups = tiles.writePlace(writer);
  writer.bindAxis(columnLane, "vec4<i32>(0, 1, 2, 3)", 4);
  const sums = new StreamSums(writer, context, { rows: rowTile, columns: columnTile, lanes: columnLanes });
  for (const pass of passesInTurn(stream)) {
    sums.declare(pass);
    const steps = (count: number, start: string, isTail: boolean): void => {
      const passContext = { rows, innerLoops, rights, sums, writer, count, start, isTail, commonStep, threadsPerTile };
      if (threadsPerTile > 1) {
        const own = `${start} + member`;
        writer.statement(`let own = ${isTail ? `min(${own}, ${k - 1})` : own};`);
      }
      writer.bindAxis(ownStep, threadsPerTile > 1 ? "own" : start);
      writeSteps(pass, passContext);
    };
    const whole = k - (k % threadsPerTile);
    if (whole > 0) {
      const advance = threadsPerTile > 1 ? `k += ${threadsPerTile}` : "k++";
      writer.block(`for (var k = 0; k < ${whole}; ${advance}) {`, () => steps(threadsPerTile, "k", false));
    }
    if (whole < k) writer.block("{", () => steps(k - whole, String(whole), true));
    for (const reduction of pass.rows) {
      if (threadsPerTile > 1) sums.broadcast(reduction, threadsPerTile);
    }
    sums.finish(pass);
    for (const { id } of pass.rows) {
      rows.forEach(({ own }, row) => writer.bindReduction(own(id), sums.resultOf(id, row, 0), 1));
    }
  }

  const cells = Array.from(
    { length: rowTile * columnTile },
    (_, i) => [Math.floor(i / columnTile), i % columnTile] as const,
  );
  const results = inputs.map(({ reduction, dtype, lanes }) => ({
    type: registerType(dtype, lanes),
    values: cells.map(([row, column]) => sums.resultOf(reduction, row, column)),
  }));
  tiles.writeStores(writer, results);
  return {
    declarations: [writeEpilogue(epilogue, context)],
    main: writer.root.render("  "),
    workgroupSize,
    workgroups,
  };
}

interface StepContext {
  readonly rows: readonly Row[];
  readonly innerLoops: ReadonlyMap<number, InnerLoop>;
  readonly rights: ReadonlyMap<Product, readonly Expr[]>;
  readonly sums: StreamSums;
  readonly writer: ExprWriter;
  /** Steps from `start` on, one for each thread of the tile; fewer in the tail. */
  readonly count: number;
  readonly start: string;
  readonly isTail: boolean;
  readonly commonStep: Parameters<ExprWriter["bindAxis"]>[0];
  readonly threadsPerTile: number;
}

/** The sum for each row, at the thread's own step. */
function writeInner(id: number, { rows, innerLoops, writer }: StepContext): void {
  const loop = innerLoops.get(id);
  invariant(loop, "an inner sum has a loop");
  const names = rows.map(() => writer.fresh("s"));
  for (const name of names) writer.statement(`var ${name} = 0.0;`);
  for (const root of [...loop.fixed, loop.moving]) writer.countUses(root);
  writer.block(`for (var d = 0; d < ${loop.step.size}; d++) {`, () => {
    writer.bindAxis(loop.step, "d");
    if (loop.lane) writer.bindAxis(loop.lane, "vec4<i32>(0, 1, 2, 3)", 4);
    const moving = writer.emitNamed(loop.moving).text;
    loop.fixed.forEach((e, row) => {
      const fixed = writer.emitNamed(e).text;
      const product = loop.lane ? `dot(${fixed}, ${moving})` : `${fixed} * ${moving}`;
      writer.statement(`${names[row] ?? ""} += ${product};`);
    });
  });
  rows.forEach(({ ownInner: own }, row) => writer.bindReduction(own(id), names[row] ?? "", 1));
}

/** As many steps along the loop as the tile has threads: each computes its own, and all sum the products of each. */
function writeSteps(pass: Pass, context: StepContext): void {
  const { rows, rights, sums, writer, count, start, isTail, commonStep, threadsPerTile } = context;
  const { products } = pass;
  const lefts = products.map(({ left }) => rows.map(({ place }) => place(left)));
  const values = pass.rows.map(({ body }) => rows.map(({ place }) => place(body)));
  for (const root of [...lefts, ...values].flat()) writer.countUses(root);
  for (const root of products.flatMap((product) => rights.get(product) ?? [])) writer.countUses(root);
  for (const { id } of pass.inner) writeInner(id, context);
  const left = lefts.map((ofRows) => ofRows.map((e) => writer.emitNamed(e).text));
  pass.rows.forEach((reduction, i) =>
    (values[i] ?? []).forEach((e, row) => {
      const value = writer.emit(e).text;
      const inside = isTail ? `select(${sums.neutralOf(reduction)}, ${value}, member < ${count})` : value;
      sums.add(reduction, row, inside);
    }),
  );
  if (products.length === 0) return;
  for (let j = 0; j < count; j++) {
    writer.block("{", () => {
      writer.bindAxis(commonStep, j === 0 ? start : isTail ? String(Number(start) + j) : `(${start} + ${j})`);
      products.forEach((product, i) => {
        const right = (rights.get(product) ?? []).map((e) => writer.emitNamed(e).text);
        rows.forEach((_, row) => {
          const own = left[i]?.[row] ?? "";
          const shared = threadsPerTile > 1 ? `subgroupBroadcast(${own}, ${j}u)` : own;
          const name = threadsPerTile > 1 ? writer.fresh("x") : own;
          if (threadsPerTile > 1) writer.statement(`let ${name} = ${shared};`);
          right.forEach((value, column) => sums.addProduct(product, row, column, name, value));
        });
      });
    });
  }
}
