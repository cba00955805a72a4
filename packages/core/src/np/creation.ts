/** Arrays from data, and arrays made from nothing. What is made inside a map lies at the map's group. */
import {
  allocateData,
  constant,
  type DType,
  isFloat,
  isInteger,
  lax,
  type NDArray,
  NDArray as ArrayClass,
  type Shape,
  type Value,
} from "@fax/compiler";
import { add, multiply } from "./arithmetic.ts";
import { checkShape, inferShape } from "./axis.ts";
import { type DTypeLike, resolveDType } from "./dtype.ts";
import { fault } from "./fault.ts";
import { arrayFromNested, converter, fromData, type NestedList, type TypedArray } from "./from-host.ts";
import { type ArrayLike, asValue, beside, convert, placed, spread } from "./operand.ts";

export interface ArrayOptions {
  readonly dtype?: DTypeLike | undefined;
  /** How the values are arranged, in row-major order; as they are nested unless said. */
  readonly shape?: Shape | undefined;
}

export interface DTypeOption {
  readonly dtype?: DTypeLike | undefined;
}

/**
 * An array of the given values: numbers, booleans, (nested) lists of them, typed arrays, or an array.
 *
 * Without a `dtype`, booleans give bool and numbers give f32: JavaScript has one type of number, so a list of whole numbers is
 * f32 too. Typed arrays give their own kind: `Int32Array` i32, `Uint32Array` and `Uint8Array` u32, `Float32Array` and
 * `Float64Array` f32. The data is copied.
 *
 * @throws FAX1101 for a dtype that does not exist, FAX1201 for rows of different lengths, FAX1203 for a shape of another
 *   size, FAX1003 for anything that is not data
 * @example np.array([[1, 2], [3, 4]]); // f32[2,2]
 * @example np.array(new Uint8Array(6), { dtype: np.float32, shape: [2, 3] }); // f32[2,3]
 */
export function array<P extends string = "server">(
  values: NDArray<P> | number | boolean | NestedList | TypedArray,
  options: ArrayOptions = {},
): NDArray<P> {
  const dtype = options.dtype === undefined ? undefined : resolveDType("array", options.dtype);
  if (values instanceof ArrayClass) {
    const converted = dtype === undefined ? values : convert("array", values, dtype);
    return placed(
      options.shape === undefined
        ? converted
        : lax.reshape(converted, inferShape("array", options.shape, converted.size)),
    );
  }
  if (typeof values === "number" || typeof values === "boolean") {
    const shape = options.shape === undefined ? [] : inferShape("array", options.shape, 1);
    return placed(scalar(values, dtype ?? (typeof values === "number" ? "f32" : "bool"), shape));
  }
  const shape = options.shape === undefined ? undefined : knownShape(options.shape, values);
  return placed(arrayFromNested("array", values, { dtype, shape }));
}

function knownShape(shape: Shape, values: NestedList | TypedArray): Shape {
  return shape.includes(-1) ? inferShape("array", shape, countLeaves(values)) : checkShape("array", shape);
}

function countLeaves(values: NestedList | TypedArray): number {
  if (!Array.isArray(values)) return (values as TypedArray).length;
  return (values as NestedList).reduce<number>(
    (count, value) => count + (typeof value === "number" || typeof value === "boolean" ? 1 : countLeaves(value)),
    0,
  );
}

function scalar(value: number | boolean, dtype: DType, shape: Shape): Value {
  const data = allocateData(dtype, 1);
  data[0] = converter(dtype)(Number(value));
  return fromData(dtype, shape, data);
}

/** {@link array}, which keeps arrays as they are anyway. */
export const asarray = array;

/**
 * `x` in another dtype. Floats become integers by dropping the fraction; numbers become bools by asking whether they are nonzero.
 *
 * @throws FAX1101 for a dtype that does not exist
 * @example np.astype(np.array([1.5, -1.5]), np.int32); // i32 [1, -1]
 */
export function astype<P extends string = "server">(x: ArrayLike<P>, dtype: DTypeLike): NDArray<P> {
  return placed(convert("astype", asValue("astype", x), resolveDType("astype", dtype)));
}

