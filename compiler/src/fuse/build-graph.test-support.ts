/** Operations on loop IR values, as lowering rules would write them: graphs for tests. */
import { type Shape, sizeOf, stridesOf } from "../ir/shape.ts";
import {
  binaryExpr,
  type BinaryFn,
  castExpr,
  constExpr,
  type Expr,
  type Reducer,
  selectExpr,
  unaryExpr,
  type UnaryFn,
} from "../lower/expr.ts";
import { GraphBuilder } from "../lower/lower-jaxpr.ts";
import type { Lowered } from "../primitives/primitive.ts";

export class Ops {
  readonly builder = new GraphBuilder();

  input(...shape: number[]): Lowered {
    return this.builder.input("f32", shape);
  }

  unary(fn: UnaryFn, x: Lowered): Lowered {
    this.builder.label = fn;
    return this.builder.map(x.dtype, x.shape, (index) => unaryExpr(fn, x.at(index)));
  }

  /** Of arrays of one shape; a number fits any. */
  binary(fn: BinaryFn, x: Lowered | number, y: Lowered | number): Lowered {
    this.builder.label = fn;
    const shape = typeof x !== "number" ? x.shape : typeof y !== "number" ? y.shape : [];
    const at = (value: Lowered | number, index: readonly Expr[]): Expr =>
      typeof value === "number" ? constExpr(value, "f32") : value.at(index);
    return this.builder.map("f32", shape, (index) => binaryExpr(fn, at(x, index), at(y, index)));
  }

  reduce(reducer: Reducer, x: Lowered, axes: readonly number[]): Lowered {
    this.builder.label = `reduce_${reducer}`;
    const kept = x.shape.map((_, d) => d).filter((d) => !axes.includes(d));
    const sizes = (dims: readonly number[]): number[] => dims.map((d) => x.shape[d] ?? 0);
    return this.builder.reduce(reducer, sizes(kept), sizes(axes), (index, inner) =>
      x.at(x.shape.map((_, d) => (axes.includes(d) ? inner[axes.indexOf(d)] : index[kept.indexOf(d)]) ?? constExpr(0))),
    );
  }

  broadcast(x: Lowered, shape: Shape, dimensions: readonly number[]): Lowered {
    this.builder.label = "broadcast_in_dim";
    return this.builder.map(x.dtype, shape, (index) => x.at(dimensions.map((d) => index[d] ?? constExpr(0))));
  }

  transpose(x: Lowered, permutation: readonly number[]): Lowered {
    this.builder.label = "transpose";
    const shape = permutation.map((d) => x.shape[d] ?? 0);
    return this.builder.map(x.dtype, shape, (index) =>
      x.at(x.shape.map((_, d) => index[permutation.indexOf(d)] ?? constExpr(0))),
    );
  }

  reshape(x: Lowered, shape: Shape): Lowered {
    this.builder.label = "reshape";
    return this.builder.map(x.dtype, shape, (index) => {
      const linear = stridesOf(shape).reduce(
        (sum: Expr, stride, d) =>
          binaryExpr("add", sum, binaryExpr("mul", index[d] ?? constExpr(0), constExpr(stride))),
        constExpr(0),
      );
      return x.at(
        stridesOf(x.shape).map((stride, d) =>
          binaryExpr("rem", binaryExpr("div", linear, constExpr(stride)), constExpr(x.shape[d] ?? 1)),
        ),
      );
    });
  }

