/**
 * Recognizes matrix products: a sum over `inner` of two factors of which one does not depend on some rows and the other
 * not on other rows, followed by stores per row.
 */
import type { Kernel, Reduction } from "../fuse/kernel.ts";
import type { Axis, Expr } from "../lower/expr.ts";
import { forEachExpr } from "./bindings.ts";

export interface Contraction {
  readonly reduction: Reduction;
  readonly left: Expr;
  readonly right: Expr;
  /** Rows on which both factors or neither depend. */
  readonly batch: readonly Axis[];
  /** Rows on which only the left factor depends, and only the right one. */
  readonly leftRows: readonly Axis[];
  readonly rightRows: readonly Axis[];
  readonly inner: readonly Axis[];
}

export function findContraction(kernel: Kernel): Contraction | null {
  const [first, ...rest] = kernel.stages;
  if (!first || first.kind !== "reduce" || first.reductions.length !== 1 || first.axes.length === 0) return null;
  if (first.inner) return null;
  if (rest.some((stage) => stage.kind !== "store" || stage.axes.length > 0)) return null;
  const reduction = first.reductions[0];
  if (!reduction || reduction.reducer !== "sum") return null;
  const { body } = reduction;
  if (body.op !== "binary" || body.fn !== "mul" || body.dtype !== "f32") return null;
  const inLeft = axesOf(body.x);
  const inRight = axesOf(body.y);
  return {
    reduction,
    left: body.x,
    right: body.y,
    batch: kernel.rows.filter((axis) => inLeft.has(axis) === inRight.has(axis)),
    leftRows: kernel.rows.filter((axis) => inLeft.has(axis) && !inRight.has(axis)),
    rightRows: kernel.rows.filter((axis) => inRight.has(axis) && !inLeft.has(axis)),
    inner: first.axes,
  };
}

function axesOf(root: Expr): Set<Axis> {
  const axes = new Set<Axis>();
  forEachExpr([root], (e) => {
    if (e.op === "axis") axes.add(e.axis);
  });
  return axes;
}
