/** Axis lists: the faults a user can make with them, and how they change when an axis is added. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, formatAval } from "../ir/aval.ts";
import { range, type Shape } from "../ir/shape.ts";

/** Axes of `aval`, each at most once, or the user's error. */
export function checkAxes(name: string, axes: readonly number[], aval: Aval, what = "axis"): void {
  checkAxesOf(name, axes, aval.shape.length, `the array ${formatAval(aval, false)} has ${countOf(aval.shape)}`, what);
}

/** Axes of something with `ndim` axes, which `fact` describes. */
export function checkAxesOf(name: string, axes: readonly number[], ndim: number, fact: string, what = "axis"): void {
  axes.forEach((axis, i) => {
    if (!Number.isInteger(axis) || axis < 0 || axis >= ndim) {
      throw new FaxError({
        code: "FAX1202",
        message: `${name}: ${what} ${axis} does not exist, ${fact}`,
        help: ndim === 0 ? "a scalar has no axes; legal here: none" : `legal here: ${range(ndim).join(", ")}`,
      });
    }
    if (axes.indexOf(axis) !== i) {
      throw new FaxError({
        code: "FAX1202",
        message: `${name}: ${what} ${axis} is named twice in [${axes.join(", ")}]`,
        help: "name each axis once",
      });
    }
  });
}

function countOf(shape: Shape): string {
  return shape.length === 1 ? "1 axis" : `${shape.length} axes`;
}

/** A parameter that must hold one whole number ≥ `least` per axis. */
export function checkCounts(name: string, param: string, values: readonly number[], ndim: number, least: number): void {
  if (values.length !== ndim) {
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: ${param} has ${values.length} entries, the array has ${ndim} axes`,
      help: `give ${ndim} entries, one per axis`,
    });
  }
  const bad = values.find((value) => !Number.isInteger(value) || value < least);
  if (bad !== undefined) {
    throw new FaxError({
      code: "FAX1203",
      message: `${name}: ${param} [${values.join(", ")}] holds ${bad}, which is not a whole number ≥ ${least}`,
      help: `legal here: whole numbers from ${least}`,
    });
  }
}

/** The axes 0 … ndim − 1 that are in none of the lists. */
export function remainingAxes(ndim: number, ...taken: readonly (readonly number[])[]): number[] {
  return range(ndim).filter((axis) => !taken.some((axes) => axes.includes(axis)));
}

export function pick(shape: Shape, axes: readonly number[]): number[] {
  return axes.map((axis) => shape[axis] as number);
}

/** The axes as they are called once a new axis stands at `dim`. */
export function bumped(axes: readonly number[], dim: number): number[] {
  return axes.map((axis) => (axis >= dim ? axis + 1 : axis));
}

export function inserted<T>(list: readonly T[], at: number, item: T): T[] {
  return [...list.slice(0, at), item, ...list.slice(at)];
}

/** The permutation that sorts `values`. */
export function argsort(values: readonly number[]): number[] {
  return range(values.length).sort((a, b) => (values[a] as number) - (values[b] as number));
}