  concatenate(parts: readonly Lowered[]): Lowered {
    this.builder.label = "concatenate";
    const rest = parts[0]?.shape.slice(1) ?? [];
    const total = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0);
    return this.builder.map("f32", [total, ...rest], ([first = constExpr(0), ...others]) => {
      let offset = total;
      let value: Expr | null = null;
      for (const part of parts.toReversed()) {
        offset -= part.shape[0] ?? 0;
        const here = part.at([binaryExpr("sub", first, constExpr(offset)), ...others]);
        const end = constExpr(offset + (part.shape[0] ?? 0));
        value = value === null ? here : selectExpr(binaryExpr("lt", first, end), here, value);
      }
      return value ?? constExpr(0, "f32");
    });
  }

  /** One element of zeros before and after the last axis. */
  pad(x: Lowered): Lowered {
    this.builder.label = "pad";
    const last = x.shape.at(-1) ?? 0;
    return this.builder.map("f32", [...x.shape.slice(0, -1), last + 2], (index) => {
      const at = binaryExpr("sub", index.at(-1) ?? constExpr(0), constExpr(1));
      const inside = binaryExpr("and", binaryExpr("ge", at, constExpr(0)), binaryExpr("lt", at, constExpr(last)));
      return selectExpr(inside, x.at([...index.slice(0, -1), at]), constExpr(0, "f32"));
    });
  }

  iota(size: number): Lowered {
    this.builder.label = "iota";
    return this.builder.map("f32", [size], ([index = constExpr(0)]) => castExpr(index, "f32"));
  }

  matmul(x: Lowered, w: Lowered): Lowered {
    this.builder.label = "dot_general";
    const [m = 0, k = 0] = x.shape;
    const n = w.shape[1] ?? 0;
    return this.builder.reduce("sum", [m, n], [k], ([i, j], [l]) =>
      binaryExpr("mul", x.at([i, l] as Expr[]), w.at([l, j] as Expr[])),
    );
  }

  addBias(x: Lowered, bias: Lowered): Lowered {
    return this.binary("add", x, this.broadcast(bias, x.shape, [x.shape.length - 1]));
  }

  softmax(x: Lowered): Lowered {
    const rows = x.shape.slice(0, -1).map((_, d) => d);
    const last = [x.shape.length - 1];
    const shifted = this.binary("sub", x, this.broadcast(this.reduce("max", x, last), x.shape, rows));
    const e = this.unary("exp", shifted);
    return this.binary("div", e, this.broadcast(this.reduce("sum", e, last), x.shape, rows));
  }

  /** Mean, variance, scale and shift along the last axis. */
  layerNorm(x: Lowered, gamma: Lowered, beta: Lowered): Lowered {
    const rows = x.shape.slice(0, -1).map((_, d) => d);
    const last = [x.shape.length - 1];
    const n = x.shape.at(-1) ?? 1;
    const mean = this.binary("div", this.reduce("sum", x, last), n);
    const centred = this.binary("sub", x, this.broadcast(mean, x.shape, rows));
    const variance = this.binary("div", this.reduce("sum", this.binary("mul", centred, centred), last), n);
    const scale = this.unary("rsqrt", this.binary("add", variance, 1e-5));
    const normal = this.binary("mul", centred, this.broadcast(scale, x.shape, rows));
    const scaled = this.binary("mul", normal, this.broadcast(gamma, x.shape, [x.shape.length - 1]));
    return this.addBias(scaled, beta);
  }

  gelu(x: Lowered): Lowered {
    const cubed = this.binary("mul", x, this.binary("mul", x, x));
    const inner = this.binary(
      "mul",
      this.binary("add", x, this.binary("mul", cubed, 0.044715)),
      Math.sqrt(2 / Math.PI),
    );
    return this.binary("mul", this.binary("mul", x, 0.5), this.binary("add", this.unary("tanh", inner), 1));
  }

  /** p, m, v after one step of Adam at the step number `t`. */
  adam(p: Lowered, m: Lowered, v: Lowered, g: Lowered, t: Lowered): Lowered[] {
    const [b1, b2] = [0.9, 0.999];
    const nextM = this.binary("add", this.binary("mul", m, b1), this.binary("mul", g, 1 - b1));
    const nextV = this.binary("add", this.binary("mul", v, b2), this.binary("mul", this.binary("mul", g, g), 1 - b2));
    const correct = (x: Lowered, b: number): Lowered =>
      this.binary("div", x, this.broadcast(this.binary("sub", 1, this.binary("pow", b, t)), x.shape, []));
    const denominator = this.binary("add", this.unary("sqrt", correct(nextV, b2)), 1e-8);
    const step = this.binary("mul", this.binary("div", correct(nextM, b1), denominator), 1e-3);
    return [this.binary("sub", p, step), nextM, nextV];
  }
}

/** Inputs in a fixed pseudo-random order, small whole multiples of 1/4. */
export function inputsFor(shapes: readonly Shape[], seed: number): number[][] {
  let state = seed * 2654435761 + 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return shapes.map((shape) => Array.from({ length: sizeOf(shape) }, () => Math.round(next() * 16 - 8) / 4));
}
