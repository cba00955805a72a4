/**
 * What does not change along a sum leaves it:
 *
 *     Σ_k (x_k / c) · y_k = (Σ_k x_k · y_k) / c        for c that does not depend on k; the same of factors and signs
 *
 * One division for each sum instead of one for each element, and a sum that need not wait until c is known. Sums may be
 * reassociated, and what `leaves` lets go must keep infinities and NaN as they are: a constant, or a divisor that is
 * positive or NaN. What stands behind a choice stays: the choice may be there to hide that c is NaN.
 */
import { isFloat } from "../ir/dtype.ts";
import { binaryExpr, castExpr, type Expr, unaryExpr } from "../lower/expr.ts";

type Step = { readonly fn: "neg" } | { readonly fn: "div" | "mul"; readonly by: Expr };

interface Factored {
  /** What is left under the sum. */
  readonly inner: Expr;
  /** What is to be done with the sum, in order. */
  readonly steps: readonly Step[];
}

/** The summand that is left, and what makes of its sum the sum of `e`. Expects floats. */
export function factorOut(
  e: Expr,
  leaves: (part: Expr) => boolean,
): { readonly inner: Expr; readonly outer: (sum: Expr) => Expr } {
  const { inner, steps } = factored(e, leaves);
  const outer = (sum: Expr): Expr =>
    steps.reduce(
      (x, step) => (step.fn === "neg" ? unaryExpr("neg", x) : binaryExpr(step.fn, x, castExpr(step.by, sum.dtype))),
      sum,
    );
  return { inner, outer };
}

function factored(e: Expr, leaves: (part: Expr) => boolean): Factored {
  if (e.op === "unary" && e.fn === "neg") {
    const { inner, steps } = factored(e.x, leaves);
    return { inner, steps: [...steps, { fn: "neg" }] };
  }
  if (e.op === "cast") {
    // What is left is rounded as the whole would have been; what leaves is not, as the sum has the wider type.
    if (!isFloat(e.dtype) || !isFloat(e.x.dtype)) return { inner: e, steps: [] };
    const { inner, steps } = factored(e.x, leaves);
    return { inner: castExpr(inner, e.dtype), steps };
  }
  if (e.op !== "binary" || (e.fn !== "div" && e.fn !== "mul")) return { inner: e, steps: [] };
  if (leaves(e.y)) {
    const { inner, steps } = factored(e.x, leaves);
    return { inner, steps: [...steps, { fn: e.fn, by: e.y }] };
  }
  if (e.fn === "div") return { inner: e, steps: [] };
  if (leaves(e.x)) {
    const { inner, steps } = factored(e.y, leaves);
    return { inner, steps: [...steps, { fn: "mul", by: e.x }] };
  }
  const [x, y] = [factored(e.x, leaves), factored(e.y, leaves)];
  return { inner: binaryExpr("mul", x.inner, y.inner), steps: [...x.steps, ...y.steps] };
}
