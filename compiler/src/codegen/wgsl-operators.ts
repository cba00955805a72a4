/** One operation on values in registers as WGSL text, per dtype, with the meaning that `lower/expr.ts` gives it. */
import { InternalError, invariant } from "../diagnostics/index.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import type { BinaryFn, Reducer, UnaryFn } from "../lower/expr.ts";
import { infixSymbols } from "../lower/print-expr.ts";
import { literal, registerType } from "./wgsl-literal.ts";
import type { Lanes, MathLibrary } from "./wgsl-math.ts";

/** Operations whose exact result of f16 operands is an f16. */
export function isExactInF16(fn: UnaryFn | BinaryFn): boolean {
  return ["neg", "abs", "sign", "floor", "ceil", "round", "max", "min", "rem"].includes(fn);
}

const mathUnary: ReadonlySet<UnaryFn> = new Set([
  "exp",
  "log",
  "log1p",
  "expm1",
  "sin",
  "cos",
  "tanh",
  "logistic",
  "sqrt",
  "rsqrt",
  "erf",
]);

export function unaryText(fn: UnaryFn, dtype: DType, x: string, lanes: Lanes, math: MathLibrary): string {
  const type = registerType(dtype, lanes);
  if (mathUnary.has(fn)) {
    invariant(isFloat(dtype), `${fn} of ${dtype}`);
    return `${math.use(fn, lanes)}(${x})`;
  }
  switch (fn) {
    case "neg":
      return dtype === "u32" ? `(~${x} + ${type}(1u))` : `(-${x})`;
    case "abs":
      return dtype === "u32" ? x : `abs(${x})`;
    case "sign":
      if (isFloat(dtype)) return `${math.use("sign_float", lanes)}(${x})`;
      return dtype === "u32" ? `min(${x}, ${type}(1u))` : `sign(${x})`;
    case "floor":
    case "ceil":
    case "round":
      return isFloat(dtype) ? `${fn}(${x})` : x;
    case "not":
      return dtype === "bool" ? `(!${x})` : `(~${x})`;
    case "is_nan":
    case "is_finite":
      return `${math.use(fn, lanes)}(${x})`;
    default:
      throw new InternalError(`${fn} has no WGSL`);
  }
}

interface BinaryOptions {
  readonly lanes: Lanes;
  /** Both operands are the same expression. */
  readonly same: boolean;
  /** The second operand if it is a constant. */
  readonly constant: number | null;
  readonly math: MathLibrary;
}

export function binaryText(
  fn: BinaryFn,
  dtype: DType,
  { x, y }: { x: string; y: string },
  options: BinaryOptions,
): string {
  if (dtype === "bool") return boolText(fn, x, y, options);
  return isFloat(dtype) ? floatText(fn, x, y, options) : integerText(fn, dtype, x, y, options);
}

function floatText(fn: BinaryFn, x: string, y: string, { lanes, same, constant, math }: BinaryOptions): string {
  const call = (name: string): string => `${math.use(name, lanes)}(${x}, ${y})`;
  switch (fn) {
    case "max":
    case "min":
      return call(constant !== null && !Number.isNaN(constant) ? `${fn}_with_number` : `${fn}_float`);
    case "rem":
      return call("rem_float");
    case "pow":
      return call("pow");
    case "eq":
    case "le":
    case "ge":
      // A compiler that assumes no NaN would make this `true`.
      return same ? `(!${math.use("is_nan", lanes)}(${x}))` : infix(fn, x, y);
    case "ne":
      return same ? `${math.use("is_nan", lanes)}(${x})` : call("ne_float");
    default:
      return infix(fn, x, y);
  }
}

function integerText(fn: BinaryFn, dtype: DType, x: string, y: string, options: BinaryOptions): string {
  const { lanes, constant, math } = options;
  const type = registerType(dtype, lanes);
  const unsigned = registerType("u32", lanes);
  const bits = (text: string): string => (dtype === "u32" ? text : `bitcast<${unsigned}>(${text})`);
  const back = (text: string): string => (dtype === "u32" ? text : `bitcast<${type}>(${text})`);
  const small = constant !== null && constant >= 0 && constant < 32;
  switch (fn) {
    case "max":
    case "min":
      return `${fn}(${x}, ${y})`;
    case "div":
    case "rem":
      return constant !== null && constant > 0 ? infix(fn, x, y) : `${math.use(`${fn}_${dtype}`, lanes)}(${x}, ${y})`;
    case "pow":
      return `${math.use(`pow_${dtype}`, lanes)}(${x}, ${y})`;
    case "shift_left":
      return back(
        small
          ? `(${bits(x)} << ${unsigned}(${constant}u))`
          : `${math.use("shift_left_u32", lanes)}(${bits(x)}, ${bits(y)})`,
      );
    case "shift_right_logical":
      return back(
        small
          ? `(${bits(x)} >> ${unsigned}(${constant}u))`
          : `${math.use("shift_right_u32", lanes)}(${bits(x)}, ${bits(y)})`,
      );
    case "shift_right_arithmetic": {
      const signed = dtype === "i32" ? x : `bitcast<${registerType("i32", lanes)}>(${x})`;
      const shifted = `${math.use("shift_right_i32", lanes)}(${signed}, ${bits(y)})`;
      return dtype === "i32" ? shifted : `bitcast<${type}>(${shifted})`;
    }
    default:
      return infix(fn, x, y);
  }
}

