/** Reading at positions that are data. */
import { type Aval, avalOf } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import type { HostArray } from "../ir/host-array.ts";
import type { Shape } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { checkCounts, pick, remainingAxes } from "./axes.ts";
import { batchedAtFront } from "./batching.ts";
import { define } from "./define.ts";
import { buildArray } from "./host-strides.ts";
import {
  allOf,
  checkMode,
  checkWindowAxes,
  checkWindows,
  clampedStart,
  type GatherNumbers,
  indexEntry,
  largestStarts,
  scatterNumbersOf,
  startEntries,
  startInRange,
  windowedOperandAxes,
  windowsOfGather,
} from "./index-numbers.ts";
import { elementPerRow, f32, i32, rows, windowsOfMatrix } from "./index-samples.ts";
import type { GatherMode, Lax } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";
import type { BatchArgs, BatchResult, LowerArgs, Lowered } from "./primitive.ts";
import { forEachElement } from "./window-walk.ts";

type GatherParams = {
  readonly dimension_numbers: GatherNumbers;
  readonly slice_sizes: readonly number[];
  readonly mode: GatherMode;
  /** Absent: see `GatherMode`. */
  readonly fill_value?: number;
};

function gatheredShape(indices: Shape, { dimension_numbers, slice_sizes }: GatherParams): number[] {
  const numbers = windowsOfGather(dimension_numbers);
  const positions = indices.slice(0, -1);
  const windowSizes = pick(slice_sizes, windowedOperandAxes(slice_sizes, numbers));
  const ndim = positions.length + windowSizes.length;
  const shape: number[] = [];
  const rest = [...positions];
  for (let axis = 0; axis < ndim; axis++) {
    const within = numbers.windowAxes.indexOf(axis);
    shape.push((within >= 0 ? windowSizes[within] : rest.shift()) as number);
  }
  return shape;
}

function defaultFill(dtype: DType): number {
  switch (dtype) {
    case "f32":
    case "f16":
      return NaN;
    case "i32":
      return -(2 ** 31);
    case "u32":
      return 2 ** 32 - 1;
    case "bool":
      return 1;
    default:
      return dtype satisfies never;
  }
}

function batchGather({ inputs, dims, size, params, lax }: BatchArgs<GatherParams>): BatchResult {
  const [operand, indices] = inputs as readonly [Value, Value];
  const [operandDim = null, indicesDim = null] = dims;
  const numbers = params.dimension_numbers;
  const bump = (axes: readonly number[]) => axes.map((axis) => axis + 1);
  const run = (x: Value, at: Value, dimension_numbers: GatherNumbers, slice_sizes: readonly number[]): BatchResult => ({
    outputs: [lax.gather(x, at, { dimension_numbers, slice_sizes, mode: params.mode, fill_value: params.fill_value })],
    dims: [0],
  });
  if (operandDim === null) {
    return run(
      operand,
      batchedAtFront(lax, indices, indicesDim, size),
      {
        ...numbers,
        offset_dims: bump(numbers.offset_dims),
        start_indices_batching_dims: bump(numbers.start_indices_batching_dims),
      },
      params.slice_sizes,
    );
  }
  const front = batchedAtFront(lax, operand, operandDim, size);
  const bumpedNumbers = {
    ...numbers,
    offset_dims: bump(numbers.offset_dims),
    collapsed_slice_dims: bump(numbers.collapsed_slice_dims),
    start_index_map: bump(numbers.start_index_map),
    operand_batching_dims: bump(numbers.operand_batching_dims),
  };
  if (indicesDim === null) {
    // The mapped axis belongs to every window.
    const offset_dims = [0, ...bumpedNumbers.offset_dims];
    return run(front, indices, { ...bumpedNumbers, offset_dims }, [size, ...params.slice_sizes]);
  }
  return run(
    front,
    batchedAtFront(lax, indices, indicesDim, size),
    {
      ...bumpedNumbers,
      operand_batching_dims: [0, ...bumpedNumbers.operand_batching_dims],
      start_indices_batching_dims: [0, ...bump(numbers.start_indices_batching_dims)],
    },
    [Math.min(1, size), ...params.slice_sizes],
  );
}

function lowerGather({ inputs, params, outputs, ctx }: LowerArgs<GatherParams>): readonly Lowered[] {
  const [operand, indices] = inputs as readonly [Lowered, Lowered];
  const [output] = outputs as readonly [Aval];
  const e = ctx.expr;
  const numbers = windowsOfGather(params.dimension_numbers);
  const positionAxes = remainingAxes(output.shape.length, numbers.windowAxes);
  const windowAxes = windowedOperandAxes(operand.shape, numbers);
  const entries = startEntries(operand.shape, numbers);
  const largest = largestStarts(operand.shape, params.slice_sizes);
  return [
    ctx.map(output.dtype, output.shape, (index) => {
      const position = positionAxes.map((axis) => index[axis] as Expr);
      const inRange: Expr[] = [];
      const source = operand.shape.map((_, axis): Expr => {
        const batching = numbers.operandBatching.indexOf(axis);
        if (batching >= 0) return position[numbers.indicesBatching[batching] as number] as Expr;
        const within = windowAxes.indexOf(axis);
        const offset = within < 0 ? e.constExpr(0) : (index[numbers.windowAxes[within] as number] as Expr);
        const entry = entries[axis] as number;
        if (entry < 0) return offset;
        const start = indexEntry(e, indices, position, entry);
        if (params.mode === "clip") return e.binaryExpr("add", clampedStart(e, start, largest[axis] as number), offset);
        inRange.push(startInRange(e, start, largest[axis] as number));
        return e.binaryExpr("add", e.castExpr(start, "i32"), offset);
      });
      const load = operand.at(source);
      if (inRange.length === 0) return load;
      const fill = e.constExpr(params.fill_value ?? defaultFill(output.dtype), output.dtype);
      return e.selectExpr(allOf(e, inRange), load, fill);
    }),
  ];
}

