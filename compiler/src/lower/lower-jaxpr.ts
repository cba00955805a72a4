/**
 * Flat Jaxpr → loop IR. Expects every aval at the server and no constvars; each primitive's `lower` rule says what its
 * equation computes, element by element. Guarantees a graph whose nodes are in order and whose outputs are all in memory;
 * nothing is fused, inlined or removed here.
 */
import { InternalError, invariant } from "../diagnostics/index.ts";
import type { DType } from "../ir/dtype.ts";
import type { Atom, Eqn, Jaxpr } from "../ir/jaxpr.ts";
import { isServer } from "../ir/placement.ts";
import { sameShape, type Shape } from "../ir/shape.ts";
import { primitiveOf } from "../primitives/define.ts";
import type { LowerArgs, LowerContext, LowerControlArgs, Lowered } from "../primitives/primitive.ts";
import * as expr from "./expr.ts";
import type { Expr, Reducer, Tensor } from "./expr.ts";
import type { Graph, Node } from "./graph.ts";

export function lowerJaxpr(jaxpr: Jaxpr): Graph {
  invariant(jaxpr.constvars.length === 0, "constants of a Jaxpr become inputs before it is lowered");
  const builder = new GraphBuilder();
  const inputs = jaxpr.invars.map((variable) => builder.input(variable.aval.dtype, variable.aval.shape));
  return builder.finish(builder.lowerJaxpr(jaxpr, inputs));
}

/** A value in memory. */
class InMemory implements Lowered {
  readonly tensor: Tensor;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }

  get dtype(): DType {
    return this.tensor.dtype;
  }

  get shape(): Shape {
    return this.tensor.shape;
  }

  at(index: readonly Expr[]): Expr {
    return expr.loadExpr(this.tensor, index);
  }
}

/** A scalar literal, which meets arrays of any shape: every index gives the same value. */
class Everywhere implements Lowered {
  readonly dtype: DType;
  readonly shape: Shape = [];
  readonly #value: Expr;

  constructor(value: number, dtype: DType) {
    this.dtype = dtype;
    this.#value = expr.constExpr(value, dtype);
  }

  at(): Expr {
    return this.#value;
  }
}

type LoopArgs = Parameters<LowerControlArgs<unknown>["loop"]>[0];

/** Builds a graph by the vocabulary that lowering rules use. */
export class GraphBuilder implements LowerContext {
  readonly expr = expr;
  readonly #inputs: Tensor[] = [];
  /** Nodes of the graph, or of the innermost loop body that is being built. */
  #nodes: Node[] = [];
  /** The operation that new nodes come from. */
  label = "value";

  input(dtype: DType, shape: Shape): Lowered {
    const tensor = expr.newTensor(dtype, shape);
    this.#inputs.push(tensor);
    return new InMemory(tensor);
  }

