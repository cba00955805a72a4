/**
 * A long reduction of few rows becomes two: partial results over an axis that runs in parallel, then the rest.
 *
 *     out[r] = Σ_k body(r, k)   ⇒   part[r, p] = Σ_c body(r, p·chunk + c),   out[r] = Σ_p part[r, p]
 *
 * A product of few results, all of whose factors' elements are read again, is split into as many products of shorter sums
 * (split-K); its parts lie one after the other, part[p, r], as the results of a batched product do. Where the chunks do not
 * divide the range, points beyond its end give the neutral element.
 */
import {
  type Axis,
  axisExpr,
  binaryExpr,
  constExpr,
  type Expr,
  loadExpr,
  newAxis,
  newTensor,
  selectExpr,
} from "../lower/expr.ts";
import { type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { neutralOf } from "../lower/reducers.ts";
import { extentOf, isContraction, maxSerialInner, minParallelRows } from "./cost.ts";
import type { Def, ReduceDef, Unit } from "./definition.ts";

const chunkTarget = 1024;
const maxParts = 1024;
/** A product of more results keeps an adapter busy by their number. */
const fewResults = 4096;
const shortestChunk = 512;
/** Partial results of a product: some tiles for each core of a software adapter, and for most of a GPU's. */
const wantedResults = 65_536;

export function splitReductions(units: readonly Unit[], pool: ExprPool): Unit[] {
  const defs = new Map<number, Def>();
  for (const unit of units) if (unit.kind !== "loop") defs.set(unit.tensor.id, unit);
  return units.flatMap((unit): Unit[] => {
    if (unit.kind === "loop") return [{ ...unit, body: splitReductions(unit.body, pool) }];
    if (unit.kind === "map") return [unit];
    const parts = partsOf(unit, defs);
    return parts > 1 ? split(unit, parts, pool) : [unit];
  });
}

/** In how many parts it is reduced. */
function partsOf(def: ReduceDef, defs: ReadonlyMap<number, Def>): number {
  const [results, extent] = [extentOf(def.axes), extentOf(def.over)];
  if (def.reducer === "argmax" || def.reducer === "argmin") return 1;
  if (isContraction(def)) {
    const most = Math.min(Math.floor(extent / shortestChunk), Math.ceil(wantedResults / results));
    const whole = results > fewResults || most < 2 || followsReduction(def, defs, new Map());
    return whole ? 1 : divisorNear(extent, most);
  }
  const isLong = results < minParallelRows && extent > maxSerialInner;
  return isLong ? divisorNear(extent, Math.min(maxParts, Math.ceil(extent / chunkTarget))) : 1;
}

/**
 * Whether a factor holds what was reduced along rows, as attention's does the sums of its softmax: such a product goes along
 * with those reductions (widen.ts).
 */
function followsReduction(def: Def, defs: ReadonlyMap<number, Def>, known: Map<Def, boolean>): boolean {
  const seen = known.get(def);
  if (seen !== undefined) return seen;
  const found = loadsOf([def.body]).some(({ tensor }) => {
    const source = defs.get(tensor.id);
    if (source === undefined) return false;
    return source.kind === "map" ? followsReduction(source, defs, known) : !isContraction(source);
  });
  known.set(def, found);
  return found;
}

/** A divisor of the range, if there is one not far below. */
function divisorNear(extent: number, wanted: number): number {
  for (let parts = wanted; parts > wanted / 2; parts--) if (extent % parts === 0) return parts;
  return wanted;
}

function split(def: ReduceDef, parts: number, pool: ExprPool): ReduceDef[] {
  const extent = extentOf(def.over);
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
  const placed = <T>(rows: readonly T[], one: T): T[] => (isContraction(def) ? [one, ...rows] : [...rows, one]);
  const tensor = newTensor(def.tensor.dtype, placed(def.tensor.shape, parts));
  const partial: ReduceDef = {
    ...def,
    tensor,
    axes: placed<Axis>(def.axes, part),
    over: [within],
    body: pool.intern(selectExpr(inRange, value, neutralOf(def.reducer, def.tensor.dtype))),
    labels: [`${def.labels[0] ?? "reduce"}_partial`],
  };
  const body = pool.intern(loadExpr(tensor, placed<Axis>(def.axes, total).map(axisExpr)));
  return [partial, { ...def, over: [total], body }];
}
