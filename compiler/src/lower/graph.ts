/**
 * Loop IR, the graph level: what a flat Jaxpr becomes before fusion. Nodes are in order; each defines tensors from
 * tensors defined before it. A movement operation is a `map` whose body is one load.
 */
import type { Axis, Expr, LoopCounter, Reducer, Tensor } from "./expr.ts";

/** Every output has the shape that `axes` span; body i gives output i. */
export interface MapNode {
  readonly kind: "map";
  readonly axes: readonly Axis[];
  readonly outputs: readonly Tensor[];
  readonly bodies: readonly Expr[];
  readonly label: string;
}

/** `output[axes] = reducer over `over` of body`. An empty `over` space gives the reducer's neutral element. */
export interface ReduceNode {
  readonly kind: "reduce";
  readonly axes: readonly Axis[];
  readonly over: readonly Axis[];
  readonly reducer: Reducer;
  readonly body: Expr;
  readonly output: Tensor;
  readonly label: string;
}

/**
 * Runs `body` `counter.length` times on the device. A carry starts as `init`, enters the body as `input` (an input of
 * the body's graph) and leaves it as `result`; `final` is its value after the last iteration. In each iteration `element`
 * becomes row `index` (an i32 over the counter alone) of the stacked output. The body may load every tensor that is
 * defined outside before the loop.
 */
export interface LoopNode {
  readonly kind: "loop";
  readonly counter: LoopCounter;
  readonly body: readonly Node[];
  readonly carries: readonly {
    readonly init: Tensor;
    readonly input: Tensor;
    readonly result: Tensor;
    readonly final: Tensor;
  }[];
  readonly stacked: readonly { readonly element: Tensor; readonly index: Expr; readonly output: Tensor }[];
  readonly label: string;
}

export type Node = MapNode | ReduceNode | LoopNode;

/** An output may be an input or appear twice. */
export interface Graph {
  readonly inputs: readonly Tensor[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly Tensor[];
}
