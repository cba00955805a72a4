/**
 * What a kernel computes as text, whatever its axes and tensors are called: kernels of one key have one code, so that equal
 * layers of a model are generated once.
 */
import type { BufferRef } from "../executable.ts";
import { type Kernel, partsOf } from "../fuse/kernel.ts";
import type { Axis, Expr, LoopCounter, Tensor } from "../lower/expr.ts";
import type { Assignment } from "./bindings.ts";

export function keyOfKernel(kernel: Kernel, assignment: Assignment, loops: readonly LoopCounter[]): string {
  const writer = new KeyWriter(assignment, loops);
  for (const part of partsOf(kernel)) writer.part(part);
  return writer.text.join(";");
}

class KeyWriter {
  readonly text: string[] = [];
  readonly #assignment: Assignment;
  readonly #loops: readonly LoopCounter[];
  readonly #exprs = new Map<Expr, number>();
  readonly #axes = new Map<Axis, number>();
  readonly #tensors = new Map<Tensor, number>();
  readonly #buffers = new Map<string, number>();
  readonly #reductions = new Map<number, number>();

  constructor(assignment: Assignment, loops: readonly LoopCounter[]) {
    this.#assignment = assignment;
    this.#loops = loops;
  }

  part({ name, rows, columns = [], stages }: Kernel): void {
    this.text.push(`${name}(${this.#axesOf(rows)})${columns.length > 0 ? `columns(${this.#axesOf(columns)})` : ""}`);
    for (const stage of stages) {
      if (stage.kind === "reduce") {
        this.text.push(`reduce(${this.#axesOf(stage.axes)})`);
        for (const { id, axes, body } of stage.inner ?? []) {
          const value = this.#expr(body);
          this.text.push(`r${numberIn(this.#reductions, id)}=inner(${this.#axesOf(axes)}) ${value}`);
        }
        for (const { id, reducer, body } of stage.reductions) {
          const value = this.#expr(body);
          this.text.push(`r${numberIn(this.#reductions, id)}=${reducer} ${value}`);
        }
        continue;
      }
      this.text.push(`store${stage.once ? " once" : ""}(${this.#axesOf(stage.axes)})`);
      for (const { tensor, index, value } of stage.stores) {
        const at = index.map((expr) => this.#expr(expr)).join(",");
        const stored = this.#expr(value);
        this.text.push(`${this.#tensor(tensor)}[${at}]=${stored}`);
      }
    }
  }

  #axesOf(axes: readonly Axis[]): string {
    return axes.map((axis) => `${numberIn(this.#axes, axis)}:${axis.size}`).join(",");
  }

  #tensor(tensor: Tensor): number {
    const known = this.#tensors.get(tensor);
    if (known !== undefined) return known;
    const number = numberIn(this.#tensors, tensor);
    const buffer = numberIn(this.#buffers, nameOf(this.#assignment(tensor)));
    this.text.push(`t${number}=${tensor.dtype}[${tensor.shape.join(",")}]@${buffer}`);
    return number;
  }

  /** The number of an expression; what is not known yet is written first. */
  #expr(expr: Expr): number {
    const known = this.#exprs.get(expr);
    if (known !== undefined) return known;
    const text = this.#node(expr);
    const number = numberIn(this.#exprs, expr);
    this.text.push(`${number}=${text}`);
    return number;
  }

  #node(expr: Expr): string {
    switch (expr.op) {
      case "const":
        return `${expr.dtype} ${Object.is(expr.value, -0) ? "-0" : expr.value}`;
      case "axis":
        return `axis ${this.#axesOf([expr.axis])}`;
      case "counter":
        return `counter ${this.#loops.indexOf(expr.loop)}:${expr.loop.length}`;
      case "reduced":
        return `reduced ${expr.dtype} ${numberIn(this.#reductions, expr.reduction)}`;
      case "load": {
        const index = expr.index.map((at) => this.#expr(at)).join(",");
        return `load ${this.#tensor(expr.tensor)}[${index}]`;
      }
      case "unary":
        return `${expr.fn} ${expr.dtype} ${this.#expr(expr.x)}`;
      case "cast":
      case "bitcast":
        return `${expr.op} ${expr.dtype} ${this.#expr(expr.x)}`;
      case "binary":
        return `${expr.fn} ${expr.dtype} ${this.#expr(expr.x)} ${this.#expr(expr.y)}`;
      case "select":
        return `select ${this.#expr(expr.condition)} ${this.#expr(expr.onTrue)} ${this.#expr(expr.onFalse)}`;
      default:
        return expr satisfies never;
    }
  }
}

function numberIn<K>(numbers: Map<K, number>, key: K): number {
  const known = numbers.get(key) ?? numbers.size;
  numbers.set(key, known);
  return known;
}

function nameOf(buffer: BufferRef): string {
  return typeof buffer === "number" ? `${buffer}` : `${buffer.even}/${buffer.odd}`;
}