function boolText(fn: BinaryFn, x: string, y: string, { lanes }: BinaryOptions): string {
  switch (fn) {
    case "add":
    case "max":
    case "or":
      return infix("or", x, y);
    case "mul":
    case "min":
    case "and":
      return infix("and", x, y);
    case "xor":
      return infix("ne", x, y);
    case "eq":
    case "ne":
      return infix(fn, x, y);
    case "lt":
    case "le":
    case "gt":
    case "ge": {
      const type = registerType("u32", lanes);
      return infix(fn, `${type}(${x})`, `${type}(${y})`);
    }
    default:
      throw new InternalError(`${fn} of bools has no WGSL`);
  }
}

function infix(fn: BinaryFn, x: string, y: string): string {
  const symbol = infixSymbols[fn];
  invariant(symbol, `${fn} has no symbol`);
  return `(${x} ${symbol} ${y})`;
}

/** Conversion of values, but for the rounding to f16. */
export function castText(x: string, from: DType, to: DType, lanes: Lanes, math: MathLibrary): string {
  const type = registerType(to, lanes);
  if (from === to) return x;
  if (to === "bool") {
    return isFloat(from) ? `${math.use("is_nonzero", lanes)}(${x})` : `(${x} != ${registerType(from, lanes)}(0))`;
  }
  if (isFloat(from) && isFloat(to)) return x;
  if (isFloat(from)) return `${math.use(`float_to_${to}`, lanes)}(${x})`;
  return from === "bool" || isFloat(to) ? `${type}(${x})` : `bitcast<${type}>(${x})`;
}

/** The dtype in which a reduction accumulates. */
export function accumulatorType(dtype: DType): DType {
  return dtype === "f16" ? "f32" : dtype;
}

/** The value that changes nothing, as text of one lane. */
export function neutralText(reducer: Reducer, dtype: DType, math: MathLibrary): string {
  const type = accumulatorType(dtype);
  const value = (number: number): string => literal(number, type, math);
  switch (reducer) {
    case "sum":
      return value(0);
    case "prod":
      return value(1);
    case "and":
      return value(type === "bool" ? 1 : -1);
    case "or":
      return value(0);
    case "max":
    case "argmax":
      return value(isFloat(type) ? -Infinity : type === "i32" ? -2147483648 : 0);
    case "min":
    case "argmin":
      return value(isFloat(type) ? Infinity : type === "i32" ? 2147483647 : type === "u32" ? 4294967295 : 1);
    default:
      return reducer satisfies never;
  }
}

const combiners = { sum: "add", prod: "mul", max: "max", min: "min", and: "and", or: "or" } as const;

/** Two partial results as one. Not for argmax and argmin, which carry positions. */
export function combineText(
  reducer: Exclude<Reducer, "argmax" | "argmin">,
  dtype: DType,
  x: string,
  y: string,
  { lanes, math }: { lanes: Lanes; math: MathLibrary },
): string {
  const options = { lanes, same: false, constant: null, math };
  return binaryText(combiners[reducer], accumulatorType(dtype), { x, y }, options);
}

/** Whether `x` takes the place of the best so far: strictly better, or the first NaN. */
export function betterText(
  reducer: "argmax" | "argmin",
  dtype: DType,
  x: string,
  best: string,
  math: MathLibrary,
): string {
  const symbol = reducer === "argmax" ? ">" : "<";
  if (dtype === "bool") return reducer === "argmax" ? `(${x} && !${best})` : `(!${x} && ${best})`;
  if (!isFloat(dtype)) return `(${x} ${symbol} ${best})`;
  const isNaN = math.use("is_nan", 1);
  return `((${x} ${symbol} ${best} || ${isNaN}(${x})) && !${isNaN}(${best}))`;
}
