/** Reductions over axes. Sums of bools count; means of integers are f32. */
import { constant, lax, type NDArray, range, sizeOf, type Value } from "@fax/compiler";
import { normalizeAxes, normalizeAxis } from "./axis.ts";
import { divide, multiply, subtract } from "./arithmetic.ts";
import { type DTypeLike, resolveDType } from "./dtype.ts";
import { fault, formatShape } from "./fault.ts";
import { truth } from "./logic.ts";
import { sqrt } from "./math.ts";
import { type ArrayLike, asValue, convert, placed, promoteToFloat, withElements } from "./operand.ts";

export interface ReductionOptions {
  /** The axes that disappear; all of them unless said. */
  readonly axis?: number | readonly number[] | null | undefined;
  /** Whether reduced axes stay, with size 1. */
  readonly keepdims?: boolean | undefined;
}

/** Options of a reduction, or its axis alone, as NumPy takes it by position. */
export type AxisOrOptions<Options extends ReductionOptions = ReductionOptions> =
  number | readonly number[] | null | Options;

export interface SumOptions extends ReductionOptions {
  /** The dtype that is summed and given; the operand's unless said (bools count as i32). */
  readonly dtype?: DTypeLike | undefined;
}

export interface SpreadOptions extends ReductionOptions {
  /** "Delta degrees of freedom": the sum of squares is divided by `n - ddof`. 0 unless said. */
  readonly ddof?: number | undefined;
}

function optionsOf<Options extends ReductionOptions>(given: AxisOrOptions<Options>): Options {
  const isAxis = given === null || typeof given === "number" || Array.isArray(given);
  return (isAxis ? { axis: given } : given) as Options;
}

/** `operation` over the axes that `given` names, with the axes kept if it asks so. */
function reduceOver(
  name: string,
  value: Value,
  given: AxisOrOptions,
  operation: (x: Value, axes: readonly number[]) => Value,
): Value {
  const { axis, keepdims = false } = optionsOf(given);
  const full = withElements(value);
  const { shape } = full.aval;
  const axes = normalizeAxes(name, axis, shape.length);
  const reduced = axes.length === 0 ? full : operation(full, axes);
  return keepdims && axes.length > 0 ? lax.reshape(reduced, keptShape(shape, axes)) : reduced;
}

function keptShape(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}

/** How many elements go into one result. */
function countOver(name: string, value: Value, given: AxisOrOptions): number {
  const { shape } = value.aval;
  return sizeOf(normalizeAxes(name, optionsOf(given).axis, shape.length).map((axis) => shape[axis] as number));
}

function summable(name: string, x: ArrayLike<string>, dtype: DTypeLike | undefined): Value {
  const value = asValue(name, x);
  if (dtype !== undefined) return convert(name, value, resolveDType(name, dtype));
  return value.aval.dtype === "bool" ? convert(name, value, "i32") : value;
}

/**
 * The sum over `axis`; 0 over nothing. f16 is summed in f32.
 *
 * @throws FAX1202 for an axis that the array does not have
 * @example np.sum(np.array([[1, 2], [3, 4]]), { axis: 0, keepdims: true }); // [[4, 6]]
 */
export function sum<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions<SumOptions> = {}): NDArray<P> {
  const { dtype } = optionsOf(options);
  return placed(reduceOver("sum", summable("sum", x, dtype), options, (v, axes) => lax.reduce_sum(v, axes)));
}

/**
 * The product over `axis`; 1 over nothing.
 *
 * @example np.prod(np.array([2, 3, 4])); // 24
 */
export function prod<P extends string = "server">(
  x: ArrayLike<P>,
  options: AxisOrOptions<SumOptions> = {},
): NDArray<P> {
  const { dtype } = optionsOf(options);
  return placed(reduceOver("prod", summable("prod", x, dtype), options, (v, axes) => lax.reduce_prod(v, axes)));
}

/**
 * The mean over `axis`, a float; NaN over nothing.
 *
 * @example np.mean(np.array([[1, 2], [3, 4]]), 0); // [2, 3]
 */
export function mean<P extends string = "server">(
  x: ArrayLike<P>,
  options: AxisOrOptions<SumOptions> = {},
): NDArray<P> {
  return placed(meanOf("mean", floats("mean", x, optionsOf(options).dtype), options));
}

function floats(name: string, x: ArrayLike<string>, dtype?: DTypeLike): Value {
  const value = asValue(name, x);
  if (dtype !== undefined) return convert(name, value, resolveDType(name, dtype));
  return promoteToFloat(name, [value])[0] as Value;
}

function meanOf(name: string, value: Value, options: AxisOrOptions): Value {
  const total = reduceOver(name, value, options, (v, axes) => lax.reduce_sum(v, axes));
  return divide(total, countOver(name, value, options)) as Value;
}

/**
 * The mean of the squared distances from the mean over `axis`.
 *
 * @example np.var(np.array([1, 2, 3, 4]), { ddof: 1 }); // 1.6666667
 */
