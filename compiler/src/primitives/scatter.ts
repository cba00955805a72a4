/** Adding at positions that are data. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import { type HostArray, hostArray } from "../ir/host-array.ts";
import { sameShape, type Shape } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { pick, remainingAxes } from "./axes.ts";
import { batchedAtFront } from "./batching.ts";
import { define } from "./define.ts";
import { rounded } from "./host-strides.ts";
import {
  allOf,
  checkMode,
  checkWindowAxes,
  checkWindows,
  clampedStart,
  gatherNumbersOf,
  indexEntry,
  largestStarts,
  type ScatterNumbers,
  scatterNumbersOf,
  startEntries,
  startInRange,
  windowedOperandAxes,
  type WindowNumbers,
  windowsOfScatter,
} from "./index-numbers.ts";
import { elementPerRow, f32, i32, rows, windowsOfMatrix } from "./index-samples.ts";
import type { GatherMode, Lax } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";
import type { BatchArgs, BatchResult, LowerArgs, Lowered } from "./primitive.ts";
import { forEachElement } from "./window-walk.ts";

type ScatterParams = { readonly dimension_numbers: ScatterNumbers; readonly mode: GatherMode };

/** The windows that the updates were added to, read; what was dropped reads as 0. */
function gatherUpdates(lax: Lax, x: Value, indices: Value, sizes: readonly number[], params: ScatterParams): Value {
  return lax.gather(x, indices, {
    dimension_numbers: gatherNumbersOf(params.dimension_numbers),
    slice_sizes: sizes,
    mode: params.mode,
    fill_value: 0,
  });
}

/** The sizes of a window per operand axis, from the updates. */
function updateSizes(operand: Shape, updates: Shape, numbers: WindowNumbers): number[] {
  const sizes = operand.map((size) => Math.min(1, size));
  windowedOperandAxes(operand, numbers).forEach((axis, i) => {
    sizes[axis] = updates[numbers.windowAxes[i] as number] as number;
  });
  return sizes;
}

function batchScatterAdd({ inputs, dims, size, params, lax }: BatchArgs<ScatterParams>): BatchResult {
  const [operand, indices, updates] = inputs as readonly [Value, Value, Value];
  const [operandDim = null, indicesDim = null, updatesDim = null] = dims;
  const numbers = params.dimension_numbers;
  const bump = (axes: readonly number[]) => axes.map((axis) => axis + 1);
  const shifted: ScatterNumbers = {
    update_window_dims: bump(numbers.update_window_dims),
    inserted_window_dims: bump(numbers.inserted_window_dims),
    scatter_dims_to_operand_dims: bump(numbers.scatter_dims_to_operand_dims),
    operand_batching_dims: bump(numbers.operand_batching_dims),
    scatter_indices_batching_dims: numbers.scatter_indices_batching_dims,
  };
  const x = batchedAtFront(lax, operand, operandDim, size);
  const y = batchedAtFront(lax, updates, updatesDim, size);
  const [at, dimension_numbers]: [Value, ScatterNumbers] =
    indicesDim === null
      ? [indices, { ...shifted, update_window_dims: [0, ...shifted.update_window_dims] }]
      : [
          batchedAtFront(lax, indices, indicesDim, size),
          {
            ...shifted,
            operand_batching_dims: [0, ...shifted.operand_batching_dims],
            scatter_indices_batching_dims: [0, ...bump(numbers.scatter_indices_batching_dims)],
          },
        ];
  return { outputs: [lax.scatter_add(x, at, y, { dimension_numbers, mode: params.mode })], dims: [0] };
}

/**
 * Pulled: each element of the result sums what all positions have for it. Axes that pair with the operand's are fixed
 * by it; the sum runs over the other positions only, and within a window there is nothing to search.
 */
