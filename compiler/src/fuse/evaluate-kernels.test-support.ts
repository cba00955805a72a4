/**
 * Runs loop IR on the CPU, for tests: a graph node by node, and a fused program kernel by kernel, with its tensors apart
 * or in the buffers of a memory plan. Rows and points run in an order drawn at random, as a device may run them.
 */
import type { BufferRef } from "../executable.ts";
import { invariant } from "../diagnostics/index.ts";
import { roundToF16 } from "../ir/host-array.ts";
import { sizeOf, stridesOf } from "../ir/shape.ts";
import type { Axis, Expr, LoopCounter, Reducer, Tensor } from "../lower/expr.ts";
import type { Graph, Node } from "../lower/graph.ts";
import { neutralOf } from "../lower/reducers.ts";
import { type FusedProgram, type FusedStep, type InnerSum, type Kernel, partsOf, type Store } from "./kernel.ts";
import type { MemoryPlan } from "./memory-plan-types.ts";

type Data = Float64Array;

/** Where tensors are kept. */
interface Memory {
  read(tensor: Tensor): Data;
  write(tensor: Tensor): Data;
}

interface Scope {
  readonly memory: Memory;
  readonly axes: Map<number, number>;
  readonly counters: Map<number, number>;
  readonly reduced: Map<number, number>;
}

const unary: Record<string, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  not: (x) => Number(!x),
};

const binary: Record<string, (x: number, y: number) => number> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  pow: Math.pow,
  max: Math.max,
  min: Math.min,
  and: (x, y) => x & y,
  or: (x, y) => x | y,
  eq: (x, y) => Number(x === y),
  ne: (x, y) => Number(x !== y),
  lt: (x, y) => Number(x < y),
  le: (x, y) => Number(x <= y),
  gt: (x, y) => Number(x > y),
  ge: (x, y) => Number(x >= y),
};

function evaluate(root: Expr, scope: Scope): number {
  const memo = new Map<Expr, number>();
  const visit = (expr: Expr): number => {
    const known = memo.get(expr);
    if (known !== undefined) return known;
    const value = compute(expr);
    memo.set(expr, value);
    return value;
  };
  const compute = (expr: Expr): number => {
    switch (expr.op) {
      case "const":
        return expr.value;
      case "axis":
        return defined(scope.axes.get(expr.axis.id), "an axis outside of its loop");
      case "counter":
        return defined(scope.counters.get(expr.loop.id), "a counter outside of its loop");
      case "reduced":
        return defined(scope.reduced.get(expr.reduction), "a reduction that is not done");
      case "load": {
        const strides = stridesOf(expr.tensor.shape);
        const offset = expr.index.reduce((sum, at, d) => {
          const i = visit(at);
          invariant(
            i >= 0 && i < (expr.tensor.shape[d] ?? 0),
            `index ${i} in dimension ${d} of ${expr.tensor.shape.join("×")}`,
          );
          return sum + i * (strides[d] ?? 0);
        }, 0);
        return defined(scope.memory.read(expr.tensor)[offset], "an element");
      }
      case "unary":
        return defined(unary[expr.fn], expr.fn)(visit(expr.x));
      case "binary": {
        const [x, y] = [visit(expr.x), visit(expr.y)];
        if (expr.fn === "div") return expr.dtype === "i32" ? Math.trunc(x / y) : x / y;
        if (expr.fn === "rem") return x % y;
        return defined(binary[expr.fn], expr.fn)(x, y);
      }
      case "select":
        return visit(expr.condition) ? visit(expr.onTrue) : visit(expr.onFalse);
      case "cast": {
        const x = visit(expr.x);
        if (expr.dtype === "bool") return Number(x !== 0);
        if (expr.dtype === "i32") return Math.trunc(x);
        return expr.dtype === "f16" ? roundToF16(x) : x;
      }
      case "bitcast":
        throw new Error("bits are not evaluated here");
      default:
        return expr satisfies never;
    }
  };
  return visit(root);
}

function defined<T>(value: T | undefined, what: string): T {
  invariant(value !== undefined, what);
  return value;
}

type Order = (points: number[][]) => number[][];

const inOrder: Order = (points) => points;

function pointsOf(axes: readonly Axis[]): number[][] {
  let all: number[][] = [[]];
  for (const axis of axes) all = all.flatMap((point) => Array.from({ length: axis.size }, (_, i) => [...point, i]));
  return all;
}

