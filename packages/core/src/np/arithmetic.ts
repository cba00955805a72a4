/** Elementwise arithmetic on two operands, and on integers and floats alike. */
import { Constant, constant, type DType, isFloat, isInteger, lax, type NDArray, type Value } from "@fax/compiler";
import { fault } from "./fault.ts";
import {
  type ArrayLike,
  asValue,
  type Binary,
  broadcast,
  placed,
  promote,
  promoteToFloat,
  resultType,
  requireDType,
  type Unary,
} from "./operand.ts";

type Operation = (x: Value, y: Value, dtype: DType) => Value;

/** A binary operation after promotion and broadcasting. */
function binary(name: string, operation: Operation, toOneDType = promote): Binary {
  const run = (x: ArrayLike<string>, y: ArrayLike<string>): Value => {
    const values = toOneDType(name, [asValue(name, x), asValue(name, y)]);
    const [left, right] = broadcast(name, values) as [Value, Value];
    return operation(left, right, left.aval.dtype);
  };
  return run as Binary;
}

function numericOnly(name: string, x: Value, y: Value, help: string): void {
  if (x.aval.dtype === "bool") {
    throw fault("FAX1102", `${name}: both operands are bool, and bool has no ${name}`, { operands: [x, y], help });
  }
}

/**
 * `x + y`, elementwise with broadcasting. Two bools give their logical or, as in NumPy.
 *
 * @throws FAX1201 if the shapes do not broadcast, FAX1301 if the placements differ
 * @example np.add(np.array([1, 2]), 0.5); // [1.5, 2.5]
 */
export const add: Binary = binary("add", (x, y, dtype) => (dtype === "bool" ? lax.or(x, y) : lax.add(x, y)));

/**
 * `x - y`, elementwise with broadcasting.
 *
 * @throws FAX1102 for two bools
 * @example np.subtract(np.array([1, 2]), 1); // [0, 1]
 */
export const subtract: Binary = binary("subtract", (x, y) => {
  numericOnly("subtract", x, y, "np.logicalXor(x, y) is where they differ");
  return lax.sub(x, y);
});

/**
 * `x · y`, elementwise with broadcasting. Two bools give their logical and.
 *
 * @example np.multiply(np.array([1, 2]), 3); // [3, 6]
 */
export const multiply: Binary = binary("multiply", (x, y, dtype) => (dtype === "bool" ? lax.and(x, y) : lax.mul(x, y)));

/**
 * `x / y`, always a float: integers and bools are divided as f32.
 *
 * @example np.divide(np.array([1, 2], { dtype: np.int32 }), 2); // f32 [0.5, 1]
 */
export const divide: Binary = binary("divide", (x, y) => lax.div(x, y), promoteToFloat);

/** Another name of {@link divide}, as in NumPy. */
export const trueDivide: Binary = divide;

/**
 * The quotient rounded down to a whole number, in the operands' dtype.
 *
 * @example np.floorDivide(np.array([-7, 7]), 2); // [-4, 3]
 */
export const floorDivide: Binary = binary("floorDivide", (x, y, dtype) => {
  numericOnly("floorDivide", x, y, "convert to np.int32 first");
  if (isFloat(dtype)) return floorDivideFloats(x, y);
  const quotient = lax.div(x, y);
  if (dtype === "u32") return quotient;
  const remains = lax.ne(lax.rem(x, y), constant(0, dtype));
  const opposite = lax.ne(sign(x), sign(y));
  return lax.select(lax.and(remains, opposite), lax.sub(quotient, constant(1, dtype)), quotient);
});

/** A constant's sign is again a constant, which fits every shape. */
function sign(x: Value): Value {
  return x instanceof Constant ? constant(Math.sign(Number(x.value)), x.aval.dtype) : lax.sign(x);
}

/** `(x - remainder) / y` is whole but for rounding, so rounding it loses nothing. */
function floorDivideFloats(x: Value, y: Value): Value {
  return lax.round(lax.div(lax.sub(x, floorMod(x, y)), y));
}

/** The remainder with the sign of the divisor: C's remainder, plus y where the signs differ. */
function floorMod(x: Value, y: Value): Value {
  const truncated = lax.rem(x, y);
  const { dtype } = truncated.aval;
  if (dtype === "u32") return truncated;
  const zero = constant(0, dtype);
  const negative = y instanceof Constant ? constant(Number(y.value) < 0, "bool") : lax.lt(y, zero);
  const opposite = lax.ne(lax.lt(truncated, zero), negative);
  return lax.select(lax.and(opposite, lax.ne(truncated, zero)), lax.add(truncated, y), truncated);
}

