/** What a program would cost if each of its operations were a kernel by itself: what fusion is measured against. */
import type { AdapterProfile } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import { type Axis, axisExpr, type Expr, type Tensor } from "../lower/expr.ts";
import type { Graph, MapNode, Node, ReduceNode } from "../lower/graph.ts";
import type { Kernel, StoreStage } from "./kernel.ts";
import { costOfKernel } from "./kernel-cost.ts";

export interface UnfusedCost {
  /** Loops counted through. */
  readonly dispatches: number;
  readonly flops: number;
  readonly bytesMoved: number;
}

export function unfusedCost({ nodes }: Graph, profile: AdapterProfile): UnfusedCost {
  return nodes.reduce((sum, node) => added(sum, costOfNode(node, profile)), none);
}

const none: UnfusedCost = { dispatches: 0, flops: 0, bytesMoved: 0 };

function added(a: UnfusedCost, b: UnfusedCost, times = 1): UnfusedCost {
  return {
    dispatches: a.dispatches + times * b.dispatches,
    flops: a.flops + times * b.flops,
    bytesMoved: a.bytesMoved + times * b.bytesMoved,
  };
}

function costOfNode(node: Node, profile: AdapterProfile): UnfusedCost {
  if (node.kind === "loop") {
    const body = node.body.reduce((sum, inner) => added(sum, costOfNode(inner, profile)), none);
    return added(none, body, node.counter.length);
  }
  if (sizeOf(node.axes.map(({ size }) => size)) === 0) return none;
  return { dispatches: 1, ...costOfKernel(kernelOf(node), profile) };
}

function kernelOf(node: MapNode | ReduceNode): Kernel {
  const base = { name: node.label, rows: node.axes, reasons: [] };
  if (node.kind === "map") return { ...base, stages: [storeOf(node.axes, node.outputs, node.bodies)] };
  const { axes, over, reducer, body, output } = node;
  const value: Expr = { op: "reduced", dtype: output.dtype, reduction: 0 };
  return {
    ...base,
    stages: [{ kind: "reduce", axes: over, reductions: [{ id: 0, reducer, body }] }, storeOf(axes, [output], [value])],
  };
}

function storeOf(axes: readonly Axis[], tensors: readonly Tensor[], values: readonly Expr[]): StoreStage {
  const index = axes.map(axisExpr);
  const stores = values.flatMap((value, i) => {
    const tensor = tensors[i];
    return tensor === undefined ? [] : [{ tensor, index, value }];
  });
  return { kind: "store", axes: [], once: false, stores };
}
