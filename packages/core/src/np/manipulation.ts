/** Movement: the same elements in other shapes and orders. */
import { type NDArray, lax, range, sameShape, type Shape, type Value } from "@fax/compiler";
import { checkShape, inferShape, normalizeAxes, normalizeAxis, broadcastedShape } from "./axis.ts";
import { fault, formatShape } from "./fault.ts";
import { type ArrayLike, asValue, commonShape, placed, spread, withElements } from "./operand.ts";

/** An operand that can be moved: a number is a scalar array. */
export function movable(name: string, x: ArrayLike<string>): Value {
  return withElements(asValue(name, x));
}

/**
 * The elements in row-major order in another shape; one size may be -1 and is then inferred.
 *
 * @throws FAX1203 if the sizes do not fit
 * @example np.reshape(np.arange(6), [2, -1]); // i32[2,3]
 */
export function reshape<P extends string = "server">(x: ArrayLike<P>, shape: number | Shape): NDArray<P> {
  const value = movable("reshape", x);
  return placed(lax.reshape(value, inferShape("reshape", shape, value.size)));
}

/** All elements in one row, in row-major order. @example np.ravel([[1, 2], [3, 4]]); // [1, 2, 3, 4] */
export function ravel<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  const value = movable("ravel", x);
  return placed(value.ndim === 1 ? value : lax.reshape(value, [value.size]));
}

/**
 * The axes in the order that `axes` says, reversed unless said.
 *
 * @throws FAX1202 unless `axes` names each axis once
 * @example np.transpose(np.ones([2, 3, 4]), [0, 2, 1]); // f32[2,4,3]
 */
export function transpose<P extends string = "server">(
  x: ArrayLike<P>,
  axes: readonly number[] | null = null,
): NDArray<P> {
  const value = movable("transpose", x);
  const order =
    axes === null ? range(value.ndim).reverse() : axes.map((axis) => normalizeAxis("transpose", axis, value.ndim));
  if (new Set(order).size !== value.ndim || order.length !== value.ndim) {
    throw fault(
      "FAX1202",
      `transpose: ${formatShape(axes ?? [])} does not name each axis of ${formatShape(value.shape)} once`,
      {
        operands: [value],
      },
    );
  }
  return placed(permute(value, order));
}

/** `lax.transpose`, left out where nothing moves. */
export function permute(value: Value, order: readonly number[]): Value {
  return order.every((axis, i) => axis === i) ? value : lax.transpose(value, order);
}

/** Two axes exchanged. @example np.swapaxes(np.ones([2, 3, 4]), 0, -1); // f32[4,3,2] */
export function swapaxes<P extends string = "server">(x: ArrayLike<P>, axis1: number, axis2: number): NDArray<P> {
  const value = movable("swapaxes", x);
  const a = normalizeAxis("swapaxes", axis1, value.ndim);
  const b = normalizeAxis("swapaxes", axis2, value.ndim);
  return placed(
    permute(
      value,
      range(value.ndim).map((axis) => (axis === a ? b : axis === b ? a : axis)),
    ),
  );
}

/**
 * Axes moved to other positions; the others keep their order.
 *
 * @throws FAX1202 for axes that do not exist, or that occur twice
 * @example np.moveaxis(np.ones([2, 3, 4]), 0, -1); // f32[3,4,2]
 */
export function moveaxis<P extends string = "server">(
  x: ArrayLike<P>,
  source: number | readonly number[],
  destination: number | readonly number[],
): NDArray<P> {
  const value = movable("moveaxis", x);
  const [from, to] = [source, destination].map((axes) =>
    (typeof axes === "number" ? [axes] : axes).map((axis) => normalizeAxis("moveaxis", axis, value.ndim)),
  ) as [number[], number[]];
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
    throw fault("FAX1202", `moveaxis: axes ${formatShape(from)} cannot move to ${formatShape(to)}`, {
      help: "name as many destinations as sources, each once",
    });
  }
  const order = range(value.ndim).filter((axis) => !from.includes(axis));
  const moves = to.map((target, i) => ({ target, axis: from[i] as number })).sort((a, b) => a.target - b.target);
  for (const { target, axis } of moves) order.splice(target, 0, axis);
  return placed(permute(value, order));
}

/**
 * Without axes of size 1: without all of them, or those that `axis` names.
 *
 * @throws FAX1203 for a named axis of another size
 * @example np.squeeze(np.zeros([1, 3, 1])); // f32[3]
 */
