/** Comparisons, logic and choice. */
import { constant, lax, type NDArray, sameShape, type Value } from "@fax/compiler";
import { abs, isfinite, isnan } from "./math.ts";
import { multiply, subtract } from "./arithmetic.ts";
import {
  type ArrayLike,
  asValue,
  type Binary,
  broadcast,
  convert,
  placed,
  promote,
  resultType,
  type Unary,
} from "./operand.ts";

function comparison(name: string, operation: (x: Value, y: Value) => Value): Binary {
  return ((x: ArrayLike<string>, y: ArrayLike<string>): Value => {
    const values = promote(name, [asValue(name, x), asValue(name, y)]);
    const [left, right] = broadcast(name, values) as [Value, Value];
    return operation(left, right);
  }) as Binary;
}

/** A number is true unless it is 0; NaN is true. */
export function truth(value: Value): Value {
  const { dtype } = value.aval;
  return dtype === "bool" ? value : lax.ne(value, constant(0, dtype));
}

function logical(name: string, operation: (x: Value, y: Value) => Value): Binary {
  return ((x: ArrayLike<string>, y: ArrayLike<string>): Value => {
    const values = [asValue(name, x), asValue(name, y)].map(truth);
    const [left, right] = broadcast(name, values) as [Value, Value];
    return operation(left, right);
  }) as Binary;
}

/** Where `x = y`, as bool. @example np.equal(np.array([1, 2]), 2); // [false, true] */
export const equal: Binary = comparison("equal", (x, y) => lax.eq(x, y));

/** Where `x ≠ y`, as bool. @example np.notEqual(np.array([1, 2]), 2); // [true, false] */
export const notEqual: Binary = comparison("notEqual", (x, y) => lax.ne(x, y));

/** Where `x < y`, as bool. @example np.less(np.array([1, 2]), 2); // [true, false] */
export const less: Binary = comparison("less", (x, y) => lax.lt(x, y));

/** Where `x ≤ y`, as bool. @example np.lessEqual(np.array([1, 2]), 1); // [true, false] */
export const lessEqual: Binary = comparison("lessEqual", (x, y) => lax.le(x, y));

/** Where `x > y`, as bool. @example np.greater(np.array([1, 2]), 1); // [false, true] */
export const greater: Binary = comparison("greater", (x, y) => lax.gt(x, y));

/** Where `x ≥ y`, as bool. @example np.greaterEqual(np.array([1, 2]), 2); // [false, true] */
export const greaterEqual: Binary = comparison("greaterEqual", (x, y) => lax.ge(x, y));

/** Where both are nonzero. @example np.logicalAnd(np.array([true, false]), true); // [true, false] */
export const logicalAnd: Binary = logical("logicalAnd", (x, y) => lax.and(x, y));

/** Where one of the two or both are nonzero. @example np.logicalOr(np.array([true, false]), false); // [true, false] */
export const logicalOr: Binary = logical("logicalOr", (x, y) => lax.or(x, y));

/** Where exactly one of the two is nonzero. @example np.logicalXor(np.array([true, false]), true); // [false, true] */
export const logicalXor: Binary = logical("logicalXor", (x, y) => lax.xor(x, y));

/** Where `x` is zero. @example np.logicalNot(np.array([true, false])); // [false, true] */
export const logicalNot: Unary = ((x: ArrayLike<string>): Value => lax.not(truth(asValue("logicalNot", x)))) as Unary;

/**
 * `condition ? x : y`, elementwise with broadcasting; a condition that is not bool is true where it is nonzero. The gradient
 * goes to the operand that was chosen.
 *
 * @throws FAX1201 if the shapes do not broadcast
 * @example np.where(np.array([true, false]), np.array([1, 2]), 0); // [1, 0]
 */
export function where<P extends string = "server">(
  condition: ArrayLike<P>,
  x: ArrayLike<NoInfer<P>>,
  y: ArrayLike<NoInfer<P>>,
): NDArray<P> {
  const which = truth(asValue("where", condition));
  const cases = [asValue("where", x), asValue("where", y)];
  const { dtype, weak } = resultType(cases);
  const converted = cases.map((value) => convert("where", value, dtype, weak));
  const [chosen, onTrue, onFalse] = broadcast("where", [which, ...converted]) as [Value, Value, Value];
  return placed(lax.select(chosen, onTrue, onFalse));
}

/** How close counts as close: `|x - y| ≤ atol + rtol · |y|`. */
export interface Tolerance {
  /** Relative to `y`; 1e-5 unless said. */
  readonly rtol?: number;
  /** 1e-8 unless said. */
  readonly atol?: number;
  /** Whether NaN is close to NaN. */
  readonly equalNan?: boolean;
}

/**
 * Where `|x - y| ≤ atol + rtol · |y|`; infinities of one sign are close.
 *
 * @example np.isclose(np.array([1, 2]), np.array([1, 2.1])); // [true, false]
 */
export function isclose<P extends string = "server">(
  x: ArrayLike<P>,
  y: ArrayLike<NoInfer<P>>,
  { rtol = 1e-5, atol = 1e-8, equalNan = false }: Tolerance = {},
): NDArray<P> {
  const [left, right] = promote("isclose", [asValue("isclose", x), asValue("isclose", y)]) as [Value, Value];
  const bound = multiply(rtol, abs(right));
  const near = lessEqual(subtract(abs(subtract(left, right)), bound), atol);
  const finite = logicalAnd(isfinite(left), isfinite(right));
  const close = logicalOr(logicalAnd(finite, near), equal(left, right));
  return placed(equalNan ? logicalOr(close, logicalAnd(isnan(left), isnan(right))) : close);
}

/**
 * Whether all elements are close, as a scalar bool array; see {@link isclose}.
 *
 * @example await np.allclose([1, 2], [1, 2.1]).item(); // false
 */
export function allclose<P extends string = "server">(
  x: ArrayLike<P>,
  y: ArrayLike<NoInfer<P>>,
  tolerance: Tolerance = {},
): NDArray<P> {
  return placed(allOf(isclose(x, y, tolerance)));
}

/**
 * Whether shapes and all elements are equal, as a scalar bool array.
 *
 * @example await np.arrayEqual([1, 2], [1, 2]).item(); // true
 */
export function arrayEqual<P extends string = "server">(x: ArrayLike<P>, y: ArrayLike<NoInfer<P>>): NDArray<P> {
  const [left, right] = [asValue("arrayEqual", x), asValue("arrayEqual", y)];
  if (!sameShape(left.aval.shape, right.aval.shape)) return placed(constant(false, "bool"));
  return placed(allOf(equal(left, right)));
}

function allOf(value: Value): Value {
  return value.aval.shape.length === 0 ? value : lax.reduce_and(value, [...value.aval.shape.keys()]);
}
