/** Axes and shapes as arguments: negative axes count from the end, as in NumPy. */
import { range, type Shape, sizeOf } from "@fax/compiler";
import { fault, formatShape } from "./fault.ts";

/** An axis between 0 and `ndim - 1`, or FAX1202. */
export function normalizeAxis(name: string, axis: number, ndim: number): number {
  if (!Number.isInteger(axis) || axis < -ndim || axis >= ndim) {
    const legal = ndim === 0 ? "a scalar has no axes" : `legal here: ${-ndim} to ${ndim - 1}`;
    throw fault("FAX1202", `${name}: axis ${axis} does not exist in an array of ${ndim} dimensions`, { help: legal });
  }
  return axis < 0 ? axis + ndim : axis;
}

/** All axes for null; otherwise the given ones in rising order, each at most once. */
export function normalizeAxes(
  name: string,
  axes: number | readonly number[] | null | undefined,
  ndim: number,
): number[] {
  if (axes === null || axes === undefined) return range(ndim);
  const given = (typeof axes === "number" ? [axes] : axes).map((axis) => normalizeAxis(name, axis, ndim));
  if (new Set(given).size !== given.length) {
    throw fault("FAX1202", `${name}: an axis occurs twice in ${formatShape(given)}`);
  }
  return given.sort((a, b) => a - b);
}

/** A shape of whole, non-negative sizes from a size or a list of sizes, or FAX1203. */
export function checkShape(name: string, shape: number | readonly number[]): number[] {
  const sizes = typeof shape === "number" ? [shape] : [...shape];
  for (const size of sizes) {
    if (!Number.isInteger(size) || size < 0) {
      throw fault("FAX1203", `${name}: ${size} is no size of a dimension in the shape ${formatShape(sizes)}`, {
        help: "sizes are whole numbers from 0",
      });
    }
  }
  return sizes;
}

/** `shape` with its one -1 replaced by what makes the sizes fit, or FAX1203. */
export function inferShape(name: string, shape: number | readonly number[], size: number): number[] {
  const sizes = typeof shape === "number" ? [shape] : [...shape];
  const unknown = sizes.indexOf(-1);
  const known = sizeOf(sizes.filter((_, axis) => axis !== unknown));
  const full = unknown < 0 ? sizes : sizes.with(unknown, known === 0 ? 0 : size / known);
  if (full.some((value) => !Number.isInteger(value) || value < 0) || sizeOf(full) !== size) {
    throw fault("FAX1203", `${name}: an array of ${size} elements does not have the shape ${formatShape(sizes)}`);
  }
  return full;
}

/** The shape that all broadcast to, or null if there is none. */
export function broadcastedShape(shapes: readonly Shape[]): number[] | null {
  const ndim = Math.max(0, ...shapes.map((shape) => shape.length));
  const result: number[] = new Array<number>(ndim).fill(1);
  for (const shape of shapes) {
    const offset = ndim - shape.length;
    for (const [axis, size] of shape.entries()) {
      const present = result[offset + axis] as number;
      if (size === 1 || size === present) continue;
      if (present !== 1) return null;
      result[offset + axis] = size;
    }
  }
  return result;
}
