/** The index map of a reshape: which element of the operand an element of the result is. */
import { type Shape, sizeOf } from "../ir/shape.ts";
import type * as expr from "../lower/expr.ts";
import type { Expr } from "../lower/expr.ts";

/** Runs of dimensions of both shapes that hold equally many elements: as short as possible. */
interface Run {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

function alignedRuns(from: Shape, to: Shape): Run[] {
  const runs: Run[] = [];
  const sourceDims = from.flatMap((size, axis) => (size === 1 ? [] : [axis]));
  const resultDims = to.flatMap((size, axis) => (size === 1 ? [] : [axis]));
  let i = 0;
  let j = 0;
  while (i < sourceDims.length && j < resultDims.length) {
    const run = { from: [sourceDims[i] as number], to: [resultDims[j] as number] };
    let fromSize = from[sourceDims[i++] as number] as number;
    let toSize = to[resultDims[j++] as number] as number;
    while (fromSize !== toSize) {
      if (fromSize < toSize) {
        const axis = sourceDims[i++] as number;
        run.from.push(axis);
        fromSize *= from[axis] as number;
      } else {
        const axis = resultDims[j++] as number;
        run.to.push(axis);
        toSize *= to[axis] as number;
      }
    }
    runs.push(run);
  }
  return runs;
}

/**
 * `from` and `to` hold equally many elements. Dimensions that correspond one to one keep their index, merged ones are
 * divided, split ones multiplied; only runs that do both flatten.
 */
export function reshapeIndex(e: typeof expr, from: Shape, to: Shape, index: readonly Expr[]): Expr[] {
  const source: Expr[] = from.map(() => e.constExpr(0));
  if (sizeOf(from) === 0) return source;
  for (const run of alignedRuns(from, to)) {
    let flat = e.constExpr(0);
    for (const axis of run.to) {
      flat = e.binaryExpr("add", e.binaryExpr("mul", flat, e.constExpr(to[axis] as number)), index[axis] as Expr);
    }
    let below = 1;
    for (let k = run.from.length - 1; k >= 0; k--) {
      const axis = run.from[k] as number;
      const size = from[axis] as number;
      const quotient = e.binaryExpr("div", flat, e.constExpr(below));
      source[axis] = k === 0 ? quotient : e.binaryExpr("rem", quotient, e.constExpr(size));
      below *= size;
    }
  }
  return source;
}