/** Zeros of a shape, f32 unless said. @example np.zeros([2, 3]); // f32[2,3] */
export function zeros(shape: number | Shape, options: DTypeLike | DTypeOption = {}): NDArray {
  return placed(filled("zeros", shape, 0, options));
}

/** Ones of a shape, f32 unless said. @example np.ones([2, 3], { dtype: np.int32 }); // i32[2,3] */
export function ones(shape: number | Shape, options: DTypeLike | DTypeOption = {}): NDArray {
  return placed(filled("ones", shape, 1, options));
}

/** An array whose values do not matter; here they are zeros. @example np.empty([2, 3]); // f32[2,3] */
export function empty(shape: number | Shape, options: DTypeLike | DTypeOption = {}): NDArray {
  return placed(filled("empty", shape, 0, options));
}

/**
 * `value`, a number or an array that broadcasts to `shape`, over a shape.
 *
 * @example np.full([2], 7); // [7, 7]
 */
export function full<P extends string = "server">(
  shape: number | Shape,
  value: ArrayLike<P>,
  options: DTypeLike | DTypeOption = {},
): NDArray<P> {
  if (typeof value === "number" || typeof value === "boolean") {
    const dtype = dtypeOption("full", options, typeof value === "number" ? "f32" : "bool");
    return placed(filled("full", shape, Number(value), dtype));
  }
  const operand = asValue("full", value);
  return placed(
    spread(convert("full", operand, dtypeOption("full", options, operand.aval.dtype)), checkShape("full", shape)),
  );
}

function dtypeOption(name: string, options: DTypeLike | DTypeOption, otherwise: DType): DType {
  const asked = typeof options === "string" ? options : options.dtype;
  return asked === undefined ? otherwise : resolveDType(name, asked);
}

function filled(name: string, shape: number | Shape, value: number, options: DTypeLike | DTypeOption): Value {
  return lax.full(checkShape(name, shape), value, dtypeOption(name, options, "f32"));
}

export interface LikeOptions extends DTypeOption {
  readonly shape?: Shape | undefined;
}

function filledLike(name: string, x: ArrayLike<string>, value: number, options: LikeOptions): Value {
  const like = asValue(name, x);
  const shape = options.shape === undefined ? like.aval.shape : checkShape(name, options.shape);
  return beside(like, () => lax.full(shape, value, dtypeOption(name, options, like.aval.dtype)));
}

/** Zeros of the shape, dtype and placement of `x`. @example np.zerosLike(np.array([1, 2])); // [0, 0] */
export function zerosLike<P extends string = "server">(x: ArrayLike<P>, options: LikeOptions = {}): NDArray<P> {
  return placed(filledLike("zerosLike", x, 0, options));
}

/** Ones of the shape, dtype and placement of `x`. @example np.onesLike(np.array([1, 2])); // [1, 1] */
export function onesLike<P extends string = "server">(x: ArrayLike<P>, options: LikeOptions = {}): NDArray<P> {
  return placed(filledLike("onesLike", x, 1, options));
}

/** `value` over the shape, dtype and placement of `x`. @example np.fullLike(np.array([1, 2]), 0.1); // [0.1, 0.1] */
export function fullLike<P extends string = "server">(
  x: ArrayLike<P>,
  value: number,
  options: LikeOptions = {},
): NDArray<P> {
  return placed(filledLike("fullLike", x, value, options));
}

/**
 * `start, start + step, …` up to but without `stop`; `arange(stop)` starts at 0. i32 if all three are whole numbers, else f32.
 *
 * @throws FAX1203 for a step of 0
 * @example np.arange(3); // i32 [0, 1, 2]
 * @example np.arange(0, 1, 0.25); // f32 [0, 0.25, 0.5, 0.75]
 */