  finish(outputs: readonly Lowered[]): Graph {
    const tensors = outputs.map((output) => this.#inMemory(output));
    return { inputs: this.#inputs, nodes: this.#nodes, outputs: tensors };
  }

  map(dtype: DType, shape: Shape, body: (index: readonly Expr[]) => Expr): Lowered {
    const [output] = this.mapMany([dtype], shape, (index) => [body(index)]);
    return output as Lowered;
  }

  mapMany(dtypes: readonly DType[], shape: Shape, body: (index: readonly Expr[]) => readonly Expr[]): Lowered[] {
    const axes = shape.map(expr.newAxis);
    const bodies = body(axes.map(expr.axisExpr));
    invariant(
      bodies.length === dtypes.length && bodies.every((value, i) => value.dtype === dtypes[i]),
      `${this.label}: bodies give ${bodies.map((value) => value.dtype).join(", ")} for ${dtypes.join(", ")}`,
    );
    const outputs = dtypes.map((dtype) => expr.newTensor(dtype, shape));
    this.#nodes.push({ kind: "map", axes, outputs, bodies, label: this.label });
    return outputs.map((tensor) => new InMemory(tensor));
  }

  reduce(
    reducer: Reducer,
    shape: Shape,
    over: Shape,
    body: (index: readonly Expr[], inner: readonly Expr[]) => Expr,
  ): Lowered {
    const axes = shape.map(expr.newAxis);
    const inner = over.map(expr.newAxis);
    const value = body(axes.map(expr.axisExpr), inner.map(expr.axisExpr));
    const dtype = reducer === "argmax" || reducer === "argmin" ? "i32" : value.dtype;
    const output = expr.newTensor(dtype, shape);
    this.#nodes.push({ kind: "reduce", axes, over: inner, reducer, body: value, output, label: this.label });
    return new InMemory(output);
  }

  /** Adds a loop node. A loop of no iterations leaves only its first carries; a loop of one is no loop. */
  loop({ length, carries, stacked, body, position }: LoopArgs): ReturnType<LowerControlArgs<unknown>["loop"]> {
    const label = this.label;
    if (length === 1) {
      const only = body(expr.constExpr(0), carries);
      this.label = label;
      return { carries: only.carries, stacked: only.elements.map((element) => this.#stackOne(element)) };
    }
    const counter = expr.newCounter(length);
    const inits = carries.map((carry) => this.#inMemory(carry));
    const inputs = inits.map((tensor) => expr.newTensor(tensor.dtype, tensor.shape));
    const outer = this.#nodes;
    const nodes: Node[] = [];
    this.#nodes = nodes;
    const iteration = body(
      expr.counterExpr(counter),
      inputs.map((tensor) => new InMemory(tensor)),
    );
    const results = iteration.carries.map((carry) => this.#inMemory(carry));
    const elements = iteration.elements.map((element) => this.#inMemory(element));
    this.#nodes = outer;
    this.label = label;
    invariant(results.length === inits.length && elements.length === stacked.length, `${label}: the body's results`);
    const outputs = elements.map((element) => expr.newTensor(element.dtype, [length, ...element.shape]));
    if (length === 0) return { carries, stacked: outputs.map((tensor) => new InMemory(tensor)) };
    const triples = inits.map((init, i) => {
      const [input, result] = [inputs[i] as Tensor, results[i] as Tensor];
      invariant(
        result.dtype === init.dtype && sameShape(result.shape, init.shape),
        `${label}: a carry changes its type`,
      );
      return { init, input, result, final: expr.newTensor(init.dtype, init.shape) };
    });
    const index = position(expr.counterExpr(counter));
    this.#nodes.push({
      kind: "loop",
      counter,
      body: nodes,
      carries: triples,
      stacked: outputs.map((output, i) => ({ element: elements[i] as Tensor, index, output })),
      label,
    });
    return {
      carries: triples.map(({ final }) => new InMemory(final)),
      stacked: outputs.map((tensor) => new InMemory(tensor)),
    };
  }

  lowerJaxpr(jaxpr: Jaxpr, inputs: readonly Lowered[]): readonly Lowered[] {
    invariant(jaxpr.constvars.length === 0 && jaxpr.invars.length === inputs.length, "inputs of a lowered Jaxpr");
    const values = new Map(jaxpr.invars.map((variable, i) => [variable.id, inputs[i] as Lowered]));
    const read = (atom: Atom): Lowered => {
      if (atom.kind === "literal") return new Everywhere(atom.value, atom.aval.dtype);
      const value = values.get(atom.id);
      invariant(value !== undefined, "a variable is read before it is defined");
      return value;
    };
    for (const eqn of jaxpr.eqns) {
      const outputs = this.#lowerEqn(eqn, eqn.inputs.map(read));
      invariant(
        outputs.length === eqn.outputs.length,
        `${eqn.primitive}: the lowering gives another number of results`,
      );
      eqn.outputs.forEach((variable, i) => values.set(variable.id, outputs[i] as Lowered));
    }
    return jaxpr.outvars.map(read);
  }

  #lowerEqn(eqn: Eqn, inputs: readonly Lowered[]): readonly Lowered[] {
    const primitive = primitiveOf(eqn.primitive);
    const outputs = eqn.outputs.map((variable) => variable.aval);
    invariant(
      outputs.every((aval) => isServer(aval.placement)),
      `${eqn.primitive}: placements are erased before lowering`,
    );
    this.label = eqn.primitive;
    const args: LowerArgs<typeof eqn.params> = { inputs, params: eqn.params, outputs, ctx: this };
    switch (primitive.kind) {
      case "elementwise":
      case "array":
        return primitive.lower(args);
      case "control":
        return primitive.lower({
          ...args,
          loop: (parts) => this.loop(parts),
          lowerJaxpr: (jaxpr, values) => this.lowerJaxpr(jaxpr, values),
        });
      case "communication":
        throw new InternalError(`${eqn.primitive}: communication is erased before lowering`);
      default:
        return primitive satisfies never;
    }
  }

  #inMemory(value: Lowered): Tensor {
    if (value instanceof InMemory) return value.tensor;
    const stored = this.map(value.dtype, value.shape, (index) => value.at(index));
    invariant(stored instanceof InMemory, "a map is in memory");
    return stored.tensor;
  }

  #stackOne(element: Lowered): Lowered {
    return this.map(element.dtype, [1, ...element.shape], ([, ...rest]) => element.at(rest));
  }
}