/** A window of `slice_sizes` of the operand at each index vector. */
export const gather = define<GatherParams, Lax["gather"]>(
  {
    name: "gather",
    kind: "array",
    doc: "out[p, o] = operand[indices[p] + o], p over positions, o within a window. [JAX lax.gather]",
    abstractEval: (inputs, params) => {
      const [operand, indices] = inputs as readonly [Aval, Aval];
      checkMode("gather", params.mode);
      checkCounts("gather", "slice_sizes", params.slice_sizes, operand.shape.length, 0);
      const numbers = windowsOfGather(params.dimension_numbers);
      checkWindows("gather", operand, indices, params.slice_sizes, numbers);
      const windowNdim = windowedOperandAxes(operand.shape, numbers).length;
      checkWindowAxes("gather", "offset_dims", numbers.windowAxes, windowNdim, indices.shape.length - 1 + windowNdim);
      return [avalOf(operand.dtype, gatheredShape(indices.shape, params), { weak: operand.weak })];
    },
    impl: (inputs, params) => {
      const [operand, indices] = inputs as readonly [HostArray, HostArray];
      const shape = gatheredShape(indices.shape, params);
      const out = buildArray(operand.dtype, shape, () => params.fill_value ?? defaultFill(operand.dtype));
      const shapes = { operand: operand.shape, windowed: shape, sizes: params.slice_sizes };
      forEachElement(shapes, indices, windowsOfGather(params.dimension_numbers), params.mode, (position, source) => {
        if (source >= 0) out.data[position] = operand.data[source] as number;
      });
      return [out];
    },
    jvp: ({ primals, tangents, params, lax }) => {
      const [operand, indices] = primals as readonly [Value, Value];
      const tangent = tangents[0] ?? null;
      return {
        outputs: [lax.gather(operand, indices, params)],
        tangents: [tangent && lax.gather(tangent, indices, { ...params, fill_value: 0 })],
      };
    },
    transpose: ({ cotangents, inputs, params, lax }) => {
      const [operand, indices] = inputs;
      const ct = cotangents[0] ?? null;
      if (ct === null || indices === undefined || isLinear(indices) || !isLinear(operand)) return [null, null];
      const zeros = lax.full(operand.aval.shape, 0, operand.aval.dtype);
      const dimension_numbers = scatterNumbersOf(params.dimension_numbers);
      return [lax.scatter_add(zeros, indices, ct, { dimension_numbers, mode: params.mode }), null];
    },
    batch: batchGather,
    lower: lowerGather,
    samples: [
      {
        name: "rows, clipped",
        inputs: [f32(4, 3), i32([5, 1], [0, 3, -2, 9, 1])],
        params: { dimension_numbers: rows, slice_sizes: [1, 3], mode: "clip" },
      },
      {
        name: "rows, filled",
        inputs: [f32(4, 3), i32([2, 2, 1], [0, 3, -2, 9])],
        params: { dimension_numbers: rows, slice_sizes: [1, 3], mode: "fill", fill_value: 0 },
      },
      {
        name: "NaN out of range",
        inputs: [f32(4, 3), i32([2, 1], [2, 4])],
        params: { dimension_numbers: rows, slice_sizes: [1, 3], mode: "fill" },
        smooth: false,
      },
      {
        name: "one element of each row",
        inputs: [f32(3, 4), i32([3, 1], [0, 3, 2])],
        params: { dimension_numbers: elementPerRow, slice_sizes: [1, 1], mode: "clip" },
      },
      {
        name: "windows around the positions",
        inputs: [f32(4, 5), i32([3, 2], [0, 0, 3, 1, 4, -1])],
        params: { dimension_numbers: windowsOfMatrix, slice_sizes: [2, 3], mode: "clip" },
      },
      {
        name: "one position",
        inputs: [f32(4), i32([1], [2])],
        params: {
          dimension_numbers: { ...rows, offset_dims: [] },
          slice_sizes: [1],
          mode: "clip",
        },
      },
      {
        name: "no positions",
        inputs: [f32(4, 3), i32([0, 1], [])],
        params: { dimension_numbers: rows, slice_sizes: [1, 3], mode: "fill", fill_value: 0 },
      },
      {
        name: "u32 indices, i32 operand",
        inputs: [
          { dtype: "i32", shape: [4, 2], from: -9, to: 9 },
          { dtype: "u32", shape: [3, 1], values: [3, 4294967295, 0] },
        ],
        params: { dimension_numbers: rows, slice_sizes: [1, 2], mode: "fill" },
      },
    ],
  },
  (bind) =>
    (operand, indices, { dimension_numbers: numbers, slice_sizes, mode = "fill", fill_value = null }) =>
      bind([operand, indices], {
        dimension_numbers: {
          offset_dims: [...numbers.offset_dims],
          collapsed_slice_dims: [...numbers.collapsed_slice_dims],
          start_index_map: [...numbers.start_index_map],
          operand_batching_dims: [...numbers.operand_batching_dims],
          start_indices_batching_dims: [...numbers.start_indices_batching_dims],
        },
        slice_sizes: [...slice_sizes],
        mode,
        ...(fill_value === null ? {} : { fill_value }),
      }),
);
