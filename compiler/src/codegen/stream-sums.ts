/**
 * What a pass over a kernel with columns keeps in a thread's registers: for each of its rows the maximum and the reductions
 * that are the same for all columns, for each of its rows and columns the sums of products.
 *
 * With a maximum m that grows, sums are kept for exp(x − m) as if m were the maximum of all, and scaled by exp(m − m') when
 * it becomes m'. Before the first finite x, 0 stands for m, as exp(−∞ − −∞) would be NaN for good. Where no x is above −∞ the
 * sums are NaN in the end, which is what exp(x − m) gives there.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Kernel, Reduction } from "../fuse/kernel.ts";
import type { DType } from "../ir/dtype.ts";
import type { Expr } from "../lower/expr.ts";
import { nodesOf } from "../lower/expr-pool.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";
import type { KernelContext } from "./wgsl-expr.ts";
import { bare, type ExprWriter } from "./wgsl-expr.ts";
import type { EpilogueInput } from "./matmul-epilogue.ts";
import type { Pass, Product, Stream } from "./stream.ts";
import { literal, registerType } from "./wgsl-literal.ts";
import type { Lanes } from "./wgsl-math.ts";
import { accumulatorType, combineText, neutralText, unaryText } from "./wgsl-operators.ts";

export interface SumsShape {
  readonly rows: number;
  /** Columns, or groups of `lanes`. */
  readonly columns: number;
  readonly lanes: Lanes;
}

/** Reductions that are the same for all columns, in order. */
export function rowReductions({ passes }: Stream): Reduction[] {
  return passes.flatMap(({ maximum, rows }) => (maximum ? [maximum, ...rows] : rows));
}

/** Names for the reductions of the stream in a row of a thread that has several; no kernel has negative ones. */
export function ownReductions(
  stream: Stream,
  row: number,
  canonical: Canonicalizer,
): { readonly own: (reduction: number) => number; readonly substitution: ReadonlyMap<number, Expr> } {
  const reductions = rowReductions(stream);
  const numbers = new Map(reductions.map(({ id }, i) => [id, -1 - 2 * (row * reductions.length + i)]));
  const own = (reduction: number): number => numbers.get(reduction) ?? reduction;
  const substitution = new Map(
    reductions.map(({ id, reducer, body }) => {
      const dtype: DType = reducer === "argmax" || reducer === "argmin" ? "i32" : body.dtype;
      return [id, canonical.intern({ op: "reduced", dtype, reduction: own(id) })];
    }),
  );
  return { own, substitution };
}

/** Names for what is computed at each step, where a thread has several cells; apart from those of reductions. */
export function ownInner(
  { passes }: Stream,
  cell: number,
  canonical: Canonicalizer,
): { readonly own: (sum: number) => number; readonly substitution: ReadonlyMap<number, Expr> } {
  const ids = [...new Set(passes.flatMap(({ inner }) => inner.map(({ id }) => id)))];
  const own = (sum: number): number => -2 - 2 * (cell * ids.length + ids.indexOf(sum));
  const substitution = new Map(
    ids.map((id) => [id, canonical.intern({ op: "reduced", dtype: "f32", reduction: own(id) })]),
  );
  return { own, substitution };
}

/** The reductions that the kernel's stores read. */
export function epilogueInputs(kernel: Kernel, stream: Stream, lanes: Lanes): EpilogueInput[] {
  const stores = kernel.stages.flatMap((stage) => (stage.kind === "store" ? stage.stores : []));
  const read = new Set(
    nodesOf(stores.map(({ value }) => value)).flatMap((e) => (e.op === "reduced" ? [e.reduction] : [])),
  );
  const products = stream.passes.flatMap((pass) => pass.products);
  const inputs: EpilogueInput[] = [
    ...products.map(({ id }, i) => ({ reduction: id, name: `sum${i}`, dtype: "f32", lanes }) as const),
    ...rowReductions(stream).map(({ id, body }, i): EpilogueInput => {
      return { reduction: id, name: `row${i}`, dtype: accumulatorType(body.dtype), lanes: 1 };
    }),
  ];
  return inputs.filter(({ reduction }) => read.has(reduction));
}

export class StreamSums {
  private readonly writer: ExprWriter;
  private readonly context: KernelContext;
  private readonly shape: SumsShape;
  /** Texts of finished reductions, by reduction and row, and column for products. */
  private readonly results = new Map<string, string>();
  private readonly places = new Map<Reduction | Product, string>();

  constructor(writer: ExprWriter, context: KernelContext, shape: SumsShape) {
    this.writer = writer;
    this.context = context;
    this.shape = shape;
  }

  private get rows(): number[] {
    return Array.from({ length: this.shape.rows }, (_, row) => row);
  }

  private get columns(): number[] {
    return Array.from({ length: this.shape.columns }, (_, column) => column);
  }

  declare({ maximum, rows, products }: Pass): void {
    const { writer, shape } = this;
    for (const reduction of maximum ? [maximum, ...rows] : rows) {
      const name = writer.fresh(reduction === maximum ? "top" : "r");
      this.places.set(reduction, name);
      const type = registerType(accumulatorType(reduction.body.dtype), 1);
      for (const row of this.rows) writer.statement(`var ${name}_${row}: ${type} = ${this.neutralOf(reduction)};`);
    }
    for (const product of products) {
      const name = writer.fresh("acc");
      this.places.set(product, name);
      const type = registerType("f32", shape.lanes);
      for (const row of this.rows) {
        for (const column of this.columns) writer.statement(`var ${name}_${row}_${column} = ${type}(0.0);`);
      }
    }
  }