export function arange(stop: number, options?: DTypeOption): NDArray;
export function arange(start: number, stop: number, options?: DTypeOption): NDArray;
export function arange(start: number, stop: number, step: number, options?: DTypeOption): NDArray;
export function arange(first: number, ...rest: (number | DTypeOption | undefined)[]): NDArray {
  const numbers = rest.filter((value) => typeof value === "number");
  const options = rest.find((value) => typeof value === "object") ?? {};
  const [start, stop, step] = numbers[0] === undefined ? [0, first, 1] : [first, numbers[0], numbers[1] ?? 1];
  if (step === 0 || ![start, stop, step].every(Number.isFinite)) {
    throw fault("FAX1203", `arange: there are no numbers from ${start} to ${stop} in steps of ${step}`);
  }
  const dtype = dtypeOption("arange", options, [start, stop, step].every(Number.isInteger) ? "i32" : "f32");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  const counter = lax.iota(
    isInteger(dtype) && Number.isInteger(step) ? dtype : isFloat(dtype) ? dtype : "f32",
    [length],
    0,
  );
  const scaled = step === 1 ? counter : lax.mul(counter, constant(step, counter.aval.dtype));
  const shifted = start === 0 ? scaled : lax.add(scaled, constant(start, counter.aval.dtype));
  return placed(convert("arange", shifted, dtype));
}

export interface LinspaceOptions extends DTypeOption {
  /** How many; 50 unless said. */
  readonly num?: number | undefined;
  /** Whether `stop` is the last one; true unless said. */
  readonly endpoint?: boolean | undefined;
}

/**
 * Evenly spaced numbers from `start` to `stop`, both exact.
 *
 * @example np.linspace(0, 1, 5); // [0, 0.25, 0.5, 0.75, 1]
 */
export function linspace(start: number, stop: number, options: number | LinspaceOptions = {}): NDArray {
  const { num = 50, endpoint = true, dtype } = typeof options === "number" ? { num: options } : options;
  const [length] = checkShape("linspace", num) as [number];
  const last = Math.max(endpoint ? length - 1 : length, 1);
  const share = lax.div(lax.iota("f32", [length], 0), constant(last, "f32"));
  const rest = lax.sub(constant(1, "f32"), share);
  const values = add(multiply(rest, start) as Value, multiply(share, stop) as Value);
  return placed(convert("linspace", values, resolveDType("linspace", dtype ?? "f32")));
}

export interface EyeOptions extends DTypeOption {
  /** Which diagonal: 0 is the main one, positive ones lie above it. */
  readonly k?: number | undefined;
}

/**
 * Ones on a diagonal, zeros elsewhere: `eye(n)` is n × n, `eye(n, m)` n × m.
 *
 * @example np.eye(2); // [[1, 0], [0, 1]]
 */
export function eye(n: number, m: number | EyeOptions = n, options: EyeOptions = {}): NDArray {
  const [columns, { k = 0, dtype }] = typeof m === "number" ? [m, options] : [n, m];
  const onDiagonal = compareDiagonal(checkShape("eye", [n, columns]), k, (row, column) => lax.eq(row, column));
  return placed(convert("eye", onDiagonal, resolveDType("eye", dtype ?? "f32")));
}

/** The identity matrix. @example np.identity(2); // [[1, 0], [0, 1]] */
export function identity(n: number, options: DTypeOption = {}): NDArray {
  return eye(n, n, options);
}

/**
 * Ones at and below a diagonal, zeros above.
 *
 * @example np.tri(3); // [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
 */
export function tri(n: number, m: number | EyeOptions = n, options: EyeOptions = {}): NDArray {
  const [columns, { k = 0, dtype }] = typeof m === "number" ? [m, options] : [n, m];
  const below = compareDiagonal(checkShape("tri", [n, columns]), k, (row, column) => lax.ge(row, column));
  return placed(convert("tri", below, resolveDType("tri", dtype ?? "f32")));
}

/** Compares the row, moved by `k`, with the column at each place of a matrix. */
export function compareDiagonal(shape: Shape, k: number, compare: (row: Value, column: Value) => Value): Value {
  const row = lax.iota("i32", shape, 0);
  const moved = k === 0 ? row : lax.add(row, constant(k, "i32"));
  return compare(moved, lax.iota("i32", shape, 1));
}