export function variance<P extends string = "server">(
  x: ArrayLike<P>,
  options: AxisOrOptions<SpreadOptions> = {},
): NDArray<P> {
  return placed(varianceOf("var", floats("var", x), optionsOf(options)));
}

function varianceOf(name: string, value: Value, options: SpreadOptions): Value {
  const { axis, ddof = 0 } = options;
  const centred = subtract(value, meanOf(name, value, { axis, keepdims: true }));
  const total = reduceOver(name, lax.integer_pow(centred, 2), options, (v, axes) => lax.reduce_sum(v, axes));
  return divide(total, Math.max(countOver(name, value, options) - ddof, 0)) as Value;
}

/**
 * The square root of the variance over `axis`.
 *
 * @example np.std(np.array([1, 2, 3, 4])); // 1.118034
 */
export function std<P extends string = "server">(
  x: ArrayLike<P>,
  options: AxisOrOptions<SpreadOptions> = {},
): NDArray<P> {
  return placed(sqrt(varianceOf("std", floats("std", x), optionsOf(options))));
}

/** A reduction that nothing is neutral to. */
function extremum(
  name: string,
  x: ArrayLike<string>,
  options: AxisOrOptions,
  onNumbers: (x: Value, axes: readonly number[]) => Value,
  onBools: (x: Value, axes: readonly number[]) => Value,
): Value {
  const value = asValue(name, x);
  requireElements(name, value, countOver(name, value, options));
  return reduceOver(name, value, options, value.aval.dtype === "bool" ? onBools : onNumbers);
}

function requireElements(name: string, value: Value, count: number): void {
  if (count > 0) return;
  throw fault(
    "FAX1203",
    `${name}: there is no ${name} of nothing, and the operand has the shape ${formatShape(value.aval.shape)}`,
    {
      operands: [value],
    },
  );
}

/**
 * The largest element over `axis`, NaN if there is one. Equal largest elements share the gradient.
 *
 * @throws FAX1203 over nothing
 * @example np.max(np.array([[1, 2], [4, 3]]), 1); // [2, 4]
 */
export function max<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions = {}): NDArray<P> {
  return placed(
    extremum(
      "max",
      x,
      options,
      (v, axes) => lax.reduce_max(v, axes),
      (v, axes) => lax.reduce_or(v, axes),
    ),
  );
}

/**
 * The smallest element over `axis`, NaN if there is one. Equal smallest elements share the gradient.
 *
 * @throws FAX1203 over nothing
 * @example np.min(np.array([[1, 2], [4, 3]]), 1); // [1, 3]
 */
export function min<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions = {}): NDArray<P> {
  return placed(
    extremum(
      "min",
      x,
      options,
      (v, axes) => lax.reduce_min(v, axes),
      (v, axes) => lax.reduce_and(v, axes),
    ),
  );
}

/** Another name of {@link max}, as in NumPy. */
export const amax = max;

/** Another name of {@link min}, as in NumPy. */
export const amin = min;

/** The largest less the smallest element over `axis`. @example np.ptp(np.array([1, 5, 3])); // 4 */
export function ptp<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions = {}): NDArray<P> {
  return placed(subtract(max(x, options) as Value, min(x, options) as Value));
}

/** Whether any element is nonzero, as bool; false over nothing. @example np.any(np.array([[false, true], [false, false]]), { axis: 1 }); // [true, false] */
export function any<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions = {}): NDArray<P> {
  return placed(reduceOver("any", truth(asValue("any", x)), options, (v, axes) => lax.reduce_or(v, axes)));
}

/** Whether all elements are nonzero, as bool; true over nothing. @example np.all(np.greater(np.array([1, 2]), 0)); // true */
export function all<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions = {}): NDArray<P> {
  return placed(reduceOver("all", truth(asValue("all", x)), options, (v, axes) => lax.reduce_and(v, axes)));
}

/** How many elements are nonzero, as i32. @example np.countNonzero(np.array([0, 3, 5])); // 2 */
export function countNonzero<P extends string = "server">(x: ArrayLike<P>, options: AxisOrOptions = {}): NDArray<P> {
  return sum(placed<P>(truth(asValue("countNonzero", x))), options);
}

/** One axis, or null for the flat array. */
export interface ArgOptions {
  readonly axis?: number | null | undefined;
  readonly keepdims?: boolean | undefined;
}

function position(
  name: string,
  x: ArrayLike<string>,
  given: number | null | ArgOptions,
  operation: (x: Value, axis: number) => Value,
): Value {
  const { axis = null, keepdims = false } = typeof given === "object" && given !== null ? given : { axis: given };
  const value = withElements(asValue(name, x));
  const numbers = value.aval.dtype === "bool" ? lax.convert_element_type(value, "i32") : value;
  const { shape } = value.aval;
  const flat = axis === null ? lax.reshape(numbers, [sizeOf(shape)]) : numbers;
  const along = normalizeAxis(name, axis ?? 0, flat.aval.shape.length);
  requireElements(name, value, flat.aval.shape[along] as number);
  const result = operation(flat, along);
  if (!keepdims) return result;
  return lax.reshape(result, keptShape(shape, axis === null ? range(shape.length) : [along]));
}

