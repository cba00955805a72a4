/**
 * Kernels with columns on GPUs. Step by step along the loop the workgroup computes a tile of the left factors, each element
 * once, and loads a tile of the right ones; both lie in workgroup memory while every thread sums its rows and columns. The
 * threads of a row each reduce a part of it; its maximum, which all of them need at each step, they exchange.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Kernel, Reduction } from "../fuse/kernel.ts";
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import { gridOf, groupIndex, type KernelBody, writeIndex, type WriterContext } from "./kernel-body.ts";
import { planEpilogueOf, writeEpilogue } from "./matmul-epilogue.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { innerTile, streamSizes, type StreamWorkgroupSchedule } from "./stream-schedule.ts";
import { epilogueInputs, ownInner, ownReductions, StreamSums } from "./stream-sums.ts";
import type { InnerProduct, Pass, Product, Stream } from "./stream.ts";
import { bare, ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";
import { accumulatorType, combineText } from "./wgsl-operators.ts";

/** A row of a thread, and what lies in it at each of the thread's places along the loop. */
interface Row {
  readonly own: (reduction: number) => number;
  readonly cells: readonly Cell[];
}

interface Cell {
  readonly place: (e: Expr) => Expr;
  readonly ownInner: (sum: number) => number;
}

export function writeWorkgroupStream(
  kernel: Kernel,
  stream: Stream,
  schedule: StreamWorkgroupSchedule,
  context: WriterContext,
): KernelBody {
  const { canonical, profile } = context;
  const { threads, cellM, cellK, cellN } = schedule;
  const [tileM, tileK, tileN] = [threads * cellM, threads * cellK, threads * cellN];
  const { batch: batches, m, n, k } = streamSizes(stream);
  const tiles = [newAxis(batches), newAxis(Math.ceil(m / tileM)), newAxis(Math.ceil(n / tileN))] as const;
  const step = newAxis(sizeOfAxes(tiles));
  const places = unravel(tiles, axisOf(step, canonical), canonical);
  const [batch, rowTile, columnTile] = tiles.map((axis) => places.get(axis) ?? canonical.intern(constExpr(0))) as [
    Expr,
    Expr,
    Expr,
  ];
  const batchParts = unravel(stream.batch, batch, canonical);
  const rowAxes = Array.from({ length: cellM }, () => newAxis(m));
  const stepAxes = Array.from({ length: cellK }, () => newAxis(k));
  const rows = rowAxes.map((rowAxis, i): Row => {
    const { own, substitution } = ownReductions(stream, i, canonical);
    const around = [...batchParts, ...unravel(stream.leftRows, axisOf(rowAxis, canonical), canonical)];
    const cells = stepAxes.map((axis, j) => {
      const inner = ownInner(stream, i * cellK + j, canonical);
      const axes = new Map([...around, ...unravel(stream.inner, axisOf(axis, canonical), canonical)]);
      const place = canonical.rewriter(axes, new Map([...substitution, ...inner.substitution]));
      return { place, ownInner: inner.own };
    });
    return { own, cells };
  });

  const writer = new ExprWriter(context);
  const workgroups = gridOf(step.size, profile);
  writeIndex(writer, "tile", groupIndex(workgroups), step.size, workgroups[0] * workgroups[1] * workgroups[2]);
  writer.bindAxis(step, "tile");
  writer.statement(`let m_start = ${writer.emit(rowTile).text} * ${tileM};`);
  writer.statement(`let m_own = m_start + i32(local) / ${threads} * ${cellM};`);
  writer.statement(`let n_start = ${writer.emit(columnTile).text} * ${tileN};`);
  writer.statement(`let row_start = i32(local) / ${threads} * ${cellM};`);
  writer.statement(`let along = i32(local) % ${threads};`);
  rowAxes.forEach((axis, i) => {
    // Beyond the edge the last one is computed again, and not stored.
    const own = i === 0 ? "m_own" : `m_own + ${i}`;
    writer.statement(`let m${i} = ${m % tileM ? `min(${own}, ${m - 1})` : own};`);
    writer.bindAxis(axis, `m${i}`);
  });

  const sums = new StreamSums(writer, context, { rows: cellM, columns: cellN, lanes: 1 });
  const tile = new TileWriter({ writer, context, stream, schedule, rows, sums, stepAxes, batchParts });
  for (const pass of stream.passes) {
    sums.declare(pass);
    writer.block(`for (var k_start = 0; k_start < ${k}; k_start += ${tileK}) {`, () => tile.step(pass));
    for (const reduction of pass.rows) tile.exchange(reduction);
    sums.finish(pass);
    for (const { id } of pass.maximum ? [pass.maximum, ...pass.rows] : pass.rows) {
      rows.forEach(({ own }, row) => writer.bindReduction(own(id), sums.resultOf(id, row, 0), 1));
    }
  }

  const batchText = writer.emit(batch).text;
  const inputs = epilogueInputs(kernel, stream, 1);
  for (let row = 0; row < cellM; row++) {
    for (let column = 0; column < cellN; column++) {
      const [r, c] = [`m_own + ${row}`, `n_start + along + ${column * threads}`];
      const results = inputs.map(({ reduction }) => sums.resultOf(reduction, row, column));
      const call = `${context.prefix ?? ""}store_result(${[batchText, r, c, ...results].join(", ")});`;
      const guards = [m % tileM ? `${r} < ${m}` : "", n % tileN ? `${c} < ${n}` : ""].filter(Boolean);
      writer.statement(guards.length > 0 ? `if (${guards.join(" && ")}) { ${call} }` : call);
    }
  }
  const space = { mAxes: stream.leftRows, nAxes: stream.columns, lanes: 1 } as const;
  const epilogue = planEpilogueOf(kernel, stream.batch, inputs, space, canonical);
  return {
    declarations: [...tile.declarations(), writeEpilogue(epilogue, context)],
    main: writer.root.render("  "),
    workgroupSize: threads * threads,
    workgroups,
  };
}