function lowerScatterAdd({ inputs, params, ctx }: LowerArgs<ScatterParams>): readonly Lowered[] {
  const [operand, indices, updates] = inputs as readonly [Lowered, Lowered, Lowered];
  const e = ctx.expr;
  const numbers = windowsOfScatter(params.dimension_numbers);
  const entries = startEntries(operand.shape, numbers);
  const sizes = updateSizes(operand.shape, updates.shape, numbers);
  const largest = largestStarts(operand.shape, sizes);
  const positionAxes = remainingAxes(updates.shape.length, numbers.windowAxes);
  const windowAxes = windowedOperandAxes(operand.shape, numbers);
  const searched = remainingAxes(positionAxes.length, numbers.indicesBatching);
  const accumulated: DType = isFloat(operand.dtype) ? "f32" : operand.dtype;

  const contribution = (index: readonly Expr[], inner: readonly Expr[]): Expr => {
    const position = positionAxes.map((_, i): Expr => {
      const batching = numbers.indicesBatching.indexOf(i);
      if (batching >= 0) return index[numbers.operandBatching[batching] as number] as Expr;
      return inner[searched.indexOf(i)] as Expr;
    });
    const source: Expr[] = [];
    positionAxes.forEach((axis, i) => (source[axis] = position[i] as Expr));
    const hits: Expr[] = [];
    operand.shape.forEach((size, axis) => {
      if (numbers.operandBatching.includes(axis)) return;
      const entry = entries[axis] as number;
      const limit = largest[axis] as number;
      let start = e.constExpr(0);
      if (entry >= 0) {
        const loaded = indexEntry(e, indices, position, entry);
        start = params.mode === "clip" ? clampedStart(e, loaded, limit) : e.castExpr(loaded, "i32");
        if (params.mode === "fill") hits.push(startInRange(e, loaded, limit));
      }
      const at = index[axis] as Expr;
      const within = windowAxes.indexOf(axis);
      if (within < 0) {
        hits.push(e.binaryExpr("eq", at, start));
        return;
      }
      const offset = e.binaryExpr("sub", at, start);
      source[numbers.windowAxes[within] as number] = offset;
      const width = sizes[axis] as number;
      // A window as wide as the axis always starts at 0, unless it is dropped.
      if (width === size) return;
      hits.push(e.binaryExpr("ge", offset, e.constExpr(0)), e.binaryExpr("lt", offset, e.constExpr(width)));
    });
    return e.selectExpr(allOf(e, hits), e.castExpr(updates.at(source), accumulated), e.constExpr(0, accumulated));
  };

  const add = (index: readonly Expr[], sum: Expr): Expr =>
    e.castExpr(e.binaryExpr("add", e.castExpr(operand.at(index), accumulated), sum), operand.dtype);
  if (searched.length === 0) {
    return [ctx.map(operand.dtype, operand.shape, (index) => add(index, contribution(index, [])))];
  }
  const over = searched.map((i) => updates.shape[positionAxes[i] as number] as number);
  const sum = ctx.reduce("sum", operand.shape, over, contribution);
  return [ctx.map(operand.dtype, operand.shape, (index) => add(index, sum.at(index)))];
}

const rowsOf: ScatterNumbers = scatterNumbersOf(rows);

