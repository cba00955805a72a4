/** Elementwise functions of one operand. */
import { constant, type DType, isFloat, lax, type NDArray, type Value } from "@fax/compiler";
import { fault } from "./fault.ts";
import { type ArrayLike, asValue, convert, placed, promoteToFloat, type Unary } from "./operand.ts";

/** A function on floats: integers and bools become f32. */
function onFloats(name: string, operation: (x: Value, dtype: DType) => Value): Unary {
  return ((x: ArrayLike<string>): Value => {
    const [value] = promoteToFloat(name, [asValue(name, x)]) as [Value];
    return operation(value, value.aval.dtype);
  }) as Unary;
}

/** A function that keeps the dtype; `onBool` says what it does to bools. */
function onNumbers(name: string, operation: (x: Value, dtype: DType) => Value, onBool: "keep" | "refuse"): Unary {
  return ((x: ArrayLike<string>): Value => {
    const value = asValue(name, x);
    if (value.aval.dtype !== "bool") return operation(value, value.aval.dtype);
    if (onBool === "keep") return value;
    throw fault("FAX1102", `${name}: the operand is bool, and bool has no ${name}`, {
      operands: [value],
      help: "np.logicalNot(x), or x.astype(np.int32) first",
    });
  }) as Unary;
}

/** A rounding: integers and bools are whole already. */
function rounding(name: string, operation: (x: Value) => Value): Unary {
  return ((x: ArrayLike<string>): Value => {
    const value = asValue(name, x);
    return isFloat(value.aval.dtype) ? operation(value) : value;
  }) as Unary;
}

/** @example np.negative(np.array([1, -2])); // [-1, 2] */
export const negative: Unary = onNumbers("negative", (x) => lax.neg(x), "refuse");

/** `|x|`; its gradient at 0 is 0. @example np.abs(np.array([-1, 2])); // [1, 2] */
export const abs: Unary = onNumbers("abs", (x, dtype) => (dtype === "u32" ? x : lax.abs(x)), "keep");

/** Another name of {@link abs}, as in NumPy. */
export const absolute: Unary = abs;

/** -1, 0 or 1; NaN stays NaN. @example np.sign(np.array([-3, 0, 2])); // [-1, 0, 1] */
export const sign: Unary = onNumbers("sign", (x) => lax.sign(x), "refuse");

/** `x²`. @example np.square(np.array([1, -2])); // [1, 4] */
export const square: Unary = onNumbers("square", (x) => lax.integer_pow(x, 2), "keep");

/** `1 / x`. @example np.reciprocal(np.array([2, 4])); // [0.5, 0.25] */
export const reciprocal: Unary = onFloats("reciprocal", (x, dtype) => lax.div(constant(1, dtype), x));

/** The square root, NaN for negative numbers. @example np.sqrt(np.array([4, 9])); // [2, 3] */
export const sqrt: Unary = onFloats("sqrt", (x) => lax.sqrt(x));

/** The real cube root. @example np.cbrt(np.array([-8, 27])); // [-2, 3] */
export const cbrt: Unary = onFloats("cbrt", (x, dtype) =>
  lax.mul(lax.sign(x), lax.pow(lax.abs(x), constant(1 / 3, dtype))),
);

/** `eˣ`. @example np.exp(0); // 1 */
export const exp: Unary = onFloats("exp", (x) => lax.exp(x));

/** `2ˣ`. @example np.exp2(np.array([3])); // [8] */
export const exp2: Unary = onFloats("exp2", (x, dtype) => lax.exp(lax.mul(x, constant(Math.LN2, dtype))));

/** `eˣ - 1`, exact near 0. @example np.expm1(1e-6); // 1.0000005e-6 */
export const expm1: Unary = onFloats("expm1", (x) => lax.expm1(x));

/** The natural logarithm. @example np.log(np.array([1, Math.E])); // [0, 1] */
export const log: Unary = onFloats("log", (x) => lax.log(x));

/** The logarithm to base 2. @example np.log2(np.array([8])); // [3] */
export const log2: Unary = onFloats("log2", (x, dtype) => lax.div(lax.log(x), constant(Math.LN2, dtype)));