interface TileContext {
  readonly writer: ExprWriter;
  readonly context: WriterContext;
  readonly stream: Stream;
  readonly schedule: StreamWorkgroupSchedule;
  readonly rows: readonly Row[];
  readonly sums: StreamSums;
  readonly stepAxes: readonly Axis[];
  readonly batchParts: ReadonlyMap<Axis, Expr>;
}

/** Writes the step of a workgroup along the loop. */
class TileWriter {
  private readonly at: TileContext;
  /** Sizes of workgroup arrays, by name; those of one name are used in turn. */
  private readonly arrays = new Map<string, { readonly type: string; readonly size: number }>();

  constructor(at: TileContext) {
    this.at = at;
  }

  private get tile(): { readonly m: number; readonly n: number; readonly k: number } {
    const { threads, cellM, cellN, cellK } = this.at.schedule;
    return { m: threads * cellM, n: threads * cellN, k: threads * cellK };
  }

  private get prefix(): string {
    return this.at.context.prefix ?? "";
  }

  declarations(): string[] {
    return [...this.arrays].map(([name, { type, size }]) => `var<workgroup> ${name}: array<${type}, ${size}>;`);
  }

  private array(name: string, type: string, size: number): string {
    const full = `${this.prefix}${name}`;
    this.arrays.set(full, { type, size: Math.max(size, this.arrays.get(full)?.size ?? 0) });
    return full;
  }

  /** One value of each thread for each of its rows. */
  private partials(type: string): string {
    return this.array(`partial_${type}`, type, this.tile.m * (this.at.schedule.threads + 1));
  }

  private partialAt(row: number, thread: string): string {
    return `(row_start + ${row}) * ${this.at.schedule.threads + 1} + ${thread}`;
  }

  step(pass: Pass): void {
    const { writer, stream, rows, sums, stepAxes, schedule } = this.at;
    const { k } = streamSizes(stream);
    const { threads } = schedule;
    stepAxes.forEach((axis, j) => {
      writer.statement(`let k${j} = k_start + along + ${j * threads};`);
      const edge = k % this.tile.k !== 0;
      if (edge) writer.statement(`let at${j} = min(k${j}, ${k - 1});`);
      writer.bindAxis(axis, edge ? `at${j}` : `k${j}`);
    });
    const { maximum, products } = pass;
    const cellsOf = (e: Expr): Expr[][] => rows.map(({ cells }) => cells.map(({ place }) => place(e)));
    const tops = maximum ? cellsOf(maximum.body) : [];
    const values = pass.rows.map(({ body }) => cellsOf(body));
    const lefts = products.map(({ left }) => cellsOf(left));
    for (const root of [tops, ...values, ...lefts].flat(2)) writer.countUses(root);
    for (const sum of pass.inner) this.sumInner(sum);
    if (maximum) this.grow(pass, maximum, tops);
    const left = lefts.map((ofRows) => ofRows.map((cells) => cells.map((e) => writer.emitNamed(e).text)));
    pass.rows.forEach((reduction, i) =>
      (values[i] ?? []).forEach((cells, row) =>
        cells.forEach((e, j) => {
          sums.add(reduction, row, this.inside(writer.emit(e).text, sums.neutralOf(reduction), j));
        }),
      ),
    );
    if (products.length === 0) return;
    products.forEach((product, i) => {
      this.fillLeft(i, left[i] ?? []);
      this.fillRight(i, product);
    });
    writer.statement("workgroupBarrier();");
    writer.block(`for (var kk = 0; kk < ${this.tile.k}; kk++) {`, () => {
      products.forEach((product, i) => this.multiply(product, i));
    });
    writer.statement("workgroupBarrier();");
  }

