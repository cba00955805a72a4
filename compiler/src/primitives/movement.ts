/** Primitives that only move elements along whole axes: each is a map whose body is one load. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { type HostArray, hostArray } from "../ir/host-array.ts";
import { range, sameShape, type Shape, sizeOf, stridesOf } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { argsort, bumped, checkAxes, checkAxesOf, checkCounts, inserted, pick, remainingAxes } from "./axes.ts";
import { moveAxis, onlyDim } from "./batching.ts";
import { define, operands } from "./define.ts";
import { stridedCopy } from "./host-strides.ts";
import type { Operand } from "./lax-types.ts";
import { linearJvp, linearTranspose } from "./linear-rules.ts";
import type { Lowered } from "./primitive.ts";
import { reshapeIndex } from "./reshape-index.ts";

type BroadcastParams = { readonly shape: Shape; readonly broadcast_dimensions: readonly number[] };

/** Axis i of the operand becomes axis `broadcast_dimensions[i]`; axes of size 1 are stretched. */
export const broadcast_in_dim = define<
  BroadcastParams,
  (x: Operand, shape: Shape, broadcast_dimensions: readonly number[]) => Value
>(
  {
    name: "broadcast_in_dim",
    kind: "array",
    doc: "out[i] = x[i at `broadcast_dimensions`], axes of size 1 stretched. [JAX lax.broadcast_in_dim]",
    abstractEval: (inputs, { shape, broadcast_dimensions }) => {
      const [x] = inputs as readonly [Aval];
      checkCounts("broadcast_in_dim", "shape", shape, shape.length, 0);
      if (broadcast_dimensions.length !== x.shape.length) {
        throw new FaxError({
          code: "FAX1203",
          message: `broadcast_in_dim: broadcast_dimensions [${broadcast_dimensions.join(", ")}] has ${
            broadcast_dimensions.length
          } entries, the operand ${formatAval(x, false)} has ${x.shape.length} axes`,
          help: "name, for each axis of the operand, its axis in the result",
        });
      }
      const fact = `the result [${shape.join(", ")}] has ${shape.length} axes`;
      checkAxesOf("broadcast_in_dim", broadcast_dimensions, shape.length, fact, "broadcast dimension");
      broadcast_dimensions.forEach((axis, i) => {
        if (i > 0 && axis < (broadcast_dimensions[i - 1] as number)) {
          throw new FaxError({
            code: "FAX1203",
            message: `broadcast_in_dim: broadcast_dimensions [${broadcast_dimensions.join(", ")}] must increase`,
            help: "transpose first to change the order of axes",
          });
        }
        const size = x.shape[i] as number;
        if (size === 1 || size === shape[axis]) return;
        throw new FaxError({
          code: "FAX1201",
          message: `broadcast_in_dim: axis ${i} of ${formatAval(x, false)} does not fit axis ${axis} of [${shape.join(", ")}]`,
          help: `legal sizes of axis ${axis}: ${size}, or any if axis ${i} of the operand has size 1`,
        });
      });
      return [avalOf(x.dtype, [...shape], { weak: x.weak })];
    },
    impl: (inputs, { shape, broadcast_dimensions }) => {
      const [x] = inputs as readonly [HostArray];
      const from = stridesOf(x.shape);
      const strides = shape.map(() => 0);
      broadcast_dimensions.forEach((axis, i) => {
        if (x.shape[i] !== 1) strides[axis] = from[i] as number;
      });
      return [stridedCopy(x, shape, strides)];
    },
    jvp: linearJvp((lax, x, { shape, broadcast_dimensions }) => lax.broadcast_in_dim(x, shape, broadcast_dimensions)),
    transpose: linearTranspose((lax, ct, input, { shape, broadcast_dimensions }) => {
      const stretched = broadcast_dimensions.filter((axis, i) => input.shape[i] === 1 && shape[axis] !== 1);
      const added = remainingAxes(shape.length, broadcast_dimensions);
      const summed = [...added, ...stretched];
      const sum =
        summed.length === 0
          ? ct
          : lax.reduce_sum(
              ct,
              summed.sort((a, b) => a - b),
            );
      return sum.ndim === input.shape.length ? sum : lax.reshape(sum, input.shape);
    }),
    batch: ({ inputs, dims, size, params: { shape, broadcast_dimensions }, lax }) => {
      const x = moveAxis(lax, inputs[0] as Value, onlyDim(dims), 0);
      const output = lax.broadcast_in_dim(x, [size, ...shape], [0, ...broadcast_dimensions.map((axis) => axis + 1)]);
      return { outputs: [output], dims: [0] };
    },
    lower: ({ inputs, params: { shape, broadcast_dimensions }, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      if (sameShape(x.shape, shape)) return [x];
      return [
        ctx.map(x.dtype, shape, (index) =>
          x.at(
            broadcast_dimensions.map((axis, i) => (x.shape[i] === 1 ? ctx.expr.constExpr(0) : (index[axis] as Expr))),
          ),
        ),
      ];
    },
    samples: [
      {
        name: "row over rows",
        inputs: [{ dtype: "f32", shape: [3] }],
        params: { shape: [2, 3], broadcast_dimensions: [1] },
      },
      {
        name: "stretched and added",
        inputs: [{ dtype: "f32", shape: [2, 1] }],
        params: { shape: [2, 4, 3], broadcast_dimensions: [0, 2] },
      },
      { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { shape: [2, 2], broadcast_dimensions: [] } },
      {
        name: "to nothing",
        inputs: [{ dtype: "f32", shape: [1] }],
        params: { shape: [0, 2], broadcast_dimensions: [0] },
      },
      {
        name: "size 1 kept",
        inputs: [{ dtype: "f16", shape: [1, 2] }],
        params: { shape: [1, 2], broadcast_dimensions: [0, 1] },
        smooth: false,
      },
      { name: "bool", inputs: [{ dtype: "bool", shape: [2] }], params: { shape: [2, 3], broadcast_dimensions: [0] } },
    ],
  },
  (bind) => (x, shape, broadcast_dimensions) =>
    bind(operands(x), { shape: [...shape], broadcast_dimensions: [...broadcast_dimensions] }),
);

type ReshapeParams = { readonly new_sizes: Shape };

export const reshape = define<ReshapeParams, (x: Value, new_sizes: Shape) => Value>(
  {
    name: "reshape",
    kind: "array",
    doc: "The same elements in row-major order under another shape. [JAX lax.reshape]",
    abstractEval: (inputs, { new_sizes }) => {
      const [x] = inputs as readonly [Aval];
      checkCounts("reshape", "new_sizes", new_sizes, new_sizes.length, 0);
      if (sizeOf(new_sizes) !== sizeOf(x.shape)) {
        throw new FaxError({
          code: "FAX1201",
          message: `reshape: ${formatAval(x, false)} has ${sizeOf(x.shape)} elements, [${new_sizes.join(", ")}] has ${sizeOf(new_sizes)}`,
          help: `legal here: any shape of ${sizeOf(x.shape)} elements`,
        });
      }
      return [avalOf(x.dtype, [...new_sizes], { weak: x.weak })];
    },
    impl: (inputs, { new_sizes }) => {
      const [x] = inputs as readonly [HostArray];
      return [hostArray(x.dtype, new_sizes, x.data)];
    },
    jvp: linearJvp((lax, x, { new_sizes }) => lax.reshape(x, new_sizes)),
    transpose: linearTranspose((lax, ct, input) => lax.reshape(ct, input.shape)),
    batch: ({ inputs, dims, size, params: { new_sizes }, lax }) => {
      const x = moveAxis(lax, inputs[0] as Value, onlyDim(dims), 0);
      return { outputs: [lax.reshape(x, [size, ...new_sizes])], dims: [0] };
    },
    lower: ({ inputs, params: { new_sizes }, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      if (sameShape(x.shape, new_sizes)) return [x];
      return [ctx.map(x.dtype, new_sizes, (index) => x.at(reshapeIndex(ctx.expr, x.shape, new_sizes, index)))];
    },
    samples: [
      { name: "merge", inputs: [{ dtype: "f32", shape: [2, 3, 4] }], params: { new_sizes: [6, 4] } },
      { name: "split", inputs: [{ dtype: "f32", shape: [12, 2] }], params: { new_sizes: [3, 4, 2] } },
      { name: "regroup", inputs: [{ dtype: "f32", shape: [4, 6] }], params: { new_sizes: [3, 8] } },
      { name: "axes of size 1", inputs: [{ dtype: "f32", shape: [1, 3, 1, 2] }], params: { new_sizes: [3, 2, 1, 1] } },
      { name: "to a scalar", inputs: [{ dtype: "f32", shape: [1, 1] }], params: { new_sizes: [] } },
      { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { new_sizes: [1] } },
      { name: "empty", inputs: [{ dtype: "f32", shape: [0, 3] }], params: { new_sizes: [2, 0, 5] } },
      { name: "i32", inputs: [{ dtype: "i32", shape: [6], from: -9, to: 9 }], params: { new_sizes: [2, 3] } },
    ],
  },
  (bind) => (x, new_sizes) => bind([x], { new_sizes: [...new_sizes] }),
);

type TransposeParams = { readonly permutation: readonly number[] };

export const transpose = define<TransposeParams, (x: Value, permutation: readonly number[]) => Value>(
  {
    name: "transpose",
    kind: "array",
    doc: "Axis i of the result is axis `permutation[i]` of x. [JAX lax.transpose]",
    abstractEval: (inputs, { permutation }) => {
      const [x] = inputs as readonly [Aval];
      checkAxes("transpose", permutation, x);
      if (permutation.length !== x.shape.length) {
        throw new FaxError({
          code: "FAX1203",
          message: `transpose: permutation [${permutation.join(", ")}] names ${permutation.length} axes, ${formatAval(x, false)} has ${x.shape.length}`,
          help: `legal here: every order of ${range(x.shape.length).join(", ")}`,
        });
      }
      return [avalOf(x.dtype, pick(x.shape, permutation), { weak: x.weak })];
    },
    impl: (inputs, { permutation }) => {
      const [x] = inputs as readonly [HostArray];
      return [stridedCopy(x, pick(x.shape, permutation), pick(stridesOf(x.shape), permutation))];
    },
    jvp: linearJvp((lax, x, { permutation }) => lax.transpose(x, permutation)),
    transpose: linearTranspose((lax, ct, _input, { permutation }) => lax.transpose(ct, argsort(permutation))),
    batch: ({ inputs, dims, params: { permutation }, lax }) => {
      const dim = onlyDim(dims);
      return { outputs: [lax.transpose(inputs[0] as Value, [dim, ...bumped(permutation, dim)])], dims: [0] };
    },
    lower: ({ inputs, params: { permutation }, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      const inverse = argsort(permutation);
      return [
        ctx.map(x.dtype, pick(x.shape, permutation), (index) => x.at(inverse.map((axis) => index[axis] as Expr))),
      ];
    },
    samples: [
      { name: "matrix", inputs: [{ dtype: "f32", shape: [2, 3] }], params: { permutation: [1, 0] } },
      { name: "cycle", inputs: [{ dtype: "f32", shape: [2, 3, 4] }], params: { permutation: [2, 0, 1] } },
      { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { permutation: [] } },
      { name: "size 1", inputs: [{ dtype: "f32", shape: [1, 5] }], params: { permutation: [1, 0] } },
      { name: "empty", inputs: [{ dtype: "f32", shape: [0, 3] }], params: { permutation: [1, 0] } },
      { name: "u32", inputs: [{ dtype: "u32", shape: [3, 2], from: 0, to: 99 }], params: { permutation: [1, 0] } },
    ],
  },
  (bind) => (x, permutation) => bind([x], { permutation: [...permutation] }),
);

type DimensionsParams = { readonly dimensions: readonly number[] };

export const squeeze = define<DimensionsParams, (x: Value, dimensions: readonly number[]) => Value>(
  {
    name: "squeeze",
    kind: "array",
    doc: "x without its axes `dimensions`, each of size 1. [JAX lax.squeeze]",
    abstractEval: (inputs, { dimensions }) => {
      const [x] = inputs as readonly [Aval];
      checkAxes("squeeze", dimensions, x);
      const wide = dimensions.find((axis) => x.shape[axis] !== 1);
      if (wide !== undefined) {
        throw new FaxError({
          code: "FAX1203",
          message: `squeeze: axis ${wide} of ${formatAval(x, false)} has size ${x.shape[wide]}, only axes of size 1 can go`,
          help: `legal here: ${x.shape.flatMap((size, axis) => (size === 1 ? [axis] : [])).join(", ") || "none"}`,
        });
      }
      return [avalOf(x.dtype, pick(x.shape, remainingAxes(x.shape.length, dimensions)), { weak: x.weak })];
    },
    impl: (inputs, { dimensions }) => {
      const [x] = inputs as readonly [HostArray];
      return [hostArray(x.dtype, pick(x.shape, remainingAxes(x.shape.length, dimensions)), x.data)];
    },
    jvp: linearJvp((lax, x, { dimensions }) => lax.squeeze(x, dimensions)),
    transpose: linearTranspose((lax, ct, _input, { dimensions }) => lax.expand_dims(ct, dimensions)),
    batch: ({ inputs, dims, params: { dimensions }, lax }) => {
      const dim = onlyDim(dims);
      const shifted = bumped(dimensions, dim);
      return {
        outputs: [lax.squeeze(inputs[0] as Value, shifted)],
        dims: [dim - shifted.filter((axis) => axis < dim).length],
      };
    },
    lower: ({ inputs, params: { dimensions }, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      const kept = remainingAxes(x.shape.length, dimensions);
      return [
        ctx.map(x.dtype, pick(x.shape, kept), (index) =>
          x.at(
            x.shape.map((_, axis) =>
              kept.includes(axis) ? (index[kept.indexOf(axis)] as Expr) : ctx.expr.constExpr(0),
            ),
          ),
        ),
      ];
    },
    samples: [
      { name: "one axis", inputs: [{ dtype: "f32", shape: [2, 1, 3] }], params: { dimensions: [1] } },
      { name: "all axes", inputs: [{ dtype: "f32", shape: [1, 1] }], params: { dimensions: [0, 1] } },
      { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { dimensions: [] } },
      { name: "empty", inputs: [{ dtype: "f32", shape: [0, 1] }], params: { dimensions: [1] } },
      { name: "bool", inputs: [{ dtype: "bool", shape: [1, 3] }], params: { dimensions: [0] } },
    ],
  },
  (bind) => (x, dimensions) => bind([x], { dimensions: [...dimensions] }),
);

function expanded(shape: Shape, dimensions: readonly number[]): number[] {
  return [...dimensions].sort((a, b) => a - b).reduce<number[]>((sizes, axis) => inserted(sizes, axis, 1), [...shape]);
}

export const expand_dims = define<DimensionsParams, (x: Value, dimensions: readonly number[]) => Value>(
  {
    name: "expand_dims",
    kind: "array",
    doc: "x with new axes of size 1, at `dimensions` of the result. [JAX lax.expand_dims]",
    abstractEval: (inputs, { dimensions }) => {
      const [x] = inputs as readonly [Aval];
      const ndim = x.shape.length + dimensions.length;
      checkAxesOf("expand_dims", dimensions, ndim, `the result has ${ndim} axes`);
      return [avalOf(x.dtype, expanded(x.shape, dimensions), { weak: x.weak })];
    },
    impl: (inputs, { dimensions }) => {
      const [x] = inputs as readonly [HostArray];
      return [hostArray(x.dtype, expanded(x.shape, dimensions), x.data)];
    },
    jvp: linearJvp((lax, x, { dimensions }) => lax.expand_dims(x, dimensions)),
    transpose: linearTranspose((lax, ct, _input, { dimensions }) => lax.squeeze(ct, dimensions)),
    batch: ({ inputs, dims, params: { dimensions }, lax }) => {
      const x = moveAxis(lax, inputs[0] as Value, onlyDim(dims), 0);
      return {
        outputs: [
          lax.expand_dims(
            x,
            dimensions.map((axis) => axis + 1),
          ),
        ],
        dims: [0],
      };
    },
    lower: ({ inputs, params: { dimensions }, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      const shape = expanded(x.shape, dimensions);
      const kept = remainingAxes(shape.length, dimensions);
      return [ctx.map(x.dtype, shape, (index) => x.at(kept.map((axis) => index[axis] as Expr)))];
    },
    samples: [
      { name: "middle", inputs: [{ dtype: "f32", shape: [2, 3] }], params: { dimensions: [1] } },
      { name: "both ends", inputs: [{ dtype: "f32", shape: [3] }], params: { dimensions: [2, 0] } },
      { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { dimensions: [0] } },
      { name: "empty", inputs: [{ dtype: "i32", shape: [0] }], params: { dimensions: [1] } },
    ],
  },
  (bind) => (x, dimensions) => bind([x], { dimensions: [...dimensions] }),
);

export const rev = define<DimensionsParams, (x: Value, dimensions: readonly number[]) => Value>(
  {
    name: "rev",
    kind: "array",
    doc: "x with the order along each axis of `dimensions` reversed. [JAX lax.rev]",
    abstractEval: (inputs, { dimensions }) => {
      const [x] = inputs as readonly [Aval];
      checkAxes("rev", dimensions, x);
      return [avalOf(x.dtype, x.shape, { weak: x.weak })];
    },
    impl: (inputs, { dimensions }) => {
      const [x] = inputs as readonly [HostArray];
      const from = stridesOf(x.shape);
      const strides = from.map((stride, axis) => (dimensions.includes(axis) ? -stride : stride));
      const base = dimensions.reduce((sum, axis) => sum + ((x.shape[axis] as number) - 1) * (from[axis] as number), 0);
      return [stridedCopy(x, x.shape, strides, base)];
    },
    jvp: linearJvp((lax, x, { dimensions }) => lax.rev(x, dimensions)),
    transpose: linearTranspose((lax, ct, _input, { dimensions }) => lax.rev(ct, dimensions)),
    batch: ({ inputs, dims, params: { dimensions }, lax }) => {
      const dim = onlyDim(dims);
      return { outputs: [lax.rev(inputs[0] as Value, bumped(dimensions, dim))], dims: [dim] };
    },
    lower: ({ inputs, params: { dimensions }, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      const { binaryExpr, constExpr } = ctx.expr;
      return [
        ctx.map(x.dtype, x.shape, (index) =>
          x.at(
            index.map((i, axis) =>
              dimensions.includes(axis) ? binaryExpr("sub", constExpr((x.shape[axis] as number) - 1), i) : i,
            ),
          ),
        ),
      ];
    },
    samples: [
      { name: "vector", inputs: [{ dtype: "f32", shape: [5] }], params: { dimensions: [0] } },
      { name: "two axes", inputs: [{ dtype: "f32", shape: [2, 3, 2] }], params: { dimensions: [0, 1] } },
      { name: "nothing reversed", inputs: [{ dtype: "f32", shape: [3] }], params: { dimensions: [] } },
      { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { dimensions: [] } },
      { name: "empty", inputs: [{ dtype: "f32", shape: [2, 0] }], params: { dimensions: [1] } },
      { name: "i32", inputs: [{ dtype: "i32", shape: [1, 4], from: -9, to: 9 }], params: { dimensions: [1, 0] } },
    ],
  },
  (bind) => (x, dimensions) => bind([x], { dimensions: [...dimensions] }),
);