/**
 * The index of the first largest element along `axis` (of the flat array unless said), as i32; NaN counts as largest.
 *
 * @throws FAX1203 over nothing
 * @example np.argmax(np.array([[1, 3, 2], [9, 7, 8]]), -1); // [1, 0]
 */
export function argmax<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | null | ArgOptions = {},
): NDArray<P> {
  return placed(position("argmax", x, options, (v, axis) => lax.argmax(v, axis)));
}

/**
 * The index of the first smallest element along `axis` (of the flat array unless said), as i32; NaN counts as smallest.
 *
 * @throws FAX1203 over nothing
 * @example np.argmin(np.array([3, 1, 2])); // 1
 */
export function argmin<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | null | ArgOptions = {},
): NDArray<P> {
  return placed(position("argmin", x, options, (v, axis) => lax.argmin(v, axis)));
}

export interface AverageOptions<P extends string = "server"> extends ReductionOptions {
  /** Of the shape of the array, or of the one axis that is averaged over. */
  readonly weights?: ArrayLike<P> | undefined;
}

/**
 * The weighted mean over `axis`; the plain mean without weights. NaN where the weights sum to 0.
 *
 * @throws FAX1201 for weights of another shape
 * @example np.average(np.array([1, 3]), { weights: [3, 1] }); // 1.5
 */
export function average<P extends string = "server">(
  x: ArrayLike<P>,
  options: AxisOrOptions<AverageOptions<NoInfer<P>>> = {},
): NDArray<P> {
  const { weights, ...reduction } = optionsOf<AverageOptions<P>>(options);
  if (weights === undefined) return mean(x, reduction);
  const [value, weight] = promoteToFloat("average", [asValue("average", x), asValue("average", weights)]) as [
    Value,
    Value,
  ];
  const factors = alignWeights(withElements(weight), value, reduction.axis);
  const total = sum(factors, reduction);
  return placed(divide(sum(multiply(value, factors) as Value, reduction), total));
}

function alignWeights(weight: Value, value: Value, axis: ReductionOptions["axis"]): Value {
  const { shape } = value.aval;
  const [length, ...more] = weight.aval.shape;
  const axes = normalizeAxes("average", axis, shape.length);
  if (weight.aval.shape.length === shape.length && weight.aval.shape.every((size, i) => size === shape[i]))
    return weight;
  const [along] = axes;
  if (along === undefined || axes.length > 1 || more.length > 0 || length !== shape[along]) {
    throw fault(
      "FAX1201",
      `average: weights of shape ${formatShape(weight.aval.shape)} do not fit an array of shape ${formatShape(shape)}`,
      { help: "weights have the array's shape, or the length of the one axis that is averaged over" },
    );
  }
  return lax.broadcast_in_dim(weight, shape, [along]);
}

export interface CumulativeOptions {
  /** The flat array unless said. */
  readonly axis?: number | null | undefined;
  readonly dtype?: DTypeLike | undefined;
}

/**
 * Prefix combinations in log₂(n) steps, each adding what lies 2^k elements before (Hillis and Steele, "Data parallel
 * algorithms", 1986): every step is one elementwise operation on shifted arrays.
 */
function cumulative(
  name: string,
  x: ArrayLike<string>,
  given: number | null | CumulativeOptions,
  neutral: number,
  operation: (x: Value, y: Value) => Value,
): Value {
  const { axis = null, dtype } = typeof given === "object" && given !== null ? given : { axis: given };
  const value = withElements(summable(name, x, dtype));
  let result = axis === null ? lax.reshape(value, [sizeOf(value.aval.shape)]) : value;
  const { shape } = result.aval;
  const along = normalizeAxis(name, axis ?? 0, shape.length);
  const length = shape[along] as number;
  const fillValue = constant(neutral, result.aval.dtype);
  for (let distance = 1; distance < length; distance *= 2) {
    const config = shape.map((_, i) => (i === along ? ([distance, -distance, 0] as const) : ([0, 0, 0] as const)));
    result = operation(result, lax.pad(result, fillValue, config));
  }
  return result;
}

/** The sums of all prefixes along `axis` (of the flat array unless said). @example np.cumsum(np.array([1, 2, 3])); // [1, 3, 6] */
export function cumsum<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | null | CumulativeOptions = {},
): NDArray<P> {
  return placed(cumulative("cumsum", x, options, 0, (a, b) => lax.add(a, b)));
}

/** The products of all prefixes along `axis` (of the flat array unless said). @example np.cumprod(np.array([1, 2, 3])); // [1, 2, 6] */
export function cumprod<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | null | CumulativeOptions = {},
): NDArray<P> {
  return placed(cumulative("cumprod", x, options, 1, (a, b) => lax.mul(a, b)));
}
