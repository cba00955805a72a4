/** Iteration spaces: several axes as one linear axis, whole or in groups of four lanes. */
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";

export function sizeOfAxes(axes: readonly Axis[]): number {
  return axes.reduce((product, axis) => product * axis.size, 1);
}

/** Takes the linear position apart into the axes, the last one running fastest. */
export function unravel(axes: readonly Axis[], linear: Expr, canonical: Canonicalizer): Map<Axis, Expr> {
  const parts = new Map<Axis, Expr>();
  let rest = linear;
  for (let i = axes.length - 1; i >= 0; i--) {
    const axis = axes[i];
    if (!axis) continue;
    const size = canonical.intern(constExpr(axis.size));
    parts.set(axis, i === 0 ? rest : canonical.binary("rem", rest, size));
    rest = canonical.binary("div", rest, size);
  }
  return parts;
}

/** A space walked by one axis, or by one axis of groups and one of the four lanes in a group. */
export interface LinearSpace {
  readonly step: Axis;
  readonly lane: Axis | null;
  /** The position as an expression over both. */
  readonly position: Expr;
  readonly substitution: ReadonlyMap<Axis, Expr>;
}

export function linearSpace(axes: readonly Axis[], lanes: 1 | 4, canonical: Canonicalizer): LinearSpace {
  const size = sizeOfAxes(axes);
  const step = newAxis(Math.ceil(size / lanes));
  const lane = lanes === 4 ? newAxis(4) : null;
  const position = linearPosition(step, lane, canonical);
  return { step, lane, position, substitution: unravel(axes, position, canonical) };
}

function linearPosition(step: Axis, lane: Axis | null, canonical: Canonicalizer): Expr {
  const at = axisOf(step, canonical);
  if (!lane) return at;
  const scaled = canonical.binary("mul", at, canonical.intern(constExpr(4)));
  return canonical.binary("add", scaled, axisOf(lane, canonical));
}

export function axisOf(axis: Axis, canonical: Canonicalizer): Expr {
  return canonical.intern(axis.size === 1 ? constExpr(0) : { op: "axis", dtype: "i32", axis });
}
