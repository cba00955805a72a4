/** What gather and scatter share: how result, indices and operand axes correspond. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, formatAval } from "../ir/aval.ts";
import { isInteger } from "../ir/dtype.ts";
import type { Shape } from "../ir/shape.ts";
import type * as expr from "../lower/expr.ts";
import type { Expr } from "../lower/expr.ts";
import { checkAxes, checkAxesOf, remainingAxes } from "./axes.ts";
import type { GatherDimensionNumbers, GatherMode, ScatterDimensionNumbers } from "./lax-types.ts";
import type { Lowered } from "./primitive.ts";

/** As params: plain objects of lists. */
export type GatherNumbers = { readonly [K in keyof GatherDimensionNumbers]: GatherDimensionNumbers[K] };
export type ScatterNumbers = { readonly [K in keyof ScatterDimensionNumbers]: ScatterDimensionNumbers[K] };

/**
 * One vocabulary for both directions. A window of the operand lies at each index vector; "windowed" is the array that
 * holds all windows: gather's result, scatter's updates.
 */
export interface WindowNumbers {
  /** Axes of the windowed array that run within a window. */
  readonly windowAxes: readonly number[];
  /** Operand axes that a window does not have, its size there being 1. */
  readonly collapsed: readonly number[];
  /** Entry k of an index vector is the start along operand axis `startMap[k]`. */
  readonly startMap: readonly number[];
  /** Operand axes that pair with axes of the indices. */
  readonly operandBatching: readonly number[];
  readonly indicesBatching: readonly number[];
}

export function windowsOfGather(numbers: GatherNumbers): WindowNumbers {
  return {
    windowAxes: numbers.offset_dims,
    collapsed: numbers.collapsed_slice_dims,
    startMap: numbers.start_index_map,
    operandBatching: numbers.operand_batching_dims,
    indicesBatching: numbers.start_indices_batching_dims,
  };
}

export function windowsOfScatter(numbers: ScatterNumbers): WindowNumbers {
  return {
    windowAxes: numbers.update_window_dims,
    collapsed: numbers.inserted_window_dims,
    startMap: numbers.scatter_dims_to_operand_dims,
    operandBatching: numbers.operand_batching_dims,
    indicesBatching: numbers.scatter_indices_batching_dims,
  };
}

/** Operand axes that a window has, in order. */
export function windowedOperandAxes(operand: Shape, numbers: WindowNumbers): number[] {
  return remainingAxes(operand.length, numbers.collapsed, numbers.operandBatching);
}

/** For each operand axis, its entry in an index vector, or −1. */
export function startEntries(operand: Shape, numbers: WindowNumbers): number[] {
  return operand.map((_, axis) => numbers.startMap.indexOf(axis));
}

/** The largest start along each operand axis with the window still inside. */
export function largestStarts(operand: Shape, sizes: readonly number[]): number[] {
  return operand.map((size, axis) => size - (sizes[axis] as number));
}

/** Everything that does not depend on the direction; `sizes` are those of a window, per operand axis. */
export function checkWindows(name: string, operand: Aval, indices: Aval, sizes: Shape, numbers: WindowNumbers): void {
  if (!isInteger(indices.dtype)) {
    throw new FaxError({
      code: "FAX1102",
      message: `${name}: the indices are ${formatAval(indices, false)}, they must be integers`,
      help: "legal here: i32 or u32",
    });
  }
  if (indices.shape.length === 0) {
    throw new FaxError({
      code: "FAX1201",
      message: `${name}: the indices are a scalar, their last axis must hold the index vector`,
      help: "reshape the indices to [1]",
    });
  }
  const vector = indices.shape[indices.shape.length - 1] as number;
  checkAxes(name, numbers.startMap, operand, "start axis");
  checkAxes(name, [...numbers.collapsed, ...numbers.operandBatching], operand, "collapsed or batching axis");
  const indexAxes = indices.shape.length - 1;
  const fact = `the indices ${formatAval(indices, false)} have ${indexAxes} axes before the index vector`;
  checkAxesOf(name, numbers.indicesBatching, indexAxes, fact, "batching axis of the indices");
  if (vector !== numbers.startMap.length) {
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: index vectors have ${vector} entries, ${numbers.startMap.length} operand axes are mapped to them`,
      help: "name one operand axis per entry of the index vector",
    });
  }
  const paired =
    numbers.operandBatching.length === numbers.indicesBatching.length &&
    numbers.operandBatching.every(
      (axis, i) => operand.shape[axis] === indices.shape[numbers.indicesBatching[i] as number],
    );
  if (!paired || numbers.operandBatching.some((axis) => numbers.startMap.includes(axis))) {
    throw new FaxError({
      code: "FAX1201",
      message: `${name}: batching axes [${numbers.operandBatching.join(", ")}] of ${formatAval(operand, false)} and [${numbers.indicesBatching.join(
        ", ",
      )}] of ${formatAval(indices, false)} do not pair`,
      help: "legal here: equally many axes of equal sizes that no index vector addresses",
    });
  }
  sizes.forEach((size, axis) => {
    const limit = operand.shape[axis] as number;
    const single = numbers.collapsed.includes(axis) || numbers.operandBatching.includes(axis);
    if (size <= (single ? Math.min(1, limit) : limit)) return;
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: a window of size ${size} does not fit axis ${axis} of ${formatAval(operand, false)}`,
      help: single ? "collapsed and batching axes have windows of size 1" : `legal here: 0 to ${limit}`,
    });
  });
}

