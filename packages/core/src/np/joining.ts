/** Joining arrays along an axis, and cutting them apart. */
import { lax, type NDArray, range, sameShape, sizeOf, type Value } from "@fax/compiler";
import { normalizeAxis } from "./axis.ts";
import { fault, formatShape } from "./fault.ts";
import { movable, sliceAxis } from "./manipulation.ts";
import { type ArrayLike, asValue, placed, promote, withElements } from "./operand.ts";

/** Arrays to be joined, in one dtype; all shapes agree apart from `axis`. */
function joinable<P extends string>(name: string, arrays: readonly ArrayLike<P>[] | NDArray<P>): Value[] {
  const list: readonly ArrayLike<string>[] = Array.isArray(arrays) ? arrays : rowsOf(name, arrays as NDArray<P>);
  if (list.length === 0) throw fault("FAX1203", `${name}: there is nothing to join in an empty list`);
  return promote(
    name,
    list.map((x) => asValue(name, x)),
  ).map((value) => withElements(value));
}

function rowsOf(name: string, value: Value): Value[] {
  const length = value.shape[normalizeAxis(name, 0, value.ndim)] as number;
  return range(length).map((i) => lax.squeeze(sliceAxis(value, 0, i, i + 1), [0]));
}

function join(name: string, values: readonly Value[], axis: number): Value {
  const [first] = values as readonly [Value];
  const along = normalizeAxis(name, axis, first.ndim);
  const other = values.find(
    ({ shape }) => shape.length !== first.ndim || shape.some((size, i) => i !== along && size !== first.shape[i]),
  );
  if (other !== undefined) {
    throw fault(
      "FAX1201",
      `${name}: shapes ${formatShape(first.shape)} and ${formatShape(other.shape)} differ beside axis ${along}`,
      { operands: values },
    );
  }
  return values.length === 1 ? first : lax.concatenate(values, along);
}

/**
 * Arrays joined along an axis that they have; flattened first if `axis` is null.
 *
 * @throws FAX1201 if the other sizes differ
 * @example np.concatenate([[1, 2], [3]], 0); // [1, 2, 3]
 */
export function concatenate<P extends string = "server">(
  arrays: readonly ArrayLike<P>[] | NDArray<P>,
  options: number | null | { readonly axis?: number | null } = 0,
): NDArray<P> {
  const axis =
    typeof options === "object" && options !== null ? (options.axis === undefined ? 0 : options.axis) : options;
  const values = joinable("concatenate", arrays);
  if (axis === null)
    return placed(
      join(
        "concatenate",
        values.map((value) => lax.reshape(value, [value.size])),
        0,
      ),
    );
  return placed(join("concatenate", values, axis));
}

/**
 * Arrays of one shape joined along a new axis.
 *
 * @throws FAX1201 if the shapes differ
 * @example np.stack([np.zeros([3]), np.ones([3])]); // f32[2,3]
 */
export function stack<P extends string = "server">(
  arrays: readonly ArrayLike<P>[] | NDArray<P>,
  options: number | { readonly axis?: number } = 0,
): NDArray<P> {
  const values = joinable("stack", arrays);
  const [first] = values as [Value];
  const other = values.find((value) => !sameShape(value.shape, first.shape));
  if (other !== undefined) {
    throw fault("FAX1201", `stack: shapes ${formatShape(first.shape)} and ${formatShape(other.shape)} differ`, {
      operands: values,
    });
  }
  const axis = normalizeAxis("stack", typeof options === "number" ? options : (options.axis ?? 0), first.ndim + 1);
  return placed(
    join(
      "stack",
      values.map((value) => lax.expand_dims(value, [axis])),
      axis,
    ),
  );
}

/** Arrays joined as rows; one-dimensional ones are rows. @example np.vstack([[1, 2], [3, 4]]); // f32[2,2] */
export function vstack<P extends string = "server">(arrays: readonly ArrayLike<P>[] | NDArray<P>): NDArray<P> {
  const rows = joinable("vstack", arrays).map((value) =>
    value.ndim >= 2 ? value : lax.reshape(value, [1, sizeOf(value.shape)]),
  );
  return placed(join("vstack", rows, 0));
}

/** Arrays joined along their columns; one-dimensional ones end to end. @example np.hstack([[1, 2], [3]]); // [1, 2, 3] */
export function hstack<P extends string = "server">(arrays: readonly ArrayLike<P>[] | NDArray<P>): NDArray<P> {
  const values = joinable("hstack", arrays).map((value) => (value.ndim === 0 ? lax.reshape(value, [1]) : value));
  return placed(join("hstack", values, (values[0] as Value).ndim === 1 ? 0 : 1));
}

function cut<P extends string>(value: Value, axis: number, bounds: readonly number[]): NDArray<P>[] {
  return range(bounds.length - 1).map((i) =>
    placed(sliceAxis(value, axis, bounds[i] as number, bounds[i + 1] as number)),
  );
}

function boundsOf(indices: readonly number[], size: number): number[] {
  const at = indices.map((index) => Math.min(Math.max(index < 0 ? index + size : index, 0), size));
  const starts = [0, ...at];
  return [...starts.map((start, i) => Math.max(start, starts[i - 1] ?? 0)), size];
}

/**
 * The parts of an array along an axis: so many equal ones, or cut before each index of a list.
 *
 * @throws FAX1203 if the axis does not divide into so many equal parts
 * @example const [a, b] = np.split(np.arange(6), 2); // [0, 1, 2], [3, 4, 5]
 */
export function split<P extends string = "server">(
  x: ArrayLike<P>,
  sections: number | readonly number[],
  options: number | { readonly axis?: number } = 0,
): NDArray<P>[] {
  const value = movable("split", x);
  const axis = normalizeAxis("split", typeof options === "number" ? options : (options.axis ?? 0), value.ndim);
  const size = value.shape[axis] as number;
  if (typeof sections !== "number") return cut(value, axis, boundsOf(sections, size));
  if (!Number.isInteger(sections) || sections < 1 || size % sections !== 0) {
    throw fault("FAX1203", `split: an axis of ${size} does not divide into ${sections} equal parts`, {
      help: "np.arraySplit allows parts of different sizes",
    });
  }
  return cut(
    value,
    axis,
    range(sections + 1).map((i) => (i * size) / sections),
  );
}

/**
 * {@link split} whose parts may differ by one: the first ones are longer.
 *
 * @example np.arraySplit(np.arange(5), 2); // [0, 1, 2], [3, 4]
 */
export function arraySplit<P extends string = "server">(
  x: ArrayLike<P>,
  sections: number | readonly number[],
  options: number | { readonly axis?: number } = 0,
): NDArray<P>[] {
  const value = movable("arraySplit", x);
  const axis = normalizeAxis("arraySplit", typeof options === "number" ? options : (options.axis ?? 0), value.ndim);
  const size = value.shape[axis] as number;
  if (typeof sections !== "number") return cut(value, axis, boundsOf(sections, size));
  if (!Number.isInteger(sections) || sections < 1) {
    throw fault("FAX1203", `arraySplit: ${sections} is no number of parts`);
  }
  const [length, longer] = [Math.floor(size / sections), size % sections];
  return cut(
    value,
    axis,
    range(sections + 1).map((i) => i * length + Math.min(i, longer)),
  );
}