export function squeeze<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | readonly number[] | null | { readonly axis?: number | readonly number[] | null } = null,
): NDArray<P> {
  const axis = typeof options === "object" && options !== null && "axis" in options ? options.axis : options;
  const value = movable("squeeze", x);
  const named = typeof axis === "number" || Array.isArray(axis);
  const axes = named
    ? normalizeAxes("squeeze", axis as number | readonly number[], value.ndim)
    : range(value.ndim).filter((i) => value.shape[i] === 1);
  const wrong = axes.find((i) => value.shape[i] !== 1);
  if (wrong !== undefined) {
    throw fault(
      "FAX1203",
      `squeeze: axis ${wrong} of ${formatShape(value.shape)} has the size ${value.shape[wrong]}, not 1`,
    );
  }
  return placed(axes.length === 0 ? value : lax.squeeze(value, axes));
}

/**
 * New axes of size 1 at the given positions of the result.
 *
 * @throws FAX1202 for positions that the result does not have
 * @example np.expandDims(np.zeros([3]), 0); // f32[1,3]
 */
export function expandDims<P extends string = "server">(x: ArrayLike<P>, axis: number | readonly number[]): NDArray<P> {
  const value = movable("expandDims", x);
  const count = typeof axis === "number" ? 1 : axis.length;
  return placed(lax.expand_dims(value, normalizeAxes("expandDims", axis, value.ndim + count)));
}

/**
 * `x` repeated along axes of size 1 and new leading axes until it has the shape.
 *
 * @throws FAX1201 if it does not broadcast to it
 * @example np.broadcastTo([1, 2], [3, 2]); // [[1, 2], [1, 2], [1, 2]]
 */
export function broadcastTo<P extends string = "server">(x: ArrayLike<P>, shape: number | Shape): NDArray<P> {
  const value = movable("broadcastTo", x);
  const target = checkShape("broadcastTo", shape);
  const common = broadcastedShape([value.shape, target]);
  if (common === null || !sameShape(common, target)) {
    throw fault(
      "FAX1201",
      `broadcastTo: the shape ${formatShape(value.shape)} does not broadcast to ${formatShape(target)}`,
      {
        operands: [value],
      },
    );
  }
  return placed(spread(value, target));
}

/**
 * All arrays broadcast to their common shape.
 *
 * @throws FAX1201 if there is none
 * @example const [a, b] = np.broadcastArrays([1, 2], [[3], [4]]); // [[1, 2], [1, 2]], [[3, 3], [4, 4]]
 */
export function broadcastArrays<P extends string = "server">(...arrays: ArrayLike<P>[]): NDArray<P>[] {
  const values = arrays.map((x) => movable("broadcastArrays", x));
  const shape = commonShape("broadcastArrays", values);
  return values.map((value) => placed(spread(value, shape)));
}

/** The elements in reverse order along the axes, along all of them unless said. @example np.flip([1, 2, 3]); // [3, 2, 1] */
export function flip<P extends string = "server">(
  x: ArrayLike<P>,
  axis: number | readonly number[] | null = null,
): NDArray<P> {
  const value = movable("flip", x);
  const axes = normalizeAxes("flip", axis, value.ndim);
  return placed(axes.length === 0 ? value : lax.rev(value, axes));
}

/** Rows in reverse order. @example np.flipud([[1, 2], [3, 4]]); // [[3, 4], [1, 2]] */
export function flipud<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  return flip(x, 0);
}

/** Columns in reverse order. @example np.fliplr([[1, 2], [3, 4]]); // [[2, 1], [4, 3]] */
export function fliplr<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  return flip(x, 1);
}

/** The elements `start` to `limit` along one axis. */
export function sliceAxis(value: Value, axis: number, start: number, limit: number): Value {
  const { shape } = value.aval;
  if (start === 0 && limit === shape[axis]) return value;
  return lax.slice(
    value,
    shape.map((_, i) => (i === axis ? start : 0)),
    shape.map((size, i) => (i === axis ? limit : size)),
  );
}

/**
 * The elements moved on along axes, those that leave coming in again at the start; the flat array is rolled unless axes are
 * said.
 *
 * @throws FAX1203 if there are more shifts than axes
 * @example np.roll([1, 2, 3], 1); // [3, 1, 2]
 */
export function roll<P extends string = "server">(
  x: ArrayLike<P>,
  shift: number | readonly number[],
  axis: number | readonly number[] | null = null,
): NDArray<P> {
  const value = movable("roll", x);
  if (axis === null) {
    const total = (typeof shift === "number" ? [shift] : shift).reduce((sum, by) => sum + by, 0);
    return placed(lax.reshape(rollAxis(lax.reshape(value, [value.size]), total, 0), value.shape));
  }
  const axes = (typeof axis === "number" ? [axis] : axis).map((one) => normalizeAxis("roll", one, value.ndim));
  const shifts = typeof shift === "number" ? axes.map(() => shift) : shift;
  if (shifts.length !== axes.length) {
    throw fault("FAX1203", `roll: ${shifts.length} shifts do not fit ${axes.length} axes`);
  }
  return placed(axes.reduce((rolled, one, i) => rollAxis(rolled, shifts[i] as number, one), value));
}