/** The logarithm to base 10. @example np.log10(np.array([1000])); // [3] */
export const log10: Unary = onFloats("log10", (x, dtype) => lax.div(lax.log(x), constant(Math.LN10, dtype)));

/** `log(1 + x)`, exact near 0. @example np.log1p(1e-6); // 9.999995e-7 */
export const log1p: Unary = onFloats("log1p", (x) => lax.log1p(x));

/** @example np.sin(np.array([0, np.pi / 2])); // [0, 1] */
export const sin: Unary = onFloats("sin", (x) => lax.sin(x));

/** @example np.cos(0); // 1 */
export const cos: Unary = onFloats("cos", (x) => lax.cos(x));

/** @example np.tan(0); // 0 */
export const tan: Unary = onFloats("tan", (x) => lax.div(lax.sin(x), lax.cos(x)));

/** The hyperbolic sine, `(e + e/(e + 1)) / 2` with `e = expm1(x)`: exact near 0. @example np.sinh(0); // 0 */
export const sinh: Unary = onFloats("sinh", (x, dtype) => {
  const magnitude = lax.abs(x);
  const half = constant(Math.log(0.5), dtype);
  const large = lax.sub(lax.exp(lax.add(x, half)), lax.exp(lax.sub(half, x)));
  const isSmall = lax.lt(magnitude, constant(1, dtype));
  // The branch that is not taken must stay finite, or its gradient would be NaN.
  const e = lax.expm1(lax.select(isSmall, x, constant(0, dtype)));
  const small = lax.mul(constant(0.5, dtype), lax.add(e, lax.div(e, lax.add(e, constant(1, dtype)))));
  return lax.select(isSmall, small, large);
});

/** The hyperbolic cosine. @example np.cosh(0); // 1 */
export const cosh: Unary = onFloats("cosh", (x, dtype) => {
  const half = constant(Math.log(0.5), dtype);
  return lax.add(lax.exp(lax.add(x, half)), lax.exp(lax.sub(half, x)));
});

/** @example np.tanh(0); // 0 */
export const tanh: Unary = onFloats("tanh", (x) => lax.tanh(x));

/** The inverse of {@link sinh}: `sign(x) · log(|x| + √(x² + 1))`. @example np.arcsinh(0); // 0 */
export const arcsinh: Unary = onFloats("arcsinh", (x, dtype) => {
  const one = constant(1, dtype);
  const a = lax.abs(x);
  // |x| + x²/(1 + √(x² + 1)) is |x| + √(x² + 1) - 1 without cancellation.
  const square = lax.mul(a, a);
  const root = lax.add(one, lax.sqrt(lax.add(square, one)));
  return lax.mul(lax.sign(x), lax.log1p(lax.add(a, lax.div(square, root))));
});

/** The inverse of {@link cosh} for x ≥ 1. @example np.arccosh(1); // 0 */
export const arccosh: Unary = onFloats("arccosh", (x, dtype) => {
  const excess = lax.sub(x, constant(1, dtype));
  return lax.log1p(lax.add(excess, lax.sqrt(lax.mul(excess, lax.add(x, constant(1, dtype))))));
});

/** The inverse of {@link tanh} on (-1, 1). @example np.arctanh(0); // 0 */
export const arctanh: Unary = onFloats("arctanh", (x, dtype) =>
  lax.mul(constant(0.5, dtype), lax.sub(lax.log1p(x), lax.log1p(lax.neg(x)))),
);

/** Degrees of an angle in radians. @example np.degrees(np.pi); // 180 */
export const degrees: Unary = onFloats("degrees", (x, dtype) => lax.mul(x, constant(180 / Math.PI, dtype)));

/** Radians of an angle in degrees. @example np.radians(180); // 3.1415927 */
export const radians: Unary = onFloats("radians", (x, dtype) => lax.mul(x, constant(Math.PI / 180, dtype)));

/** @example np.floor(np.array([-0.5, 0.5])); // [-1, 0] */
export const floor: Unary = rounding("floor", (x) => lax.floor(x));

