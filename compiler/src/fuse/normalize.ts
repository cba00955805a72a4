/**
 * Graph → units: expressions in one pool, one definition per live tensor. Guarantees for what follows:
 * - no definition is empty or dead, and no reduction runs over nothing or over one element;
 * - a carry of a loop changes in it, is used, and its result is defined directly in the body, for it alone;
 * - the element of a stacked output is a map or reduction of the body.
 */
import { InternalError } from "../diagnostics/index.ts";
import { sizeOf } from "../ir/shape.ts";
import { axisExpr, castExpr, constExpr, type Expr, loadExpr, newAxis, newTensor, type Tensor } from "../lower/expr.ts";
import { type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import type { Graph, LoopNode, Node } from "../lower/graph.ts";
import { neutralOf } from "../lower/reducers.ts";
import type { Carry, Def, LoopUnit, MapDef, Unit } from "./definition.ts";

export interface NormalGraph {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly units: readonly Unit[];
}

export function normalizeGraph(graph: Graph, pool: ExprPool): NormalGraph {
  const normalizer = new Normalizer(pool);
  const units = normalizer.forward(graph.nodes);
  const outputs = graph.outputs.map((tensor) => normalizer.resolve(tensor));
  return { inputs: graph.inputs, outputs, units: withoutDead(units, new Set(outputs.map((tensor) => tensor.id))) };
}

class Normalizer {
  readonly #pool: ExprPool;
  /** Tensors that are another under a second name: carries that their loop leaves alone. */
  readonly #same = new Map<number, Tensor>();

  constructor(pool: ExprPool) {
    this.#pool = pool;
  }

  resolve(tensor: Tensor): Tensor {
    let resolved = tensor;
    for (let next = this.#same.get(resolved.id); next; next = this.#same.get(resolved.id)) resolved = next;
    return resolved;
  }

  forward(nodes: readonly Node[]): Unit[] {
    return nodes.flatMap((node): Unit[] => {
      if (node.kind === "loop") return this.#loop(node);
      if (node.kind === "map") {
        return node.outputs.flatMap((tensor, i) =>
          sizeOf(tensor.shape) === 0
            ? []
            : [{ kind: "map", tensor, axes: node.axes, body: this.#body(node.bodies[i]), labels: [node.label] }],
        );
      }
      const { output: tensor, axes, over, reducer } = node;
      if (sizeOf(tensor.shape) === 0) return [];
      const extent = sizeOf(over.map((axis) => axis.size));
      const labels = [node.label];
      if (extent === 0)
        return [{ kind: "map", tensor, axes, body: this.#body(neutralOf(reducer, tensor.dtype)), labels }];
      const body = this.#body(node.body);
      if (extent > 1) return [{ kind: "reduce", tensor, axes, over, reducer, body, labels }];
      const positional = reducer === "argmax" || reducer === "argmin";
      return [{ kind: "map", tensor, axes, body: positional ? this.#body(constExpr(0)) : body, labels }];
    });
  }

  #body(expr: Expr | undefined): Expr {
    if (expr === undefined) throw new InternalError("a map has a body for each output");
    return this.#pool.rewrite(expr, {
      load: (tensor, index) => {
        const resolved = this.resolve(tensor);
        return resolved === tensor ? undefined : this.#pool.intern(loadExpr(resolved, index));
      },
    });
  }

  #loop(node: LoopNode): Unit[] {
    // A carry found unchanged is known outside as well, which can show that others do not change either.
    let body = this.forward(node.body);
    for (let found = true; found;) {
      found = false;
      for (const { init, input, result, final } of node.carries) {
        if (this.#same.has(final.id) || this.resolve(result) !== input) continue;
        this.#same.set(input.id, init).set(final.id, init);
        found = true;
      }
      if (found) body = this.forward(node.body);
    }
    const moving = node.carries.filter(({ init, final }) => !this.#same.has(final.id) && sizeOf(init.shape) > 0);
    const copies: MapDef[] = [];
    const taken = new Set<number>();
    const own = new Set(body.filter((unit) => unit.kind !== "loop").map((unit) => unit.tensor.id));
    const finals = new Set(body.flatMap((unit) => (unit.kind === "loop" ? unit.carries.map((c) => c.final.id) : [])));
    const carries = moving.map((carry): Carry => {
      const result = this.resolve(carry.result);
      const free = (own.has(result.id) || finals.has(result.id)) && !taken.has(result.id);
      taken.add(result.id);
      return { ...carry, init: this.resolve(carry.init), result: free ? result : this.#copy(result, copies) };
    });
    const stacked = node.stacked.flatMap((entry) => {
      const element = this.resolve(entry.element);
      if (sizeOf(element.shape) === 0) return [];
      const index = this.#body(entry.index);
      return [{ element: own.has(element.id) ? element : this.#copy(element, copies), index, output: entry.output }];
    });
    return [{ kind: "loop", counter: node.counter, body: [...body, ...copies], carries, stacked }];
  }

  #copy(tensor: Tensor, copies: MapDef[]): Tensor {
    const copy = newTensor(tensor.dtype, tensor.shape);
    const axes = tensor.shape.map(newAxis);
    const body = this.#body(castExpr(loadExpr(tensor, axes.map(axisExpr)), tensor.dtype));
    copies.push({ kind: "map", tensor: copy, axes, body, labels: ["copy"] });
    return copy;
  }
}

/** Keeps what the tensors in `live` need; adds what the kept units read to it. */
function withoutDead(units: readonly Unit[], live: Set<number>): Unit[] {
  const kept: Unit[] = [];
  for (const unit of units.toReversed()) {
    if (unit.kind === "loop") {
      const pruned = pruneLoop(unit, live);
      if (pruned) kept.push(pruned);
    } else if (live.has(unit.tensor.id)) {
      kept.push(unit);
      addReads(unit, live);
    }
  }
  return kept.toReversed();
}

function addReads(def: Def, live: Set<number>): void {
  for (const load of loadsOf([def.body])) live.add(load.tensor.id);
}

/** A carry lives if something reads its final value, or something that lives reads it in the body. */
function pruneLoop(loop: LoopUnit, live: Set<number>): LoopUnit | null {
  const stacked = loop.stacked.filter(({ output }) => live.has(output.id));
  let carries = loop.carries.filter(({ final }) => live.has(final.id));
  if (carries.length === 0 && stacked.length === 0) return null;
  for (;;) {
    const inside = new Set([...carries.map((carry) => carry.result.id), ...stacked.map((entry) => entry.element.id)]);
    const body = withoutDead(loop.body, inside);
    const needed = loop.carries.filter((carry) => carries.includes(carry) || inside.has(carry.input.id));
    if (needed.length === carries.length) {
      for (const id of inside) live.add(id);
      for (const carry of carries) live.add(carry.init.id);
      return { ...loop, body, carries, stacked };
    }
    carries = needed;
  }
}
