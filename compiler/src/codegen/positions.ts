/** Positions in memory as canonical expressions. */
import { stridesOf } from "../ir/shape.ts";
import { type Axis, constExpr, type Expr, type Tensor } from "../lower/expr.ts";
import { childrenOf } from "../lower/expr-pool.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";

/** The position of an element in its row-major tensor. */
export function flatPosition(tensor: Tensor, index: readonly Expr[], canonical: Canonicalizer): Expr {
  const strides = stridesOf(tensor.shape);
  return index.reduce<Expr>(
    (flat, position, dimension) => {
      const stride = canonical.intern(constExpr(strides[dimension] ?? 1));
      return canonical.binary("add", flat, canonical.binary("mul", position, stride));
    },
    canonical.intern(constExpr(0)),
  );
}

/** `flat / 4` if `flat` is four times something plus the lane. */
export function quadIndex(canonical: Canonicalizer, flat: Expr, isLane: (axis: Axis) => boolean): Expr | null {
  const form = canonical.linearOf(flat);
  const terms = new Map<Expr, number>();
  let lanes = 0;
  for (const [atom, coefficient] of form.terms) {
    if (atom.op === "axis" && isLane(atom.axis)) {
      if (coefficient !== 1) return null;
      lanes++;
    } else if (coefficient % 4 !== 0 || dependsOn(atom, isLane)) {
      return null;
    } else {
      terms.set(atom, coefficient / 4);
    }
  }
  if (lanes !== 1 || form.constant % 4 !== 0) return null;
  return canonical.fromLinear({ terms, constant: form.constant / 4 });
}

export function dependsOn(e: Expr, isIt: (axis: Axis) => boolean): boolean {
  if (e.op === "axis") return isIt(e.axis);
  return childrenOf(e).some((operand) => dependsOn(operand, isIt));
}