  /** A product of tiles of its own, whose results the thread keeps in its cells. */
  private sumInner({ id, axes, fixed, moving }: InnerProduct): void {
    const { writer, stream, rows, schedule } = this.at;
    const { threads } = schedule;
    const { m, k } = streamSizes(stream);
    const names = rows.map(({ cells }) => cells.map(() => writer.fresh("s")));
    for (const name of names.flat()) writer.statement(`var ${name} = 0.0;`);
    const depth = sizeOfAxes(axes);
    writer.block(`for (var d_start = 0; d_start < ${depth}; d_start += ${innerTile}) {`, () => {
      this.fillInner("fixed", fixed, axes, { axes: stream.leftRows, size: m, tile: this.tile.m, start: "m_start" });
      this.fillInner("moving", moving, axes, { axes: stream.inner, size: k, tile: this.tile.k, start: "k_start" });
      writer.statement("workgroupBarrier();");
      writer.block(`for (var d = 0; d < ${innerTile}; d++) {`, () => {
        const element = (name: string, tile: number, at: string): string => {
          const value = writer.fresh("x");
          writer.statement(`let ${value} = ${this.prefix}${name}[d * ${tile + 1} + ${at}];`);
          return value;
        };
        const fixedValues = rows.map((_, row) => element("fixed", this.tile.m, `row_start + ${row}`));
        const steps = Array.from({ length: schedule.cellK }, (_, j) =>
          element("moving", this.tile.k, `along + ${j * threads}`),
        );
        names.forEach((ofRow, row) =>
          ofRow.forEach((name, j) => writer.statement(`${name} += ${fixedValues[row] ?? ""} * ${steps[j] ?? ""};`)),
        );
      });
      writer.statement("workgroupBarrier();");
    });
    rows.forEach(({ cells }, row) =>
      cells.forEach(({ ownInner: own }, j) => writer.bindReduction(own(id), names[row]?.[j] ?? "", 1)),
    );
  }

  /** A tile of a factor of an inner sum; zeros beyond its edges. */
  private fillInner(
    name: string,
    factor: Expr,
    innerAxes: readonly Axis[],
    outer: { readonly axes: readonly Axis[]; readonly size: number; readonly tile: number; readonly start: string },
  ): void {
    const { writer, context, schedule, batchParts } = this.at;
    const { canonical } = context;
    const depth = sizeOfAxes(innerAxes);
    const [outerAxis, depthAxis] = [newAxis(outer.size), newAxis(depth)];
    const expr = canonical.rewriter(
      new Map([
        ...batchParts,
        ...unravel(outer.axes, axisOf(outerAxis, canonical), canonical),
        ...unravel(innerAxes, axisOf(depthAxis, canonical), canonical),
      ]),
    )(factor);
    const array = this.array(name, "f32", (outer.tile + 1) * innerTile);
    writer.block(`for (var e = i32(local); e < ${outer.tile * innerTile}; e += ${schedule.threads ** 2}) {`, () => {
      writer.statement(`let at = ${outer.start} + e / ${innerTile};`);
      writer.statement(`let d = d_start + e % ${innerTile};`);
      writer.statement("var value = 0.0;");
      writer.bindAxis(outerAxis, "at");
      writer.bindAxis(depthAxis, "d");
      writer.block(
        `if (at < ${outer.size} && d < ${depth}) {`,
        () => {
          writer.countUses(expr);
          writer.statement(`value = ${writer.emit(expr).text};`);
        },
        { conditional: true },
      );
      writer.statement(`${array}[e % ${innerTile} * ${outer.tile + 1} + e / ${innerTile}] = value;`);
    });
  }

  /** Beyond the end of the loop the last place is computed again, and changes nothing. */
  private inside(text: string, neutral: string, j: number): string {
    const { k } = streamSizes(this.at.stream);
    return k % this.tile.k ? `select(${neutral}, ${text}, k${j} < ${k})` : text;
  }

  /** The rows' maxima over the tile, from those that each thread finds in its cells. */
  private grow(pass: Pass, maximum: Reduction, tops: readonly (readonly Expr[])[]): void {
    const { writer, context, rows, sums, schedule } = this.at;
    const { math } = context;
    const { dtype } = maximum.body;
    const type = registerType(accumulatorType(dtype), 1);
    const partials = this.partials(type);
    const join = (x: string, y: string): string => bare(combineText("max", dtype, x, y, { lanes: 1, math }));
    tops.forEach((cells, row) => {
      const texts = cells.map((e, j) => this.inside(writer.emitNamed(e).text, sums.neutralOf(maximum), j));
      writer.statement(`${partials}[${this.partialAt(row, "along")}] = ${texts.reduce((x, y) => join(x, y))};`);
    });
    writer.statement("workgroupBarrier();");
    const candidates = rows.map((_, row) => {
      const name = writer.fresh("found");
      writer.statement(`var ${name} = ${partials}[${this.partialAt(row, "0")}];`);
      return name;
    });
    writer.block(`for (var t = 1; t < ${schedule.threads}; t++) {`, () => {
      candidates.forEach((name, row) => {
        const other = writer.fresh("other");
        writer.statement(`let ${other} = ${partials}[${this.partialAt(row, "t")}];`);
        writer.statement(`${name} = ${join(name, other)};`);
      });
    });
    // The next step writes the partial maxima while others may still be here.
    if (pass.products.length === 0) writer.statement("workgroupBarrier();");
    sums.grow(pass, maximum, candidates).forEach((shift, row) => {
      const own = rows[row]?.own(maximum.id);
      if (own !== undefined) writer.bindReduction(own, shift, 1);
    });
  }