/** The operand with each update added to the window at its index vector; windows may overlap. */
export const scatter_add = define<ScatterParams, Lax["scatter_add"]>(
  {
    name: "scatter_add",
    kind: "array",
    doc: "out = operand, and out[indices[p] + o] += updates[p, o] for all p, o. [JAX lax.scatter_add]",
    abstractEval: (inputs, params) => {
      const [operand, indices, updates] = inputs as readonly [Aval, Aval, Aval];
      checkMode("scatter_add", params.mode);
      if (operand.dtype !== updates.dtype || operand.dtype === "bool") {
        throw new FaxError({
          code: "FAX1102",
          message: `scatter_add: the operand is ${formatAval(operand, false)}, the updates are ${formatAval(updates, false)}`,
          help: "legal here: two arrays of one dtype, f32, f16, i32 or u32",
        });
      }
      const numbers = windowsOfScatter(params.dimension_numbers);
      const windowNdim = windowedOperandAxes(operand.shape, numbers).length;
      checkWindowAxes("scatter_add", "update_window_dims", numbers.windowAxes, windowNdim, updates.shape.length);
      checkWindows("scatter_add", operand, indices, updateSizes(operand.shape, updates.shape, numbers), numbers);
      const positions = pick(updates.shape, remainingAxes(updates.shape.length, numbers.windowAxes));
      if (!sameShape(positions, indices.shape.slice(0, -1))) {
        throw new FaxError({
          code: "FAX1201",
          message: `scatter_add: the updates ${formatAval(updates, false)} do not fit the indices ${formatAval(indices, false)}`,
          help: `legal here: updates whose axes outside of the windows are [${indices.shape.slice(0, -1).join(", ")}]`,
        });
      }
      return [avalOf(operand.dtype, operand.shape, { weak: operand.weak && updates.weak })];
    },
    impl: (inputs, params) => {
      const [operand, indices, updates] = inputs as readonly [HostArray, HostArray, HostArray];
      const numbers = windowsOfScatter(params.dimension_numbers);
      const sums = new Float64Array(operand.data);
      const sizes = updateSizes(operand.shape, updates.shape, numbers);
      const shapes = { operand: operand.shape, windowed: updates.shape, sizes };
      forEachElement(shapes, indices, numbers, params.mode, (position, target) => {
        if (target >= 0) sums[target] = (sums[target] as number) + (updates.data[position] as number);
      });
      const out = hostArray(operand.dtype, operand.shape, operand.data.slice());
      sums.forEach((sum, i) => (out.data[i] = rounded(operand.dtype, sum)));
      return [out];
    },
    jvp: ({ primals, tangents, params, lax }) => {
      const [operand, indices, updates] = primals as readonly [Value, Value, Value];
      const [dOperand = null, , dUpdates = null] = tangents;
      const tangent = dUpdates && lax.scatter_add(dOperand ?? lax.zeros_like(operand), indices, dUpdates, params);
      return { outputs: [lax.scatter_add(operand, indices, updates, params)], tangents: [tangent ?? dOperand] };
    },
    transpose: ({ cotangents, inputs, params, lax }) => {
      const [operand, indices, updates] = inputs;
      const ct = cotangents[0] ?? null;
      if (ct === null || operand === undefined || indices === undefined || isLinear(indices) || updates === undefined) {
        return [null, null, null];
      }
      const sizes = updateSizes(operand.aval.shape, updates.aval.shape, windowsOfScatter(params.dimension_numbers));
      return [
        isLinear(operand) ? ct : null,
        null,
        isLinear(updates) ? gatherUpdates(lax, ct, indices, sizes, params) : null,
      ];
    },
    batch: batchScatterAdd,
    lower: lowerScatterAdd,
    samples: [
      {
        name: "rows that meet",
        inputs: [f32(4, 3), i32([5, 1], [0, 3, 0, 9, -1]), f32(5, 3)],
        params: { dimension_numbers: rowsOf, mode: "fill" },
      },
      {
        name: "rows, clipped",
        inputs: [f32(4, 3), i32([2, 2, 1], [0, 3, -2, 9]), f32(2, 3, 2)],
        params: { dimension_numbers: rowsOf, mode: "clip" },
      },
      {
        name: "one element of each row",
        inputs: [f32(3, 4), i32([3, 1], [0, 3, 2]), f32(3)],
        params: { dimension_numbers: scatterNumbersOf(elementPerRow), mode: "fill" },
      },
      {
        name: "overlapping windows",
        inputs: [f32(4, 5), i32([3, 2], [0, 0, 2, 1, 4, -1]), f32(2, 3, 3)],
        params: { dimension_numbers: scatterNumbersOf(windowsOfMatrix), mode: "clip" },
      },
      {
        name: "windows that leave the operand",
        inputs: [f32(4, 5), i32([3, 2], [0, 0, 3, 1, 2, 2]), f32(2, 3, 3)],
        params: { dimension_numbers: scatterNumbersOf(windowsOfMatrix), mode: "fill" },
      },
      {
        name: "no updates",
        inputs: [f32(2, 3), i32([0, 1], []), f32(0, 3)],
        params: { dimension_numbers: rowsOf, mode: "fill" },
      },
      {
        name: "one position",
        inputs: [f32(4), i32([1], [2]), f32()],
        params: { dimension_numbers: { ...rowsOf, update_window_dims: [] }, mode: "fill" },
      },
      {
        name: "f16",
        inputs: [{ dtype: "f16", shape: [3, 2] }, i32([2, 1], [1, 1]), { dtype: "f16", shape: [2, 2] }],
        params: { dimension_numbers: rowsOf, mode: "clip" },
        smooth: false,
      },
      {
        name: "i32",
        inputs: [
          { dtype: "i32", shape: [3], from: -9, to: 9 },
          i32([4, 1], [2, 0, 2, 1]),
          { dtype: "i32", shape: [4], from: -9, to: 9 },
        ],
        params: { dimension_numbers: { ...rowsOf, update_window_dims: [] }, mode: "clip" },
      },
    ],
  },
  (bind) =>
    (operand, indices, updates, { dimension_numbers: numbers, mode = "fill" }) =>
      bind([operand, indices, updates], {
        dimension_numbers: {
          update_window_dims: [...numbers.update_window_dims],
          inserted_window_dims: [...numbers.inserted_window_dims],
          scatter_dims_to_operand_dims: [...numbers.scatter_dims_to_operand_dims],
          operand_batching_dims: [...numbers.operand_batching_dims],
          scatter_indices_batching_dims: [...numbers.scatter_indices_batching_dims],
        },
        mode,
      }),
);