/** @example np.ceil(np.array([-0.5, 0.5])); // [0, 1] */
export const ceil: Unary = rounding("ceil", (x) => lax.ceil(x));

/** Rounds toward zero. @example np.trunc(np.array([-1.5, 1.5])); // [-1, 1] */
export const trunc: Unary = rounding("trunc", (x) =>
  lax.select(lax.lt(x, constant(0, x.aval.dtype)), lax.ceil(x), lax.floor(x)),
);

/** Rounds to the nearest whole number, halves to even. @example np.rint(np.array([0.5, 1.5])); // [0, 2] */
export const rint: Unary = rounding("rint", (x) => lax.round(x));

/**
 * Rounds to a number of decimals, halves to even.
 *
 * @example np.round(np.array([1.26, 2.5]), 1); // [1.3, 2.5]
 */
export function round<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | { readonly decimals?: number } = {},
): NDArray<P> {
  const decimals = typeof options === "number" ? options : (options.decimals ?? 0);
  const value = asValue("round", x);
  const { dtype } = value.aval;
  if (!isFloat(dtype)) return placed(value);
  if (decimals === 0) return placed(lax.round(value));
  const scale = constant(10 ** Math.abs(decimals), dtype);
  const shifted = decimals > 0 ? lax.mul(value, scale) : lax.div(value, scale);
  const rounded = lax.round(shifted);
  return placed(decimals > 0 ? lax.div(rounded, scale) : lax.mul(rounded, scale));
}

/** Another name of {@link round}, as in NumPy. */
export const around = round;

const exponentMask = 0x7f800000;
const magnitudeMask = 0x7fffffff;

/**
 * Compares the bits of |x| with those of infinity: shader compilers may assume that NaN and infinities don't occur, and fold
 * comparisons of floats away.
 */
function classify(name: string, compare: (magnitude: Value, infinity: Value) => Value): Unary {
  return ((x: ArrayLike<string>): Value => {
    const [value] = promoteToFloat(name, [asValue(name, x)]) as [Value];
    const bits = lax.bitcast_convert_type(convert(name, value, "f32"), "u32");
    return compare(lax.and(bits, constant(magnitudeMask, "u32")), constant(exponentMask, "u32"));
  }) as Unary;
}

/** Where `x` is NaN, as bool. @example np.isnan(np.array([NaN, 1])); // [true, false] */
export const isnan: Unary = classify("isnan", (magnitude, infinity) => lax.gt(magnitude, infinity));

/** Where `x` is infinite, as bool. @example np.isinf(np.array([-Infinity, 1])); // [true, false] */
export const isinf: Unary = classify("isinf", (magnitude, infinity) => lax.eq(magnitude, infinity));

/** Where `x` is neither NaN nor infinite, as bool. @example np.isfinite(np.array([NaN, 1])); // [false, true] */
export const isfinite: Unary = classify("isfinite", (magnitude, infinity) => lax.lt(magnitude, infinity));

const largest = { f32: 3.4028234663852886e38, f16: 65504 } as const;

/**
 * NaN replaced by `nan`, infinities by `posinf` and `neginf`: by the largest finite numbers unless said.
 *
 * @example np.nanToNum(np.array([NaN, 1])); // [0, 1]
 */
export function nanToNum<P extends string = "server">(
  x: ArrayLike<P>,
  options: { readonly nan?: number; readonly posinf?: number; readonly neginf?: number } = {},
): NDArray<P> {
  const value = asValue("nanToNum", x);
  const { dtype } = value.aval;
  if (dtype !== "f32" && dtype !== "f16") return placed(value);
  const { nan = 0, posinf = largest[dtype], neginf = -largest[dtype] } = options;
  const infinite = isinf(value) as Value;
  const bound = lax.select(lax.gt(value, constant(0, dtype)), constant(posinf, dtype), constant(neginf, dtype));
  const finite = lax.select(infinite, bound, value);
  return placed(lax.select(isnan(value) as Value, constant(nan, dtype), finite));
}
