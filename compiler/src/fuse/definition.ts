/** What fusion works on: one definition per tensor, over expressions of one pool. */
import { loadsOf } from "../lower/expr-pool.ts";
import type { Axis, Expr, LoopCounter, Reducer, Tensor } from "../lower/expr.ts";

/** Of a definition that computes a value another time, so that it need not be kept in between. */
export interface Again {
  /** The tensor of the first time. */
  readonly of: number;
  /** Tensors that must be there before: it runs no earlier than they allow. */
  readonly after: readonly number[];
  readonly reason: string;
}

export interface MapDef {
  readonly kind: "map";
  readonly tensor: Tensor;
  /** One per dimension of the tensor. */
  readonly axes: readonly Axis[];
  readonly body: Expr;
  /** The operations that the body holds, for names. */
  readonly labels: readonly string[];
  readonly again?: Again;
}

export interface ReduceDef {
  readonly kind: "reduce";
  readonly tensor: Tensor;
  readonly axes: readonly Axis[];
  readonly over: readonly Axis[];
  readonly reducer: Reducer;
  readonly body: Expr;
  readonly labels: readonly string[];
  readonly again?: Again;
}

export type Def = MapDef | ReduceDef;

export interface Carry {
  readonly init: Tensor;
  readonly input: Tensor;
  readonly result: Tensor;
  readonly final: Tensor;
}

export interface Stacked {
  readonly element: Tensor;
  readonly index: Expr;
  readonly output: Tensor;
}

export interface LoopUnit {
  readonly kind: "loop";
  readonly counter: LoopCounter;
  readonly body: readonly Unit[];
  readonly carries: readonly Carry[];
  readonly stacked: readonly Stacked[];
}

export type Unit = Def | LoopUnit;

/** Tensors that a unit defines for the level that it stands in. */
export function definedBy(unit: Unit): readonly Tensor[] {
  if (unit.kind !== "loop") return [unit.tensor];
  return [...unit.carries.map((carry) => carry.final), ...unit.stacked.map((stacked) => stacked.output)];
}

/** Tensors that a unit reads, by id. */
export function readBy(unit: Unit): number[] {
  const bodies = unit.kind === "loop" ? [...definitionsIn(unit.body)].map((def) => def.body) : [unit.body];
  const read = loadsOf(bodies).map((load) => load.tensor.id);
  return unit.kind === "loop" ? [...read, ...initsIn(unit)] : read;
}

function initsIn(loop: LoopUnit): number[] {
  const inner = loop.body.flatMap((unit) => (unit.kind === "loop" ? initsIn(unit) : []));
  return [...loop.carries.map((carry) => carry.init.id), ...inner];
}

/** Every definition, those of loop bodies included, in order. */
export function* definitionsIn(units: readonly Unit[]): Generator<Def> {
  for (const unit of units) {
    if (unit.kind === "loop") yield* definitionsIn(unit.body);
    else yield unit;
  }
}
