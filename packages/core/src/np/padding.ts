/** Margins around arrays. */
import { lax, type NDArray, range, type Value } from "@fax/compiler";
import { fault, formatShape } from "./fault.ts";
import { fromData } from "./from-host.ts";
import { take } from "./indexing.ts";
import { movable } from "./manipulation.ts";
import { type ArrayLike, asValue, convert, placed } from "./operand.ts";

/** The width of a margin: of every side, `[before, after]` of every axis, or a list with a pair for each axis. */
export type PadWidth = number | readonly [number, number] | readonly (readonly [number, number])[];

export interface PadOptions {
  /**
   * What the margin holds: `"constant"`, the default, one value; `"edge"` the outermost elements; `"reflect"` and `"symmetric"` the
   * mirror image, without and with the outermost element; `"wrap"` the other end.
   */
  readonly mode?: "constant" | "edge" | "reflect" | "symmetric" | "wrap" | undefined;
  /** 0 unless said. */
  readonly constantValues?: number | undefined;
}

/**
 * `x` with a margin around it.
 *
 * @throws FAX1203 for widths that are not whole numbers from 0, or that do not fit the axes
 * @example np.pad(np.array([1, 2]), [1, 2]); // [0, 1, 2, 0, 0]
 */
export function pad<P extends string = "server">(
  x: ArrayLike<P>,
  padWidth: PadWidth,
  { mode = "constant", constantValues = 0 }: PadOptions = {},
): NDArray<P> {
  const value = movable("pad", x);
  const widths = widthsOf(padWidth, value);
  if (mode === "constant") {
    const fillValue = convert("pad", asValue("pad", constantValues), value.dtype);
    return placed(
      lax.pad(
        value,
        fillValue,
        widths.map(([low, high]) => [low, high, 0] as const),
      ),
    );
  }
  const extended = widths.reduce((padded, [low, high], axis) => {
    if (low === 0 && high === 0) return padded;
    const size = padded.shape[axis] as number;
    if (size === 0) throw fault("FAX1203", `pad: the mode "${mode}" has nothing to repeat on axis ${axis} of size 0`);
    const sources = Int32Array.from(range(-low, size + high), (position) => sourceOf(position, size, mode));
    const indices = fromData("i32", [sources.length], sources);
    return take(padded, indices, { axis, mode: "clip" });
  }, value);
  return placed(extended);
}

/** Which element a place in the margin repeats; `position` counts from the first element of the array. */
function sourceOf(position: number, size: number, mode: "edge" | "reflect" | "symmetric" | "wrap"): number {
  if (mode === "edge") return Math.min(Math.max(position, 0), size - 1);
  if (mode === "wrap") return modulo(position, size);
  if (mode === "symmetric") {
    const place = modulo(position, 2 * size);
    return place < size ? place : 2 * size - 1 - place;
  }
  const period = Math.max(2 * (size - 1), 1);
  const place = modulo(position, period);
  return place < size ? place : period - place;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}

function widthsOf(padWidth: PadWidth, value: Value): (readonly [number, number])[] {
  const isPair = (given: unknown): given is readonly [number, number] =>
    Array.isArray(given) && given.length === 2 && given.every((width) => typeof width === "number");
  const widths =
    typeof padWidth === "number"
      ? range(value.ndim).map(() => [padWidth, padWidth] as const)
      : isPair(padWidth)
        ? range(value.ndim).map(() => padWidth)
        : (padWidth as readonly (readonly [number, number])[]);
  const fits =
    widths.length === value.ndim &&
    widths.every((pair) => isPair(pair) && pair.every((width) => Number.isInteger(width) && width >= 0));
  if (!fits) {
    throw fault(
      "FAX1203",
      `pad: the widths ${JSON.stringify(padWidth)} do not fit an array of shape ${formatShape(value.shape)}`,
      {
        help: "a whole number from 0, [before, after], or a list with a pair for each axis",
      },
    );
  }
  return [...widths];
}
