/** What follows a matrix product, once for each result: a function of the result's place and the sum. */
import { invariant } from "../diagnostics/index.ts";
import type { Kernel, Store } from "../fuse/kernel.ts";
import { type Axis, constExpr, newAxis } from "../lower/expr.ts";
import type { DType } from "../ir/dtype.ts";
import type { Contraction } from "./contraction.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";
import { flatPosition } from "./positions.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { ExprWriter, type KernelContext } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";
import type { Lanes } from "./wgsl-math.ts";

export interface Epilogue {
  readonly batch: Axis;
  readonly row: Axis;
  /** Counts groups of `lanes` columns. */
  readonly column: Axis;
  readonly lane: Axis;
  readonly lanes: Lanes;
  readonly inputs: readonly EpilogueInput[];
  readonly stores: readonly Store[];
}

/** A finished reduction, as a parameter. */
export interface EpilogueInput {
  readonly reduction: number;
  readonly name: string;
  readonly dtype: DType;
  readonly lanes: Lanes;
}

export interface EpilogueSpace {
  readonly mAxes: readonly Axis[];
  readonly nAxes: readonly Axis[];
  readonly lanes: Lanes;
}

export function planEpilogue(
  kernel: Kernel,
  contraction: Contraction,
  space: EpilogueSpace,
  canonical: Canonicalizer,
): Epilogue {
  const sum = { reduction: contraction.reduction.id, name: "sum", dtype: "f32", lanes: space.lanes } as const;
  return planEpilogueOf(kernel, contraction.batch, [sum], space, canonical);
}

/** The same for any number of reductions. */
export function planEpilogueOf(
  kernel: Kernel,
  batchAxes: readonly Axis[],
  inputs: readonly EpilogueInput[],
  { mAxes, nAxes, lanes }: EpilogueSpace,
  canonical: Canonicalizer,
): Epilogue {
  const batch = newAxis(sizeOfAxes(batchAxes));
  const row = newAxis(sizeOfAxes(mAxes));
  const column = newAxis(sizeOfAxes(nAxes) / lanes);
  const lane = newAxis(4);
  const group = canonical.binary("mul", axisOf(column, canonical), canonical.intern(constExpr(lanes)));
  const n = lanes === 4 ? canonical.binary("add", group, axisOf(lane, canonical)) : group;
  const rewrite = canonical.rewriter(
    new Map([
      ...unravel(batchAxes, axisOf(batch, canonical), canonical),
      ...unravel(mAxes, axisOf(row, canonical), canonical),
      ...unravel(nAxes, n, canonical),
    ]),
  );
  const stores = kernel.stages.flatMap((stage) =>
    stage.kind === "store"
      ? stage.stores.map((s) => ({ tensor: s.tensor, index: s.index.map(rewrite), value: rewrite(s.value) }))
      : [],
  );
  return { batch, row, column, lane, lanes, inputs, stores };
}

/** `fn store_result(batch, m, n, sum)`, or with a parameter for each input. */
export function writeEpilogue(epilogue: Epilogue, context: KernelContext): string {
  const { batch, row, column, lane, inputs, stores } = epilogue;
  const writer = new ExprWriter(context);
  for (const { tensor, index, value } of stores) {
    writer.countUses(value);
    writer.countUses(flatPosition(tensor, index, context.canonical));
  }
  writer.bindAxis(batch, "batch");
  writer.bindAxis(row, "m");
  writer.bindAxis(column, "n");
  writer.bindAxis(lane, "vec4<i32>(0, 1, 2, 3)", 4);
  for (const input of inputs) writer.bindReduction(input.reduction, input.name, input.lanes);
  const values = stores.map((store) => (stores.length > 1 ? writer.emitNamed(store.value) : writer.emit(store.value)));
  stores.forEach((store, i) => {
    const value = values[i];
    invariant(value, "a store has a value");
    writer.store(store.tensor, store.index, value);
  });
  const results = inputs.map(({ name, dtype, lanes }) => `${name}: ${registerType(dtype, lanes)}`);
  const parameters = ["batch: i32", "m: i32", "n: i32", ...results].join(", ");
  return `fn ${context.prefix ?? ""}store_result(${parameters}) {\n${writer.root.render("  ")}}`;
}