/** Runs `visit` at each point of a space. */
function atPoints(axes: readonly Axis[], scope: Scope, visit: () => void, order: Order = inOrder): void {
  for (const point of order(pointsOf(axes))) {
    axes.forEach((axis, d) => scope.axes.set(axis.id, point[d] as number));
    visit();
  }
}

function reduceOver(
  reducer: Reducer,
  axes: readonly Axis[],
  body: Expr,
  scope: Scope,
  inner: readonly InnerSum[] = [],
): number {
  const neutral = neutralOf(reducer, body.dtype);
  let value = neutral.op === "const" ? neutral.value : 0;
  let best = NaN;
  let position = 0;
  atPoints(axes, scope, () => {
    for (const sum of inner) scope.reduced.set(sum.id, reduceOver("sum", sum.axes, sum.body, scope));
    const x = evaluate(body, scope);
    if (reducer === "argmax" || reducer === "argmin") {
      if (position === 0 || (reducer === "argmax" ? x > best : x < best)) [best, value] = [x, position];
    } else if (reducer === "sum") value += x;
    else if (reducer === "prod") value *= x;
    else value = defined(binary[reducer], reducer)(value, x);
    position++;
  });
  return value;
}

function put(store: Pick<Store, "tensor" | "index">, value: number, scope: Scope): void {
  const strides = stridesOf(store.tensor.shape);
  const offset = store.index.reduce((sum, at, d) => sum + evaluate(at, scope) * (strides[d] ?? 0), 0);
  invariant(offset < sizeOf(store.tensor.shape), "a store in range");
  scope.memory.write(store.tensor)[offset] = value;
}

class Apart implements Memory {
  readonly #data = new Map<number, Data>();

  constructor(arenas: FusedProgram["arenas"] = []) {
    for (const { tensor, members } of arenas) {
      const whole = this.write(tensor);
      for (const { tensor: part, offset } of members) {
        this.#data.set(part.id, whole.subarray(offset, offset + sizeOf(part.shape)));
      }
    }
  }

  read(tensor: Tensor): Data {
    return defined(this.#data.get(tensor.id), `tensor ${tensor.id} is read before it is computed`);
  }
  write(tensor: Tensor): Data {
    const known = this.#data.get(tensor.id);
    if (known) return known;
    const data = new Float64Array(sizeOf(tensor.shape)).fill(NaN);
    this.#data.set(tensor.id, data);
    return data;
  }
}

function scopeOf(memory: Memory): Scope {
  return { memory, axes: new Map(), counters: new Map(), reduced: new Map() };
}

function runLoop(
  counter: LoopCounter,
  carries: readonly { init: Tensor; input: Tensor; result: Tensor; final: Tensor }[],
  scope: Scope,
  body: () => void,
): void {
  const { memory, counters } = scope;
  let current = carries.map(({ init }) => memory.read(init).slice());
  for (let t = 0; t < counter.length; t++) {
    counters.set(counter.id, t);
    carries.forEach(({ input }, i) => memory.write(input).set(current[i] as Data));
    body();
    current = carries.map(({ result }) => memory.read(result).slice());
  }
  counters.delete(counter.id);
  carries.forEach(({ final }, i) => memory.write(final).set(current[i] as Data));
}

export function evaluateGraph(graph: Graph, inputs: readonly (readonly number[])[]): number[][] {
  const memory = new Apart();
  const scope = scopeOf(memory);
  graph.inputs.forEach((tensor, i) => memory.write(tensor).set(inputs[i] ?? []));
  const run = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      if (node.kind === "loop") {
        for (const { output } of node.stacked) memory.write(output);
        runLoop(node.counter, node.carries, scope, () => {
          run(node.body);
          for (const { element, index, output } of node.stacked) {
            memory.write(output).set(memory.read(element), evaluate(index, scope) * sizeOf(element.shape));
          }
        });
        continue;
      }
      const outputs = node.kind === "map" ? node.outputs : [node.output];
      for (const output of outputs) memory.write(output);
      let offset = 0;
      atPoints(node.axes, scope, () => {
        outputs.forEach((output, i) => {
          memory.write(output)[offset] =
            node.kind === "map"
              ? evaluate(node.bodies[i] as Expr, scope)
              : reduceOver(node.reducer, node.over, node.body, scope);
        });
        offset++;
      });
    }
  };
  run(graph.nodes);
  return graph.outputs.map((tensor) => [...memory.write(tensor)]);
}

