/** Picking elements: by position, by range, and by arrays of indices, which may be traced. */
import { constant, Constant, isInteger, lax, NDArray, range, type Value } from "@fax/compiler";
import { broadcastedShape, normalizeAxis } from "./axis.ts";
import { fault, formatShape } from "./fault.ts";
import { arrayFromNested, type NestedList } from "./from-host.ts";
import { movable, permute } from "./manipulation.ts";
import { type ArrayLike, asValue, commonShape, convert, placed, spread, withElements } from "./operand.ts";

/**
 * How one axis is indexed: a whole number picks an element (negative ones count from the end); `[start, stop]` and
 * `[start, stop, step]` a range, with null for an open end, `[]` all of it; `null` is a new axis; `"..."` stands for as many `[]` as are
 * missing; an integer array picks its elements, and a traced integer scalar one of them.
 */
export type Index<P extends string = "server"> =
  | number
  | null
  | "..."
  | readonly []
  | readonly [start: number | null, stop: number | null]
  | readonly [start: number | null, stop: number | null, step: number]
  | NDArray<P>;

/** What an index does to one axis of the array. */
type AxisIndex =
  | { readonly kind: "at"; readonly position: number }
  | { readonly kind: "range"; readonly start: number; readonly count: number; readonly step: number }
  | { readonly kind: "array"; readonly indices: Value }
  | { readonly kind: "new" };

/**
 * The elements of `x` at `indices`, as NumPy's `x[…]`: axes without an index are kept whole. Several index arrays are broadcast
 * together, as in NumPy. A traced index out of range is brought into range; in an index array it gives NaN (for integers the
 * least number, for bools false).
 *
 * @throws FAX1202 for more indices than axes, FAX1203 for a number out of range, FAX1102 for indices that are not integers
 * @example np.array([[1, 2, 3], [4, 5, 6]]).slice(0, [1, 3], null); // [[2], [3]]
 */
export function sliceOf<P extends string>(x: NDArray<P>, indices: readonly Index<NoInfer<P>>[]): NDArray<P> {
  const perAxis = complete(x, indices);
  return placed(withArrays(withRanges(x, perAxis), perAxis));
}

/** One entry for each axis, and one for each new axis between them. */
function complete(x: Value, indices: readonly Index<string>[]): AxisIndex[] {
  const used = indices.filter((index) => index !== null && index !== "...").length;
  if (used > x.ndim || indices.filter((index) => index === "...").length > 1) {
    throw fault("FAX1202", `slice: ${used} indices do not fit an array of ${x.ndim} dimensions`, { operands: [x] });
  }
  const missing = new Array<Index<string>>(x.ndim - used).fill([]);
  const full = indices.includes("...")
    ? indices.flatMap((index) => (index === "..." ? missing : [index]))
    : [...indices, ...missing];
  let axis = 0;
  return full.map((index) => (index === null ? { kind: "new" } : resolve(x, axis++, index)));
}

function resolve(x: Value, axis: number, index: Exclude<Index<string>, null>): AxisIndex {
  const size = x.shape[axis] as number;
  if (typeof index === "number") return { kind: "at", position: checkPosition(index, size, axis) };
  if (index instanceof NDArray) {
    if (!isInteger(index.dtype)) {
      throw fault("FAX1102", `slice: an index array is ${index.dtype}, and indices are integers`, {
        operands: [x, index],
        help: index.dtype === "bool" ? "np.where(mask, x, 0) keeps the shape known" : "index.astype(np.int32)",
      });
    }
    if (index instanceof Constant) return { kind: "at", position: checkPosition(index.value, size, axis) };
    return { kind: "array", indices: index };
  }
  if (!Array.isArray(index)) throw fault("FAX1003", `slice: ${String(index)} is no index`);
  const [from = null, to = null, step = 1] = index as readonly (number | null | undefined)[];
  return rangeOf(from, to, step ?? 1, size);
}

function checkPosition(position: number, size: number, axis: number): number {
  if (!Number.isInteger(position) || position < -size || position >= size) {
    throw fault("FAX1203", `slice: index ${position} does not exist on axis ${axis} of size ${size}`);
  }
  return position < 0 ? position + size : position;
}

/** Python's `slice.indices`. */
function rangeOf(from: number | null, to: number | null, step: number, size: number): AxisIndex {
  if (![from ?? 0, to ?? 0, step].every(Number.isInteger) || step === 0) {
    throw fault("FAX1203", `slice: [${from}, ${to}, ${step}] is no range of whole numbers with a step`);
  }
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const bound = (given: number): number => Math.min(Math.max(given < 0 ? given + size : given, low), high);
  const start = from === null ? (step > 0 ? low : high) : bound(from);
  const stop = to === null ? (step > 0 ? high : low) : bound(to);
  return { kind: "range", start, step, count: Math.max(0, Math.ceil((stop - start) / step)) };
}

