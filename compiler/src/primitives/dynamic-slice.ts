/** Cutting out and replacing a window whose start is data: clamped, so that the window lies within the array. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { isInteger } from "../ir/dtype.ts";
import { type HostArray, hostArray, scalarOf } from "../ir/host-array.ts";
import { range, type Shape, stridesOf } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import { constant, NDArray, type Value } from "../trace/ndarray.ts";
import { checkCounts, inserted } from "./axes.ts";
import { batchedAtFront } from "./batching.ts";
import { define } from "./define.ts";
import { offsetsOf, positionOf, stridedCopy } from "./host-strides.ts";
import { allOf, clampedStart } from "./index-numbers.ts";
import type { Lax, Operand } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";
import type { LowerContext, Lowered, SampleInput } from "./primitive.ts";

function checkStarts(name: string, x: Aval, starts: readonly Aval[]): void {
  if (starts.length !== x.shape.length) {
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: there are ${starts.length} start indices, ${formatAval(x, false)} has ${x.shape.length} axes`,
      help: `give ${x.shape.length} start indices, one per axis`,
    });
  }
  starts.forEach((start, axis) => {
    if (!isInteger(start.dtype)) {
      throw new FaxError({
        code: "FAX1102",
        message: `${name}: start index ${axis} is ${formatAval(start, false)}, it must be an integer`,
        help: "legal here: i32[] or u32[]",
      });
    }
    if (start.shape.length > 0) {
      throw new FaxError({
        code: "FAX1201",
        message: `${name}: start index ${axis} is ${formatAval(start, false)}, it must be a scalar`,
        help: "legal here: i32[] or u32[]",
      });
    }
  });
}

function checkWindow(name: string, x: Aval, sizes: readonly number[]): void {
  x.shape.forEach((size, axis) => {
    if ((sizes[axis] as number) <= size) return;
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: a window of size ${sizes[axis]} does not fit axis ${axis} of ${formatAval(x, false)}`,
      help: `legal here: 0 to ${size}`,
    });
  });
}

/** A start index that is a number becomes an i32. */
function startValues(name: string, starts: readonly Operand[]): Value[] {
  return starts.map((start) => {
    if (start instanceof NDArray) return start;
    if (Number.isInteger(start)) return constant(start, "i32");
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: the start index ${start} is not a whole number`,
      help: "legal here: whole numbers",
    });
  });
}

/** The flat position of the clamped start. */
function basePosition(shape: Shape, sizes: Shape, starts: readonly HostArray[]): number {
  const clamped = starts.map((start, axis) => {
    const largest = (shape[axis] as number) - (sizes[axis] as number);
    return Math.max(0, Math.min(scalarOf(start), largest));
  });
  return positionOf(clamped, stridesOf(shape));
}

function clampedStarts(ctx: LowerContext, shape: Shape, sizes: Shape, starts: readonly Lowered[]): Expr[] {
  return starts.map((start, axis) =>
    clampedStart(ctx.expr, start.at([]), (shape[axis] as number) - (sizes[axis] as number)),
  );
}

/** A start index, per mapped element, as an i32 within 0 … largest. */
function batchedStart(lax: Lax, start: Value, dim: number | null, size: number, largest: number): Value {
  const clamped = lax.max(lax.min(start, largest), 0);
  const signed = clamped.dtype === "i32" ? clamped : lax.convert_element_type(clamped, "i32");
  return batchedAtFront(lax, signed, dim, size);
}

/** Windows at starts that differ per mapped element: a gather. The result is mapped along axis 0. */
function slicePerElement(
  lax: Lax,
  {
    x,
    dim,
    starts,
    sizes,
    size,
  }: {
    x: Value;
    dim: number | null;
    /** Each `i32[size]`, in range. */
    starts: readonly Value[];
    sizes: Shape;
    size: number;
  },
): Value {
  const ndim = sizes.length;
  const indices = lax.concatenate(
    starts.map((start) => lax.expand_dims(start, [1])),
    1,
  );
  const windowAxes = range(1, ndim + 1);
  if (dim === null) {
    return lax.gather(x, indices, {
      dimension_numbers: {
        offset_dims: windowAxes,
        collapsed_slice_dims: [],
        start_index_map: range(ndim),
        operand_batching_dims: [],
        start_indices_batching_dims: [],
      },
      slice_sizes: sizes,
      mode: "clip",
    });
  }
  return lax.gather(batchedAtFront(lax, x, dim, size), indices, {
    dimension_numbers: {
      offset_dims: windowAxes,
      collapsed_slice_dims: [],
      start_index_map: windowAxes,
      operand_batching_dims: [0],
      start_indices_batching_dims: [0],
    },
    slice_sizes: [Math.min(1, size), ...sizes],
    mode: "clip",
  });
}

const f32 = (...shape: number[]): SampleInput => ({ dtype: "f32", shape });
const start = (value: number): SampleInput => ({ dtype: "i32", shape: [], values: [value] });

type DynamicSliceParams = { readonly slice_sizes: readonly number[] };

export const dynamic_slice = define<DynamicSliceParams, Lax["dynamic_slice"]>(
  {
    name: "dynamic_slice",
    kind: "array",
    doc: "out[i] = x[start + i], the start clamped so that the window fits. [JAX lax.dynamic_slice]",
    abstractEval: (inputs, { slice_sizes }) => {
      const [x, ...starts] = inputs as readonly [Aval, ...Aval[]];
      checkStarts("dynamic_slice", x, starts);
      checkCounts("dynamic_slice", "slice_sizes", slice_sizes, x.shape.length, 0);
      checkWindow("dynamic_slice", x, slice_sizes);
      return [avalOf(x.dtype, slice_sizes, { weak: x.weak })];
    },
    impl: (inputs, { slice_sizes }) => {
      const [x, ...starts] = inputs as readonly [HostArray, ...HostArray[]];
      return [stridedCopy(x, slice_sizes, stridesOf(x.shape), basePosition(x.shape, slice_sizes, starts))];
    },
    jvp: ({ primals, tangents, params: { slice_sizes }, lax }) => {
      const [x, ...starts] = primals as readonly [Value, ...Value[]];
      const tangent = tangents[0] ?? null;
      return {
        outputs: [lax.dynamic_slice(x, starts, slice_sizes)],
        tangents: [tangent && lax.dynamic_slice(tangent, starts, slice_sizes)],
      };
    },
    transpose: ({ cotangents, inputs, lax }) => {
      const [x, ...starts] = inputs;
      const ct = cotangents[0] ?? null;
      const known = starts.filter((index) => !isLinear(index)) as Value[];
      if (ct === null || !isLinear(x)) return inputs.map(() => null);
      const zeros = lax.full(x.aval.shape, 0, x.aval.dtype);
      return [lax.dynamic_update_slice(zeros, ct, known), ...starts.map(() => null)];
    },
    batch: ({ inputs, dims, size, params: { slice_sizes }, lax }) => {
      const [x, ...starts] = inputs as readonly [Value, ...Value[]];
      const [dim = null, ...startDims] = dims;
      if (dim !== null && startDims.every((startDim) => startDim === null)) {
        const output = lax.dynamic_slice(x, inserted<Operand>(starts, dim, 0), inserted(slice_sizes, dim, size));
        return { outputs: [output], dims: [dim] };
      }
      const shape = x.shape.filter((_, axis) => axis !== dim);
      const indices = starts.map((index, axis) =>
        batchedStart(
          lax,
          index,
          startDims[axis] ?? null,
          size,
          (shape[axis] as number) - (slice_sizes[axis] as number),
        ),
      );
      return { outputs: [slicePerElement(lax, { x, dim, starts: indices, sizes: slice_sizes, size })], dims: [0] };
    },
    lower: ({ inputs, params: { slice_sizes }, ctx }) => {
      const [x, ...starts] = inputs as readonly [Lowered, ...Lowered[]];
      return [
        ctx.map(x.dtype, slice_sizes, (index) => {
          const base = clampedStarts(ctx, x.shape, slice_sizes, starts);
          return x.at(index.map((i, axis) => ctx.expr.binaryExpr("add", base[axis] as Expr, i)));
        }),
      ];
    },
    samples: [
      { name: "window", inputs: [f32(5, 4), start(2), start(1)], params: { slice_sizes: [2, 3] } },
      { name: "clamped", inputs: [f32(5, 4), start(-3), start(9)], params: { slice_sizes: [2, 2] } },
      { name: "whole", inputs: [f32(3), start(2)], params: { slice_sizes: [3] } },
      { name: "nothing", inputs: [f32(3), start(1)], params: { slice_sizes: [0] } },
      { name: "scalar", inputs: [f32()], params: { slice_sizes: [] } },
      {
        name: "u32 start, i32 operand",
        inputs: [
          { dtype: "i32", shape: [6], from: -9, to: 9 },
          { dtype: "u32", shape: [], values: [4294967295] },
        ],
        params: { slice_sizes: [2] },
      },
    ],
  },
  (bind) => (x, start_indices, slice_sizes) =>
    bind([x, ...startValues("dynamic_slice", start_indices)], { slice_sizes: [...slice_sizes] }),
);

type NoParams = Record<string, never>;

/** Which elements of `[size, …shape]` lie in the window of their mapped element. */
function windowMask(lax: Lax, size: number, shape: Shape, sizes: Shape, starts: readonly Value[]): Value | null {
  const full = [size, ...shape];
  let mask: Value | null = null;
  shape.forEach((extent, axis) => {
    if (extent === sizes[axis]) return;
    const offset = lax.sub(lax.iota("i32", full, axis + 1), lax.broadcast_in_dim(starts[axis] as Value, full, [0]));
    const inside = lax.and(lax.ge(offset, 0), lax.lt(offset, sizes[axis] as number));
    mask = mask === null ? inside : lax.and(mask, inside);
  });
  return mask;
}

/** `x` with the window at the clamped start replaced by `update`. */
export const dynamic_update_slice = define<NoParams, Lax["dynamic_update_slice"]>(
  {
    name: "dynamic_update_slice",
    kind: "array",
    doc: "out = x, but out[start + i] = update[i], the start clamped so that it fits. [JAX lax.dynamic_update_slice]",
    abstractEval: (inputs) => {
      const [x, update, ...starts] = inputs as readonly [Aval, Aval, ...Aval[]];
      if (x.dtype !== update.dtype) {
        throw new FaxError({
          code: "FAX1102",
          message: `dynamic_update_slice: the operand is ${formatAval(x, false)}, the update is ${formatAval(update, false)}`,
          help: `legal here: an update of ${x.dtype}`,
        });
      }
      if (x.shape.length !== update.shape.length) {
        throw new FaxError({
          code: "FAX1201",
          message: `dynamic_update_slice: the operand is ${formatAval(x, false)}, the update is ${formatAval(update, false)}`,
          help: `legal here: an update with ${x.shape.length} axes`,
        });
      }
      checkStarts("dynamic_update_slice", x, starts);
      checkWindow("dynamic_update_slice", x, update.shape);
      return [avalOf(x.dtype, x.shape, { weak: x.weak && update.weak })];
    },
    impl: (inputs) => {
      const [x, update, ...starts] = inputs as readonly [HostArray, HostArray, ...HostArray[]];
      const data = x.data.slice();
      const base = basePosition(x.shape, update.shape, starts);
      const offsets = offsetsOf(update.shape, stridesOf(x.shape));
      for (let i = 0; i < offsets.length; i++) data[base + (offsets[i] as number)] = update.data[i] as number;
      return [hostArray(x.dtype, x.shape, data)];
    },
    jvp: ({ primals, tangents, lax }) => {
      const [x, update, ...starts] = primals as readonly [Value, Value, ...Value[]];
      const [dx, dUpdate] = tangents;
      return {
        outputs: [lax.dynamic_update_slice(x, update, starts)],
        tangents: [lax.dynamic_update_slice(dx ?? lax.zeros_like(x), dUpdate ?? lax.zeros_like(update), starts)],
      };
    },
    transpose: ({ cotangents, inputs, lax }) => {
      const [x, update, ...starts] = inputs;
      const ct = cotangents[0] ?? null;
      const known = starts.filter((index) => !isLinear(index)) as Value[];
      if (ct === null || update === undefined) return inputs.map(() => null);
      const zeros = () => lax.full(update.aval.shape, 0, update.aval.dtype);
      return [
        isLinear(x) ? lax.dynamic_update_slice(ct, zeros(), known) : null,
        isLinear(update) ? lax.dynamic_slice(ct, known, update.aval.shape) : null,
        ...starts.map(() => null),
      ];
    },
    /**
     * With mapped starts: the update within zeros of twice the room, cut so that it comes to lie at each start, and
     * chosen inside of the window.
     */
    batch: ({ inputs, dims, size, lax }) => {
      const [x, update, ...starts] = inputs as readonly [Value, Value, ...Value[]];
      const [dim = null, updateDim = null, ...startDims] = dims;
      const front = batchedAtFront(lax, x, dim, size);
      const frontUpdate = batchedAtFront(lax, update, updateDim, size);
      if (startDims.every((startDim) => startDim === null)) {
        return { outputs: [lax.dynamic_update_slice(front, frontUpdate, [0, ...starts])], dims: [0] };
      }
      const shape = front.shape.slice(1);
      const sizes = frontUpdate.shape.slice(1);
      const slack = shape.map((extent, axis) => extent - (sizes[axis] as number));
      const indices = starts.map((index, axis) =>
        batchedStart(lax, index, startDims[axis] ?? null, size, slack[axis] as number),
      );
      const roomy = lax.pad(frontUpdate, 0, [[0, 0, 0], ...slack.map((room) => [room, room, 0] as const)]);
      const shifted = slicePerElement(lax, {
        x: roomy,
        dim: 0,
        starts: indices.map((index, axis) => lax.sub(slack[axis] as number, index)),
        sizes: shape,
        size,
      });
      const mask = windowMask(lax, size, shape, sizes, indices);
      return { outputs: [mask === null ? shifted : lax.select(mask, shifted, front)], dims: [0] };
    },
    lower: ({ inputs, ctx }) => {
      const [x, update, ...starts] = inputs as readonly [Lowered, Lowered, ...Lowered[]];
      const { binaryExpr, constExpr, selectExpr } = ctx.expr;
      return [
        ctx.map(x.dtype, x.shape, (index) => {
          const base = clampedStarts(ctx, x.shape, update.shape, starts);
          const offset = index.map((i, axis) => binaryExpr("sub", i, base[axis] as Expr));
          const inside = offset.flatMap((at, axis) => {
            const width = update.shape[axis] as number;
            if (width === x.shape[axis]) return [];
            return [binaryExpr("ge", at, constExpr(0)), binaryExpr("lt", at, constExpr(width))];
          });
          return selectExpr(allOf(ctx.expr, inside), update.at(offset), x.at(index));
        }),
      ];
    },
    samples: [
      { name: "window", inputs: [f32(5, 4), f32(2, 3), start(2), start(1)], params: {} },
      { name: "clamped", inputs: [f32(5, 4), f32(2, 2), start(-3), start(9)], params: {} },
      { name: "whole", inputs: [f32(3), f32(3), start(2)], params: {} },
      { name: "nothing", inputs: [f32(3), f32(0), start(1)], params: {} },
      { name: "scalar", inputs: [f32(), f32()], params: {} },
      {
        name: "u32 start, bool operand",
        inputs: [
          { dtype: "bool", shape: [6] },
          { dtype: "bool", shape: [2] },
          { dtype: "u32", shape: [], values: [3] },
        ],
        params: {},
      },
    ],
  },
  (bind) => (x, update, start_indices) => bind([x, update, ...startValues("dynamic_update_slice", start_indices)], {}),
);