/** Kernels beside each other run their rows in any order among each other. */
function runKernel(kernel: Kernel, scope: Scope, order: Order): void {
  const parts = partsOf(kernel);
  const rows = parts.flatMap(({ rows: axes }, part) => pointsOf(axes).map((point) => [part, ...point]));
  for (const [which = 0, ...point] of order(rows)) {
    const part = defined(parts[which], "a part of a kernel");
    part.rows.forEach((axis, d) => scope.axes.set(axis.id, point[d] as number));
    runRow(part, scope, order);
  }
}

function runRow(kernel: Kernel, scope: Scope, order: Order): void {
  scope.reduced.clear();
  for (const stage of kernel.stages) {
    if (stage.kind === "reduce") {
      for (const { id, reducer, body } of stage.reductions) {
        scope.reduced.set(id, reduceOver(reducer, stage.axes, body, scope, stage.inner));
      }
      continue;
    }
    const storePoint = (): void => {
      const values = stage.stores.map((store) => evaluate(store.value, scope));
      stage.stores.forEach((store, i) => put(store, values[i] as number, scope));
    };
    atPoints(stage.axes, scope, storePoint, order);
  }
}

/** With every tensor in memory of its own. */
export function evaluateFused(
  program: FusedProgram,
  inputs: readonly (readonly number[])[],
  order: Order = inOrder,
): number[][] {
  const memory = new Apart(program.arenas);
  const scope = scopeOf(memory);
  program.inputs.forEach((tensor, i) => memory.write(tensor).set(inputs[i] ?? []));
  const run = (steps: readonly FusedStep[]): void => {
    for (const step of steps) {
      if (step.kind === "kernel") runKernel(step.kernel, scope, order);
      else if (step.kind === "copy") memory.write(step.to).set(memory.read(step.from));
      else runLoop(step.counter, step.carries, scope, () => run(step.body));
    }
  };
  run(program.steps);
  return program.outputs.map((tensor) => [...memory.write(tensor)]);
}

/** With tensors in the buffers that a plan gives them, as a device has them. */
export function evaluatePlanned(
  program: FusedProgram,
  plan: MemoryPlan,
  inputs: readonly (readonly number[])[],
  order: Order = inOrder,
): number[][] {
  const buffers: Data[] = [];
  for (const { bytes, within } of plan.buffers) {
    const around = within && defined(buffers[within.buffer], "a buffer around");
    const start = (within?.offset ?? 0) / 4;
    buffers.push(around?.subarray(start, start + bytes / 4) ?? new Float64Array(bytes / 4).fill(NaN));
  }
  let parity = 0;
  const buffer = (ref: BufferRef): Data =>
    defined(buffers[typeof ref === "number" ? ref : parity === 0 ? ref.even : ref.odd], "a buffer");
  const access = (tensor: Tensor): Data =>
    buffer(defined(plan.assignment.get(tensor.id), `tensor ${tensor.id} has no buffer`)).subarray(
      0,
      sizeOf(tensor.shape),
    );
  const scope = scopeOf({ read: access, write: access });
  program.inputs.forEach((tensor, i) => access(tensor).set(inputs[i] ?? []));
  const copy = (from: BufferRef, to: BufferRef, bytes: number): void => {
    invariant(buffer(from) !== buffer(to), "a copy onto itself");
    buffer(to).set(buffer(from).subarray(0, bytes / 4));
  };
  const run = (steps: readonly FusedStep[]): void => {
    for (const step of steps) {
      if (step.kind === "kernel") {
        runKernel(step.kernel, scope, order);
      } else if (step.kind === "copy") {
        const [from, to] = [access(step.from), access(step.to)];
        if (from.byteOffset !== to.byteOffset || from.buffer !== to.buffer) to.set(from);
      } else {
        const loop = defined(plan.loops.get(step.counter.id), "a loop's plan");
        for (const { from, to, bytes } of loop.before) copy(from, to, bytes);
        const outer = parity;
        for (let t = 0; t < step.counter.length; t++) {
          parity = t % 2;
          scope.counters.set(step.counter.id, t);
          run(step.body);
          for (const { from, to, bytes } of loop.after) copy(from, to, bytes);
        }
        scope.counters.delete(step.counter.id);
        parity = outer;
      }
    }
  };
  run(program.steps);
  program.inputs.forEach((tensor, i) => {
    invariant(
      access(tensor).every((x, k) => Object.is(x, inputs[i]?.[k])),
      "an input is overwritten",
    );
  });
  return program.outputs.map((tensor) => [...access(tensor)]);
}