/**
 * The remainder of {@link floorDivide}; it has the sign of the divisor (Python's `%`).
 *
 * @example np.remainder(np.array([-7, 7]), 3); // [2, 1]
 */
export const remainder: Binary = binary("remainder", (x, y) => {
  numericOnly("remainder", x, y, "convert to np.int32 first");
  return floorMod(x, y);
});

/** Another name of {@link remainder}, as in NumPy. */
export const mod: Binary = remainder;

/**
 * The remainder with the sign of the dividend (C's `fmod`, JavaScript's `%`).
 *
 * @example np.fmod(np.array([-7, 7]), 3); // [-1, 1]
 */
export const fmod: Binary = binary("fmod", (x, y) => {
  numericOnly("fmod", x, y, "convert to np.int32 first");
  return lax.rem(x, y);
});

/** Whole exponents up to here are repeated products; beyond, `pow` is as exact and shorter. */
const largestProduct = 64;
const exponentBits = 6;

/**
 * `x` to the power of `y`. A whole number as `y` gives repeated products, which are right for negative `x` and exact for
 * integers. Of integers to the power of an integer array, exponents from 0 to 63 are defined.
 *
 * @throws FAX1102 for integers to a negative whole power
 * @example np.power(np.array([1, 2, 3]), 2); // [1, 4, 9]
 */
export const power: Binary = ((x: ArrayLike<string>, y: ArrayLike<string>): Value => {
  const base = asValue("power", x);
  const exponent = asValue("power", y);
  if (!(base instanceof Constant) && exponent instanceof Constant && Number.isInteger(exponent.value)) {
    const whole = exponent.value;
    if (isInteger(base.aval.dtype) && whole < 0) {
      throw fault("FAX1102", `power: ${base.aval.dtype} to the power of ${whole} is no integer`, {
        operands: [base, exponent],
        help: "np.floatPower(x, y), or convert x to np.float32 first",
      });
    }
    const keepsDType = resultType([base, exponent]).dtype === base.aval.dtype;
    if (keepsDType && Math.abs(whole) <= largestProduct) return lax.integer_pow(base, whole);
  }
  const [left, right] = broadcast("power", promote("power", [base, exponent])) as [Value, Value];
  numericOnly("power", left, right, "convert to np.int32 first");
  return isInteger(left.aval.dtype) ? integerPower(left, right) : lax.pow(left, right);
}) as Binary;

/** Binary exponentiation: the product of the squarings of x where y has a bit. */
function integerPower(x: Value, y: Value): Value {
  const { dtype } = x.aval;
  const one = constant(1, dtype);
  const zero = constant(0, dtype);
  let result: Value = one;
  let square = x;
  let rest = y;
  for (let bit = 0; bit < exponentBits; bit++) {
    const odd = lax.ne(lax.and(rest, one), zero);
    result = lax.select(odd, bit === 0 ? square : lax.mul(result, square), result);
    square = lax.mul(square, square);
    rest = lax.shift_right_logical(rest, one);
  }
  return result;
}

/** Another name of {@link power}, as in NumPy 2. */
export const pow: Binary = power;

/**
 * `x` to the power of `y`, always a float.
 *
 * @example np.floatPower(np.array([2], { dtype: np.int32 }), -1); // f32 [0.5]
 */
export const floatPower: Binary = binary("floatPower", (x, y) => lax.pow(x, y), promoteToFloat);

/**
 * The larger of the two, NaN if either is. Where they are equal, half of the gradient goes to each.
 *
 * @example np.maximum(np.array([-1, 2]), 0); // [0, 2]
 */
export const maximum: Binary = binary("maximum", (x, y, dtype) => (dtype === "bool" ? lax.or(x, y) : lax.max(x, y)));

/**
 * The smaller of the two, NaN if either is. Where they are equal, half of the gradient goes to each.
 *
 * @example np.minimum(np.array([-1, 2]), 0); // [-1, 0]
 */
export const minimum: Binary = binary("minimum", (x, y, dtype) => (dtype === "bool" ? lax.and(x, y) : lax.min(x, y)));

/**
 * `√(x² + y²)` without overflow on the way.
 *
 * @example np.hypot(3, 4); // 5
 */