function rollAxis(value: Value, shift: number, axis: number): Value {
  const size = value.shape[axis] as number;
  if (!Number.isInteger(shift)) throw fault("FAX1203", `roll: a shift of ${shift} is not a whole number`);
  const offset = size === 0 ? 0 : ((shift % size) + size) % size;
  if (offset === 0) return value;
  return lax.concatenate([sliceAxis(value, axis, size - offset, size), sliceAxis(value, axis, 0, size - offset)], axis);
}

/** The array repeated as a tile, so often along each axis. @example np.tile([1, 2], [2, 2]); // [[1, 2, 1, 2], [1, 2, 1, 2]] */
export function tile<P extends string = "server">(
  x: ArrayLike<P>,
  repetitions: number | readonly number[],
): NDArray<P> {
  const value = movable("tile", x);
  const given = checkShape("tile", repetitions);
  const ndim = Math.max(value.ndim, given.length);
  const shape = [...new Array<number>(ndim - value.ndim).fill(1), ...value.shape];
  const counts = [...new Array<number>(ndim - given.length).fill(1), ...given];
  const interleaved = shape.flatMap((size, axis) => [counts[axis] as number, size]);
  const kept = range(value.ndim).map((axis) => 2 * (axis + ndim - value.ndim) + 1);
  const repeated = lax.broadcast_in_dim(value, interleaved, kept);
  return placed(
    lax.reshape(
      repeated,
      shape.map((size, axis) => size * (counts[axis] as number)),
    ),
  );
}

/**
 * Each element repeated in place: along an axis, or of the flat array.
 *
 * @example np.repeat([1, 2], 2); // [1, 1, 2, 2]
 */
export function repeat<P extends string = "server">(
  x: ArrayLike<P>,
  repetitions: number,
  options: number | null | { readonly axis?: number | null } = null,
): NDArray<P> {
  const axis = typeof options === "object" && options !== null ? (options.axis ?? null) : options;
  const operand = movable("repeat", x);
  const [count] = checkShape("repeat", repetitions) as [number];
  const value = axis === null ? lax.reshape(operand, [operand.size]) : operand;
  const along = normalizeAxis("repeat", axis ?? 0, value.ndim);
  const doubled = [...value.shape.slice(0, along + 1), count, ...value.shape.slice(along + 1)];
  const kept = range(value.ndim).map((i) => (i <= along ? i : i + 1));
  const repeated = lax.broadcast_in_dim(value, doubled, kept);
  return placed(
    lax.reshape(
      repeated,
      value.shape.map((size, i) => (i === along ? size * count : size)),
    ),
  );
}

/**
 * Grids from coordinate vectors: array `i` varies along axis `i`, where `indexing: "xy"`, the default, exchanges the first two
 * axes.
 *
 * @throws FAX1203 for arrays of more than one dimension
 * @example const [x, y] = np.meshgrid([np.arange(3), np.arange(2)]); // i32[2,3], i32[2,3]
 */
export function meshgrid<P extends string = "server">(
  arrays: readonly ArrayLike<P>[],
  { indexing = "xy" }: { readonly indexing?: "xy" | "ij" } = {},
): NDArray<P>[] {
  const vectors = arrays.map((x) => movable("meshgrid", x));
  const wrong = vectors.find((value) => value.ndim > 1);
  if (wrong !== undefined) {
    throw fault("FAX1203", `meshgrid: coordinates are vectors, not an array of shape ${formatShape(wrong.shape)}`);
  }
  const axisOf = (i: number): number => (indexing === "xy" && i < 2 && vectors.length > 1 ? 1 - i : i);
  const shape: number[] = new Array<number>(vectors.length).fill(1);
  for (const [i, vector] of vectors.entries()) shape[axisOf(i)] = vector.size;
  return vectors.map((vector, i) =>
    placed(lax.broadcast_in_dim(lax.reshape(vector, [vector.size]), shape, [axisOf(i)])),
  );
}

/** The shape of an array. @example np.shape([[1, 2]]); // [1, 2] */
export function shape(x: ArrayLike<string>): Shape {
  return asValue("shape", x).shape;
}

/** The number of axes. @example np.ndim([[1, 2]]); // 2 */
export function ndim(x: ArrayLike<string>): number {
  return asValue("ndim", x).ndim;
}

/** The number of elements, or the size of one axis. @example np.size([[1, 2]]); // 2 */
export function size(x: ArrayLike<string>, axis: number | null = null): number {
  const value = asValue("size", x);
  return axis === null ? value.size : (value.shape[normalizeAxis("size", axis, value.ndim)] as number);
}
