/**
 * Recognizes kernels with columns: passes over one loop, in which rows are reduced, and products whose first factor is the
 * same for all columns are summed.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Kernel, ReduceStage, Reduction } from "../fuse/kernel.ts";
import { factorsOf } from "../fuse/widen.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Axis, Expr } from "../lower/expr.ts";
import { axesIn, nodesOf } from "../lower/expr-pool.ts";

export interface Product {
  readonly id: number;
  /** The same for all columns; may be made of the rows' reductions. */
  readonly left: Expr;
  readonly right: Expr;
}

/** A sum of products at each point of the loop. */
export interface InnerProduct {
  readonly id: number;
  readonly axes: readonly Axis[];
  /** The same along the loop. */
  readonly fixed: Expr;
  /** The same for all rows that are no batch. */
  readonly moving: Expr;
}

/** One walk along the loop. */
export interface Pass {
  /** What is computed anew at each step. */
  readonly inner: readonly InnerProduct[];
  /**
   * The maximum m of x that the sums of the pass need. As it grows along the loop, what was summed with the last one is
   * scaled: every summand has a factor exp(x − m), so that Σ exp(x − m') · y = exp(m − m') · Σ exp(x − m) · y.
   */
  readonly maximum: Reduction | null;
  readonly rows: readonly Reduction[];
  readonly products: readonly Product[];
}

export interface Stream {
  readonly passes: readonly Pass[];
  /** Rows on which both factors of a product depend, and those on which only the left ones do. */
  readonly batch: readonly Axis[];
  readonly leftRows: readonly Axis[];
  readonly columns: readonly Axis[];
  readonly inner: readonly Axis[];
}

/** Of any kernel that has columns. */
export function findStream(kernel: Kernel): Stream | null {
  const stages = kernel.stages.filter((stage): stage is ReduceStage => stage.kind === "reduce");
  const { columns = [] } = kernel;
  if (columns.length === 0 && !stages.some(({ inner }) => inner)) return null;
  const passes: Pass[] = [];
  for (let i = 0; i < stages.length; i++) {
    const [stage, next] = [stages[i] as ReduceStage, stages[i + 1]];
    const [maximum] = stage.reductions;
    if (next && maximum && stage.reductions.length === 1 && growsAlong(maximum, next)) {
      passes.push(passOf(next, columns, maximum));
      i++;
    } else passes.push(passOf(stage, columns, null));
  }
  const [first] = stages;
  invariant(first, "a kernel with columns has a loop");
  const shared = passes.flatMap(({ inner, products }) => [
    ...inner.map(({ moving }) => moving),
    ...products.map(({ right }) => right),
  ]);
  const inRights = axesIn(shared);
  const others = kernel.rows.filter((axis) => !columns.includes(axis));
  return {
    passes,
    batch: others.filter((axis) => inRights.has(axis.id)),
    leftRows: others.filter((axis) => !inRights.has(axis.id)),
    columns,
    inner: first.axes,
  };
}

function passOf(stage: ReduceStage, columns: readonly Axis[], maximum: Reduction | null): Pass {
  const rows: Reduction[] = [];
  const products: Product[] = [];
  for (const reduction of stage.reductions) {
    const used = axesIn([reduction.body]);
    const factors = columns.some((axis) => used.has(axis.id)) ? factorsOf(reduction.body, columns) : null;
    if (factors) products.push({ id: reduction.id, ...factors });
    else rows.push(reduction);
  }
  return { inner: innerOf(stage), maximum, rows, products };
}

function innerOf({ inner = [], axes: loop }: ReduceStage): InnerProduct[] {
  return inner.map(({ id, axes, body }) => {
    invariant(body.op === "binary" && body.fn === "mul", "an inner sum is one of products");
    const used = axesIn([body.x]);
    const [fixed, moving] = loop.some((axis) => used.has(axis.id)) ? [body.y, body.x] : [body.x, body.y];
    return { id, axes, fixed, moving };
  });
}

function growsAlong({ id, reducer, body: x }: Reduction, { reductions }: ReduceStage): boolean {
  return reducer === "max" && reductions.every((sum) => sum.reducer === "sum" && isScaledBy(sum.body, x, id));
}

/** Whether `e` is exp(x − m) times something that knows nothing of m. */
function isScaledBy(e: Expr, x: Expr, m: number): boolean {
  const knows = (part: Expr): boolean => nodesOf([part]).some((node) => node.op === "reduced" && node.reduction === m);
  if (e.op === "cast") return isFloat(e.dtype) && isFloat(e.x.dtype) && isScaledBy(e.x, x, m);
  if (e.op === "unary" && e.fn === "neg") return isScaledBy(e.x, x, m);
  if (e.op === "unary") {
    const difference = e.x;
    if (e.fn !== "exp" || difference.op !== "binary" || difference.fn !== "sub" || difference.x !== x) return false;
    return difference.y.op === "reduced" && difference.y.reduction === m && !knows(x);
  }
  if (e.op !== "binary") return false;
  if (e.fn === "div") return isScaledBy(e.x, x, m) && !knows(e.y);
  if (e.fn !== "mul") return false;
  return (isScaledBy(e.x, x, m) && !knows(e.y)) || (isScaledBy(e.y, x, m) && !knows(e.x));
}

/** The passes where a maximum is found before the sums that need it, in a walk of its own. */
export function passesInTurn({ passes }: Stream): Pass[] {
  return passes.flatMap((pass) =>
    pass.maximum
      ? [
          { inner: innerReadBy(pass, pass.maximum), maximum: null, rows: [pass.maximum], products: [] },
          { ...pass, maximum: null },
        ]
      : [pass],
  );
}

function innerReadBy({ inner }: Pass, { body }: Reduction): InnerProduct[] {
  const read = new Set(nodesOf([body]).flatMap((e) => (e.op === "reduced" ? [e.reduction] : [])));
  return inner.filter(({ id }) => read.has(id));
}