/** Applies positions and ranges: an axis with an index array is kept, one with a position has size 1. */
function withRanges(x: Value, perAxis: readonly AxisIndex[]): Value {
  const axes = perAxis.filter((index) => index.kind !== "new");
  const spans = axes.map((index, axis) => {
    const size = x.shape[axis] as number;
    if (index.kind === "at") return { start: index.position, limit: index.position + 1, step: 1, reversed: false };
    if (index.kind !== "range") return { start: 0, limit: size, step: 1, reversed: false };
    const { start, count, step } = index;
    if (count === 0) return { start: 0, limit: 0, step: 1, reversed: false };
    const last = start + (count - 1) * step;
    return { start: Math.min(start, last), limit: Math.max(start, last) + 1, step: Math.abs(step), reversed: step < 0 };
  });
  const whole = spans.every(({ start, limit, step }, axis) => start === 0 && limit === x.shape[axis] && step === 1);
  const strides = spans.map(({ step }) => step);
  const sliced = whole
    ? x
    : lax.slice(
        x,
        spans.map(({ start }) => start),
        spans.map(({ limit }) => limit),
        strides.every((step) => step === 1) ? null : strides,
      );
  const reversed = spans.flatMap((span, axis) => (span.reversed ? [axis] : []));
  return reversed.length === 0 ? sliced : lax.rev(sliced, reversed);
}

/** Drops the axes of positions, adds the new ones, and picks by the index arrays. */
function withArrays(x: Value, perAxis: readonly AxisIndex[]): Value {
  const arrays = perAxis.flatMap((index) => (index.kind === "array" ? [index.indices] : []));
  const scalarsOnly = arrays.every((indices) => indices.ndim === 0);
  if (arrays.length > 0 && !scalarsOnly) return gatherArrays(x, perAxis);
  const kept: number[] = [];
  let axis = 0;
  for (const index of perAxis) {
    if (index.kind === "new") kept.push(1);
    else if (index.kind === "range") kept.push(x.shape[axis++] as number);
    else axis++;
  }
  const picked = arrays.length === 0 ? x : pickScalars(x, perAxis);
  return kept.length === picked.ndim && perAxis.every((index) => index.kind === "range")
    ? picked
    : lax.reshape(picked, kept);
}

function pickScalars(x: Value, perAxis: readonly AxisIndex[]): Value {
  const axes = perAxis.filter((index) => index.kind !== "new");
  const starts = axes.map((index, axis) =>
    index.kind === "array" ? fromEnd(index.indices, x.shape[axis] as number) : constant(0, "i32"),
  );
  const dtype = starts.some((start) => start.dtype === "i32" && !(start instanceof Constant)) ? "i32" : "u32";
  const sizes = axes.map((index, axis) => (index.kind === "array" ? 1 : (x.shape[axis] as number)));
  return lax.dynamic_slice(
    x,
    starts.map((start) => convert("slice", start, dtype)),
    sizes,
  );
}

/** Negative indices counted from the end. */
function fromEnd(indices: Value, size: number): Value {
  if (indices.dtype === "u32") return indices;
  const negative = lax.lt(indices, constant(0, indices.dtype));
  return lax.select(negative, lax.add(indices, constant(size, indices.dtype)), indices);
}

/**
 * NumPy's advanced indexing: the broadcast shape of the index arrays replaces their axes, in front if they do not stand
 * together. Positions count among the index arrays.
 */
function gatherArrays(x: Value, perAxis: readonly AxisIndex[]): Value {
  const advanced = perAxis.flatMap((index, i) => (index.kind === "array" || index.kind === "at" ? [i] : []));
  const [first, last] = [advanced[0] as number, advanced.at(-1) as number];
  const together = last - first === advanced.length - 1;
  const given: Value[] = [];
  const axes: number[] = [];
  const kept: number[] = [];
  let axis = 0;
  let before = 0;
  for (const [i, index] of perAxis.entries()) {
    if (index.kind === "new") kept.push(1);
    else if (index.kind === "range") kept.push(x.shape[axis++] as number);
    else if (index.kind === "at") axis++;
    else {
      axes.push(axis);
      given.push(fromEnd(index.indices, x.shape[axis++] as number));
    }
    if (together && i < first) before = kept.length;
  }
  const shape = commonShape("slice", given);
  const picked = gatherAxes(
    x,
    axes,
    given.map((indices) => spread(convert("slice", indices, "i32"), shape)),
  );
  return lax.reshape(
    // The gathered axes come first; the others keep their order.
    moveFront(lax.reshape(picked, [...shape, ...kept]), shape.length, before),
    [...kept.slice(0, before), ...shape, ...kept.slice(before)],
  );
}

function moveFront(value: Value, count: number, to: number): Value {
  const rest = range(count, value.ndim);
  return permute(value, [...rest.slice(0, to), ...range(count), ...rest.slice(to)]);
}

/** `x` at vectors of indices into `axes`: the indices' shape leads, then the axes that remain. */
function gatherAxes(x: Value, axes: readonly number[], indices: readonly Value[]): Value {
  const { shape } = indices[0] as Value;
  const vectors = indices.map((one) => lax.expand_dims(one, [shape.length]));
  return lax.gather(x, vectors.length === 1 ? (vectors[0] as Value) : lax.concatenate(vectors, shape.length), {
    dimension_numbers: {
      offset_dims: range(shape.length, shape.length + x.ndim - axes.length),
      collapsed_slice_dims: axes,
      start_index_map: axes,
      operand_batching_dims: [],
      start_indices_batching_dims: [],
    },
    slice_sizes: x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
    mode: "fill",
  });
}

