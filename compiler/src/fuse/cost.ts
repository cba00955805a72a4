/**
 * What recomputation and memory cost, in units of about one simple scalar operation when every lane of a small device works.
 * Only ratios matter; they hold roughly for software adapters, and for GPUs recomputation is cheaper still.
 */
import type { Axis, Expr } from "../lower/expr.ts";
import { axesIn, loadsOf, nodesOf } from "../lower/expr-pool.ts";
import type { Def, ReduceDef } from "./definition.ts";

/** A dispatch that does nothing: 20 µs of eight lanes. */
export const dispatchCost = 160_000;
/** Beyond this much work of each kernel, a dispatch of its own does not matter. */
export const smallWork = 20 * dispatchCost;
/** Kernels in one dispatch: the text grows with them, and so does its workgroup memory. */
export const mostParts = 8;
/** A copy between two buffers, besides what it takes for each element. */
export const copyCost = dispatchCost / 8;
/** Of inputs that are brought together: they stay where they were copied to, and a GPU copies as fast as its memory is. */
export const copiedElementCost = 2;
/** Work of fewer rows than this leaves lanes idle. */
export const fewestBusyRows = 8;
/** Writing an element and reading it again in another kernel. */
export const roundTripCost = 32;
/** A reduction below this many elements a row runs well in one workgroup. */
export const maxSerialInner = 32_768;
/** Rows that keep an adapter busy when each takes one workgroup. */
export const minParallelRows = 64;
/** Larger bodies compile slowly and spill. */
export const maxBodyNodes = 600;

/** Reading an element that other threads of the kernel mostly read near by. */
export const loadCost = 6;

/** Of evaluating each node once. */
export function costOf(exprs: readonly Expr[]): number {
  let cost = 0;
  for (const node of nodesOf(exprs)) cost += nodeCost(node);
  return cost;
}

/** Computing a single value once for four rows rather than reading it, which is as fast as a few operations. */
export function recomputed(cost: number, rows: number): number {
  return (Math.max(0, cost - 2 * loadCost) * rows) / 4;
}

function nodeCost(node: Expr): number {
  switch (node.op) {
    case "const":
    case "axis":
    case "counter":
    case "reduced":
    case "bitcast":
      return 0;
    case "load":
      return loadCost;
    case "cast":
    case "select":
      return 1;
    case "binary":
      if (node.fn === "pow") return 24;
      return node.fn === "div" || node.fn === "rem" ? 3 : 1;
    case "unary":
      return unaryCost[node.fn] ?? 1;
    default:
      return node satisfies never;
  }
}

const unaryCost: Partial<Record<string, number>> = {
  exp: 10,
  log: 10,
  log1p: 12,
  expm1: 12,
  sin: 10,
  cos: 10,
  tanh: 12,
  logistic: 12,
  sqrt: 3,
  rsqrt: 3,
  erf: 14,
};

export function extentOf(axes: readonly Axis[]): number {
  return axes.reduce((product, axis) => product * axis.size, 1);
}

/** Whether the body moves an element and computes nothing but indices. */
export function isMovement(def: Def): boolean {
  return def.kind === "map" && (def.body.op === "load" || def.body.op === "const");
}

/**
 * Whether every operand is read again by many points: matrix products and convolutions, whose operands a tiled schedule
 * keeps near. A weighted sum along rows is none, since it reads each element once.
 */
export function isContraction(def: Def): boolean {
  if (def.kind !== "reduce") return false;
  const known = contractions.get(def);
  if (known !== undefined) return known;
  const found = rereadsOperands(def);
  contractions.set(def, found);
  return found;
}

const contractions = new WeakMap<Def, boolean>();

function rereadsOperands(def: ReduceDef): boolean {
  const domain = [...def.axes, ...def.over].filter((axis) => axis.size > 1);
  const loads = loadsOf([def.body]);
  if (loads.length === 0) return false;
  return loads.every((load) => {
    const used = axesIn(load.index);
    const distinct = extentOf(domain.filter((axis) => used.has(axis.id)));
    const missesRow = def.axes.some((axis) => axis.size > 1 && !used.has(axis.id));
    return missesRow && extentOf(domain) >= 4 * distinct;
  });
}