/** The start along one axis as an i32 clamped to 0 … largest. Clamping comes before the cast, where u32 is still whole. */
export function clampedStart(e: typeof expr, start: Expr, largest: number): Expr {
  if (largest <= 0) return e.constExpr(0);
  const below = e.binaryExpr("min", start, e.constExpr(largest, start.dtype));
  if (start.dtype === "u32") return e.castExpr(below, "i32");
  return e.binaryExpr("max", below, e.constExpr(0));
}

/** Whether the start leaves the whole window inside. */
export function startInRange(e: typeof expr, start: Expr, largest: number): Expr {
  const below = e.binaryExpr("le", start, e.constExpr(largest, start.dtype));
  if (start.dtype === "u32") return below;
  return e.binaryExpr("and", e.binaryExpr("ge", start, e.constExpr(0)), below);
}

export function allOf(e: typeof expr, conditions: readonly Expr[]): Expr {
  const [first, ...rest] = conditions;
  if (first === undefined) return e.constExpr(true, "bool");
  return rest.reduce((all, condition) => e.binaryExpr("and", all, condition), first);
}

/** The load of entry k of the index vector at `position`. */
export function indexEntry(e: typeof expr, indices: Lowered, position: readonly Expr[], k: number): Expr {
  return indices.at([...position, e.constExpr(k)]);
}

export function checkMode(name: string, mode: GatherMode): void {
  if (mode === "clip" || mode === "fill") return;
  throw new FaxError({
    code: "FAX1203",
    message: `${name}: the mode is ${String(mode)}, which does not exist`,
    help: 'legal here: "clip" or "fill"',
  });
}

export function checkWindowAxes(
  name: string,
  what: string,
  axes: readonly number[],
  expected: number,
  ndim: number,
): void {
  checkAxesOf(name, axes, ndim, `the array of windows has ${ndim} axes`, `entry of ${what}`);
  if (axes.length === expected && axes.every((axis, i) => i === 0 || axis > (axes[i - 1] as number))) return;
  throw new FaxError({
    code: "FAX1203",
    message: `${name}: ${what} [${axes.join(", ")}] must name the ${expected} axes of a window in increasing order`,
    help: "the axes of a window are those of the operand that are neither collapsed nor batching",
  });
}

/** The scatter that puts back what the gather took. */
export function scatterNumbersOf(numbers: GatherNumbers): ScatterNumbers {
  return {
    update_window_dims: numbers.offset_dims,
    inserted_window_dims: numbers.collapsed_slice_dims,
    scatter_dims_to_operand_dims: numbers.start_index_map,
    operand_batching_dims: numbers.operand_batching_dims,
    scatter_indices_batching_dims: numbers.start_indices_batching_dims,
  };
}

/** The gather that reads what the scatter wrote. */
export function gatherNumbersOf(numbers: ScatterNumbers): GatherNumbers {
  return {
    offset_dims: numbers.update_window_dims,
    collapsed_slice_dims: numbers.inserted_window_dims,
    start_index_map: numbers.scatter_dims_to_operand_dims,
    operand_batching_dims: numbers.operand_batching_dims,
    start_indices_batching_dims: numbers.scatter_indices_batching_dims,
  };
}