export interface TakeOptions {
  /** The flat array unless said. */
  readonly axis?: number | null | undefined;
  /**
   * What an index out of range gives: `"fill"`, the default, NaN (the least integer, false); `"clip"` the nearest element, so that
   * negative indices give the first; `"wrap"` counts on from the other end.
   */
  readonly mode?: "fill" | "clip" | "wrap" | undefined;
}

/**
 * The elements at `indices` along `axis`; the shape of the indices replaces that axis.
 *
 * @throws FAX1102 for indices that are not integers, FAX1202 for an axis that the array does not have
 * @example np.take(np.array([10, 20, 30]), np.array([2, 0], { dtype: np.int32 }), 0); // [30, 10]
 */
export function take<P extends string = "server">(
  x: ArrayLike<P>,
  indices: ArrayLike<NoInfer<P>>,
  options: number | null | TakeOptions = {},
): NDArray<P> {
  const { axis = null, mode = "fill" } = typeof options === "object" && options !== null ? options : { axis: options };
  const operand = movable("take", x);
  const value = axis === null ? lax.reshape(operand, [operand.size]) : operand;
  const along = normalizeAxis("take", axis ?? 0, value.ndim);
  const size = value.shape[along] as number;
  const given = integerIndices("take", indices);
  const wanted = mode === "fill" ? fromEnd(given, size) : mode === "wrap" ? wrapped(given, size) : given;
  const { shape } = wanted;
  const rest = range(value.ndim).filter((i) => i !== along);
  const gathered = lax.gather(value, lax.expand_dims(wanted, [shape.length]), {
    dimension_numbers: {
      offset_dims: rest.map((i) => (i < along ? i : i - 1 + shape.length)),
      collapsed_slice_dims: [along],
      start_index_map: [along],
      operand_batching_dims: [],
      start_indices_batching_dims: [],
    },
    slice_sizes: value.shape.map((length, i) => (i === along ? 1 : length)),
    mode: mode === "fill" ? "fill" : "clip",
  });
  return placed(gathered);
}

function wrapped(indices: Value, size: number): Value {
  if (indices.dtype === "u32") return lax.rem(indices, constant(size, "u32"));
  return fromEnd(lax.rem(indices, constant(size, "i32")), size);
}

/** Indices as an integer array; whole numbers and lists of them are one too. */
function integerIndices(name: string, indices: ArrayLike<string>): Value {
  const value = isWhole(indices)
    ? typeof indices === "number"
      ? constant(indices, "i32")
      : arrayFromNested(name, indices as NestedList, { dtype: "i32" })
    : asValue(name, indices);
  if (isInteger(value.dtype)) return withElements(value);
  throw fault("FAX1102", `${name}: the indices are ${value.dtype}, and indices are integers`, {
    operands: [value],
    help: "indices.astype(np.int32)",
  });
}

function isWhole(indices: unknown): boolean {
  return typeof indices === "number" ? Number.isInteger(indices) : Array.isArray(indices) && indices.every(isWhole);
}

/**
 * The elements at `indices` along `axis`, where the indices have as many axes as the array: result `[i, j]` is `x[indices[i, j], j]`
 * for axis 0. The other sizes must agree or be 1.
 *
 * @throws FAX1201 if the shapes do not fit, FAX1102 for indices that are not integers
 * @example np.takeAlongAxis(logits, np.expandDims(labels, 1), 1);
 */
export function takeAlongAxis<P extends string = "server">(
  x: ArrayLike<P>,
  indices: ArrayLike<NoInfer<P>>,
  axis: number,
): NDArray<P> {
  const value = movable("takeAlongAxis", x);
  const given = integerIndices("takeAlongAxis", indices);
  const along = normalizeAxis("takeAlongAxis", axis, value.ndim);
  const others = range(value.ndim).filter((i) => i !== along);
  const common =
    given.ndim === value.ndim
      ? broadcastedShape([value, given].map(({ shape }) => others.map((i) => shape[i] as number)))
      : null;
  if (common === null) {
    throw fault(
      "FAX1201",
      `takeAlongAxis: indices of shape ${formatShape(given.shape)} do not fit an array of shape ${formatShape(value.shape)} along axis ${along}`,
      { operands: [value, given] },
    );
  }
  const withAxis = (size: number): number[] => common.toSpliced(along, 0, size);
  const size = value.shape[along] as number;
  const wanted = spread(fromEnd(given, size), withAxis(given.shape[along] as number));
  const gathered = lax.gather(spread(value, withAxis(size)), lax.expand_dims(wanted, [wanted.ndim]), {
    dimension_numbers: {
      offset_dims: [],
      collapsed_slice_dims: [along],
      start_index_map: [along],
      operand_batching_dims: others,
      start_indices_batching_dims: others,
    },
    slice_sizes: value.shape.map(() => 1),
    mode: "fill",
  });
  return placed(gathered);
}