  private fillLeft(i: number, left: readonly (readonly string[])[]): void {
    const { writer, schedule } = this.at;
    const stride = this.tile.m + 1;
    const name = this.array(`left${i}`, "f32", stride * this.tile.k);
    left.forEach((cells, row) =>
      cells.forEach((text, j) => {
        const place = `(along + ${j * schedule.threads}) * ${stride} + row_start + ${row}`;
        writer.statement(`${name}[${place}] = ${this.inside(text, "0.0", j)};`);
      }),
    );
  }

  private fillRight(i: number, { right }: Product): void {
    const { writer, context, stream, schedule, batchParts } = this.at;
    const { canonical } = context;
    const { n, k } = streamSizes(stream);
    const [kAxis, nAxis] = [newAxis(k), newAxis(n)];
    const expr = canonical.rewriter(
      new Map([
        ...batchParts,
        ...unravel(stream.inner, axisOf(kAxis, canonical), canonical),
        ...unravel(stream.columns, axisOf(nAxis, canonical), canonical),
      ]),
    )(right);
    const name = this.array(`right${i}`, "f32", this.tile.n * this.tile.k);
    writer.block(`for (var e = i32(local); e < ${this.tile.n * this.tile.k}; e += ${schedule.threads ** 2}) {`, () => {
      writer.statement(`let k_at = k_start + e / ${this.tile.n};`);
      writer.statement(`let n_at = n_start + e % ${this.tile.n};`);
      writer.statement("var value = 0.0;");
      writer.bindAxis(kAxis, "k_at");
      writer.bindAxis(nAxis, "n_at");
      writer.block(
        `if (k_at < ${k} && n_at < ${n}) {`,
        () => {
          writer.countUses(expr);
          writer.statement(`value = ${writer.emit(expr).text};`);
        },
        { conditional: true },
      );
      writer.statement(`${name}[e] = value;`);
    });
  }

  private multiply(product: Product, i: number): void {
    const { writer, sums, schedule } = this.at;
    const lefts = Array.from({ length: schedule.cellM }, (_, row) => {
      const name = writer.fresh("x");
      writer.statement(`let ${name} = ${this.prefix}left${i}[kk * ${this.tile.m + 1} + row_start + ${row}];`);
      return name;
    });
    const rights = Array.from({ length: schedule.cellN }, (_, column) => {
      const name = writer.fresh("y");
      const place = `kk * ${this.tile.n} + along + ${column * schedule.threads}`;
      writer.statement(`let ${name} = ${this.prefix}right${i}[${place}];`);
      return name;
    });
    lefts.forEach((x, row) => rights.forEach((y, column) => sums.addProduct(product, row, column, x, y)));
  }

  /** Makes of the parts of a row that its threads have reduced the whole. */
  exchange(reduction: Reduction): void {
    const { writer, context, rows, sums, schedule } = this.at;
    const { reducer, body } = reduction;
    invariant(reducer !== "argmax" && reducer !== "argmin", "positions are no reductions of a kernel with columns");
    const { math } = context;
    const partials = this.partials(registerType(accumulatorType(body.dtype), 1));
    rows.forEach((_, row) =>
      writer.statement(`${partials}[${this.partialAt(row, "along")}] = ${sums.ofRow(reduction, row)};`),
    );
    writer.statement("workgroupBarrier();");
    rows.forEach((_, row) => {
      const own = sums.ofRow(reduction, row);
      writer.statement(`${own} = ${partials}[${this.partialAt(row, "0")}];`);
    });
    writer.block(`for (var t = 1; t < ${schedule.threads}; t++) {`, () => {
      rows.forEach((_, row) => {
        const own = sums.ofRow(reduction, row);
        const other = writer.fresh("other");
        writer.statement(`let ${other} = ${partials}[${this.partialAt(row, "t")}];`);
        writer.statement(`${own} = ${bare(combineText(reducer, body.dtype, own, other, { lanes: 1, math }))};`);
      });
    });
    writer.statement("workgroupBarrier();");
  }
}
