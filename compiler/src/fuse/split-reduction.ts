/**
 * A long reduction of few rows becomes two: partial results over an axis that runs in parallel, then the rest.
 *
 *     out[r] = Σ_k body(r, k)   ⇒   part[r, p] = Σ_c body(r, p·chunk + c),   out[r] = Σ_p part[r, p]
 *
 * Where the chunks do not divide the range, points beyond its end give the neutral element.
 */
import { axisExpr, binaryExpr, constExpr, type Expr, loadExpr, newAxis, newTensor, selectExpr } from "../lower/expr.ts";
import type { ExprPool } from "../lower/expr-pool.ts";
import { neutralOf } from "../lower/reducers.ts";
import { extentOf, maxSerialInner, minParallelRows } from "./cost.ts";
import type { ReduceDef, Unit } from "./definition.ts";

const chunkTarget = 1024;
const maxParts = 1024;

export function splitReductions(units: readonly Unit[], pool: ExprPool): Unit[] {
  return units.flatMap((unit): Unit[] => {
    if (unit.kind === "loop") return [{ ...unit, body: splitReductions(unit.body, pool) }];
    return unit.kind === "reduce" && isLong(unit) ? split(unit, pool) : [unit];
  });
}

function isLong(def: ReduceDef): boolean {
  if (def.reducer === "argmax" || def.reducer === "argmin") return false;
  return extentOf(def.axes) < minParallelRows && extentOf(def.over) > maxSerialInner;
}

/** About `chunkTarget` elements each, and a divisor of the range if there is one near. */
function partCount(extent: number): number {
  const wanted = Math.min(maxParts, Math.ceil(extent / chunkTarget));
  for (let parts = wanted; parts > wanted / 2; parts--) if (extent % parts === 0) return parts;
  return wanted;
}

function split(def: ReduceDef, pool: ExprPool): ReduceDef[] {
  const extent = extentOf(def.over);
  const parts = partCount(extent);
  const size = Math.ceil(extent / parts);
  const [part, within, total] = [newAxis(parts), newAxis(size), newAxis(parts)];
  const position = binaryExpr("add", binaryExpr("mul", axisExpr(part), constExpr(size)), axisExpr(within));
  const element = new Map<number, Expr>();
  let stride = 1;
  for (const [d, axis] of [...def.over.entries()].toReversed()) {
    const quotient = binaryExpr("div", position, constExpr(stride));
    // The outermost quotient is in range wherever the element is looked at.
    element.set(axis.id, d === 0 ? quotient : binaryExpr("rem", quotient, constExpr(axis.size)));
    stride *= axis.size;
  }
  const inRange = binaryExpr("lt", position, constExpr(extent));
  const value = pool.rewrite(def.body, { axis: (id) => element.get(id) && pool.intern(element.get(id) as Expr) });
  const tensor = newTensor(def.tensor.dtype, [...def.tensor.shape, parts]);
  const partial: ReduceDef = {
    ...def,
    tensor,
    axes: [...def.axes, part],
    over: [within],
    body: pool.intern(selectExpr(inRange, value, neutralOf(def.reducer, def.tensor.dtype))),
    labels: [`${def.labels[0] ?? "reduce"}_partial`],
  };
  const rows = def.axes.map(axisExpr);
  const body = pool.intern(loadExpr(tensor, [...rows, axisExpr(total)]));
  return [partial, { ...def, over: [total], body }];
}