export const hypot: Binary = binary(
  "hypot",
  (x, y, dtype) => {
    const [a, b] = [lax.abs(x), lax.abs(y)];
    const [large, small] = [lax.max(a, b), lax.min(a, b)];
    const zero = lax.eq(large, constant(0, dtype));
    const ratio = lax.div(small, lax.select(zero, constant(1, dtype), large));
    const length = lax.mul(large, lax.sqrt(lax.add(lax.integer_pow(ratio, 2), constant(1, dtype))));
    return lax.select(zero, constant(0, dtype), length);
  },
  promoteToFloat,
);

/**
 * `log(exp(x) + exp(y))` without overflow.
 *
 * @example np.logaddexp(0, 0); // 0.6931472
 */
export const logaddexp: Binary = binary(
  "logaddexp",
  (x, y) => {
    const difference = lax.sub(x, y);
    const finite = lax.is_finite(difference);
    const gap = lax.neg(lax.abs(lax.select(finite, difference, constant(0, x.aval.dtype))));
    const sum = lax.add(lax.max(x, y), lax.log1p(lax.exp(gap)));
    return lax.select(finite, sum, lax.max(x, y));
  },
  promoteToFloat,
);

/**
 * The value of `x` brought between `min` and `max`; null leaves an end open.
 *
 * @example np.clip(np.array([-2, 0.5, 3]), 0, 1); // [0, 0.5, 1]
 */
export function clip<P extends string = "server">(
  x: ArrayLike<P>,
  min: ArrayLike<NoInfer<P>> | null = null,
  max: ArrayLike<NoInfer<P>> | null = null,
): NDArray<P> {
  const value = asValue("clip", x);
  const raised = min === null ? value : (maximum(placed<P>(value), min) as Value);
  return placed(max === null ? raised : (minimum(placed<P>(raised), max) as Value));
}

/** An integer or bool operation on bits. */
function bitwise(name: string, operation: (x: Value, y: Value) => Value): Binary {
  return binary(name, (x, y, dtype) => {
    requireDType(name, [x, y], () => !isFloat(dtype), "integers or bools");
    return operation(x, y);
  });
}

function shift(name: string, operation: Operation): Binary {
  return binary(name, (x, y, dtype) => {
    requireDType(name, [x, y], isInteger, "integers");
    return operation(x, y, dtype);
  });
}

/**
 * The bits that both have; on bools the logical and.
 *
 * @throws FAX1102 for floats
 * @example np.bitwiseAnd(np.array([6], { dtype: np.int32 }), 3); // [2]
 */
export const bitwiseAnd: Binary = bitwise("bitwiseAnd", (x, y) => lax.and(x, y));

/**
 * The bits that either has; on bools the logical or.
 *
 * @throws FAX1102 for floats
 * @example np.bitwiseOr(np.array([6], { dtype: np.int32 }), 3); // [7]
 */
export const bitwiseOr: Binary = bitwise("bitwiseOr", (x, y) => lax.or(x, y));

/**
 * The bits that one of the two has; on bools the logical exclusive or.
 *
 * @throws FAX1102 for floats
 * @example np.bitwiseXor(np.array([6], { dtype: np.int32 }), 3); // [5]
 */
export const bitwiseXor: Binary = bitwise("bitwiseXor", (x, y) => lax.xor(x, y));

/**
 * The bits that `x` has not; on bools the logical not.
 *
 * @throws FAX1102 for floats
 * @example np.bitwiseNot(np.array([0], { dtype: np.int32 })); // [-1]
 */
export const bitwiseNot: Unary = ((x: ArrayLike<string>): Value => {
  const value = asValue("bitwiseNot", x);
  requireDType("bitwiseNot", [value], (dtype) => !isFloat(dtype), "an integer or a bool");
  return lax.not(value);
}) as Unary;

/** Another name of {@link bitwiseNot}, as in NumPy. */
export const invert: Unary = bitwiseNot;

/**
 * `x · 2^y` on integers; bits beyond 32 are lost.
 *
 * @throws FAX1102 for floats and bools
 * @example np.leftShift(np.array([1], { dtype: np.int32 }), 4); // [16]
 */
export const leftShift: Binary = shift("leftShift", (x, y) => lax.shift_left(x, y));

/**
 * `x / 2^y` rounded down: the sign is kept on i32.
 *
 * @throws FAX1102 for floats and bools
 * @example np.rightShift(np.array([-8], { dtype: np.int32 }), 1); // [-4]
 */
export const rightShift: Binary = shift("rightShift", (x, y, dtype) =>
  dtype === "u32" ? lax.shift_right_logical(x, y) : lax.shift_right_arithmetic(x, y),
);