  /** The variable that holds a reduction of a row. */
  ofRow(reduction: Reduction, row: number): string {
    const name = this.places.get(reduction);
    invariant(name, "a reduction is declared before it is used");
    return `${name}_${row}`;
  }

  ofCell(product: Product, row: number, column: number): string {
    const name = this.places.get(product);
    invariant(name, "a product is declared before it is used");
    return `${name}_${row}_${column}`;
  }

  /** Takes in one more x of each row; the sums follow where a maximum grows. Gives what stands for the maximum now. */
  grow(pass: Pass, maximum: Reduction, candidates: readonly string[]): string[] {
    const { writer, context } = this;
    const { math } = context;
    const grown = this.rows.map((row) => {
      const name = writer.fresh("next");
      const text = combineText("max", maximum.body.dtype, this.ofRow(maximum, row), candidates[row] ?? "", {
        lanes: 1,
        math,
      });
      writer.statement(`let ${name} = ${bare(text)};`);
      return name;
    });
    // By bits, since NaN differs from itself.
    const differs = this.rows.map(
      (row) => `(bitcast<u32>(${this.ofRow(maximum, row)}) ^ bitcast<u32>(${grown[row] ?? ""}))`,
    );
    writer.block(
      `if ((${differs.join(" | ")}) != 0u) {`,
      () => {
        for (const row of this.rows) {
          const top = this.ofRow(maximum, row);
          const scale = writer.fresh("scale");
          const difference = `(${top} - ${math.use("or_zero", 1)}(${grown[row] ?? ""}))`;
          writer.statement(`let ${scale} = ${unaryText("exp", "f32", difference, 1, math)};`);
          writer.statement(`${top} = ${grown[row] ?? ""};`);
          for (const sum of pass.rows) writer.statement(`${this.ofRow(sum, row)} *= ${scale};`);
          for (const product of pass.products) {
            for (const column of this.columns) writer.statement(`${this.ofCell(product, row, column)} *= ${scale};`);
          }
        }
      },
      { conditional: true },
    );
    return this.rows.map((row) => {
      const name = writer.fresh("shift");
      writer.statement(`let ${name} = ${math.use("or_zero", 1)}(${this.ofRow(maximum, row)});`);
      return name;
    });
  }

  add(reduction: Reduction, row: number, value: string): void {
    const { reducer, body } = reduction;
    invariant(reducer !== "argmax" && reducer !== "argmin", "positions are no reductions of a kernel with columns");
    const own = this.ofRow(reduction, row);
    const text = combineText(reducer, body.dtype, own, value, { lanes: 1, math: this.context.math });
    this.writer.statement(`${own} = ${bare(text)};`);
  }

  neutralOf({ reducer, body }: Reduction): string {
    return neutralText(reducer, body.dtype, this.context.math);
  }

  /** Combines what the threads of a subgroup have reduced; all of them get the whole. */
  broadcast(reduction: Reduction, threads: number): void {
    const { reducer, body } = reduction;
    invariant(reducer !== "argmax" && reducer !== "argmin", "positions are no reductions of a kernel with columns");
    for (const row of this.rows) {
      const own = this.ofRow(reduction, row);
      const parts = Array.from({ length: threads }, (_, i) => `subgroupBroadcast(${own}, ${i}u)`);
      const join = (x: string, y: string): string =>
        combineText(reducer, body.dtype, x, y, { lanes: 1, math: this.context.math });
      this.writer.statement(`${own} = ${bare(parts.reduce(join))};`);
    }
  }

  addProduct(product: Product, row: number, column: number, left: string, right: string): void {
    this.writer.statement(`${this.ofCell(product, row, column)} += ${left} * ${right};`);
  }

  /** After the pass: later ones, and stores, read the results. */
  finish({ maximum, rows, products }: Pass): void {
    const { math } = this.context;
    const nan = literal(NaN, "f32", math);
    for (const row of this.rows) {
      const top = maximum && this.ofRow(maximum, row);
      if (maximum && top) this.results.set(`${maximum.id} ${row}`, top);
      const valid = (text: string, lanes: Lanes): string => {
        if (!top) return text;
        const type = registerType("f32", lanes);
        return `select(${text}, ${lanes === 4 ? `${type}(${nan})` : nan}, bitcast<u32>(${top}) == 0xff800000u)`;
      };
      for (const sum of rows) this.name(`${sum.id} ${row}`, valid(this.ofRow(sum, row), 1));
      for (const product of products) {
        for (const column of this.columns) {
          this.name(`${product.id} ${row} ${column}`, valid(this.ofCell(product, row, column), this.shape.lanes));
        }
      }
    }
  }

  private name(key: string, text: string): void {
    let name = text;
    if (!/^\w+$/.test(text)) {
      name = this.writer.fresh();
      this.writer.statement(`let ${name} = ${text};`);
    }
    this.results.set(key, name);
  }

  /** The name of a finished reduction; `column` matters to products alone. */
  resultOf(reduction: number, row: number, column: number): string {
    const found = this.results.get(`${reduction} ${row}`) ?? this.results.get(`${reduction} ${row} ${column}`);
    invariant(found, "a reduction is finished before it is read");
    return found;
  }
}
