/**
 * Loop IR, the scalar level: expressions over loop axes and loads whose index maps are explicit. It knows nothing of any
 * device language. Expressions are immutable and may be shared (a DAG); generators of code keep the sharing.
 */
import { invariant } from "../diagnostics/index.ts";
import type { DType } from "../ir/dtype.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Shape } from "../ir/shape.ts";

/** A value in memory, row-major and contiguous. Its identity is the object. */
export interface Tensor {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A loop variable that runs over 0 … size − 1. */
export interface Axis {
  readonly id: number;
  readonly size: number;
}

export const unaryFns = [
  "neg",
  "abs",
  "sign",
  "floor",
  "ceil",
  "round",
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
  "not",
  "is_nan",
  "is_finite",
] as const;
/**
 * `round` is half to even; `not` is bitwise on integers and logical on bools; `sign` keeps NaN and signed zero; the
 * float functions follow IEEE 754 at NaN and infinities.
 */
export type UnaryFn = (typeof unaryFns)[number];

export const binaryFns = [
  "add",
  "sub",
  "mul",
  "div",
  "rem",
  "pow",
  "max",
  "min",
  "and",
  "or",
  "xor",
  "shift_left",
  "shift_right_arithmetic",
  "shift_right_logical",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
] as const;
/**
 * Operands have one dtype. Integer `div` and `rem` truncate towards zero; division by zero gives −1 (all bits set) and
 * the dividend as remainder, as in XLA. `max` and `min` give NaN if either is NaN. A shift by the width or more gives 0,
 * or all sign bits for the arithmetic one. Comparisons give bool.
 */
export type BinaryFn = (typeof binaryFns)[number];

export type Expr =
  /** A bool is 0 or 1. */
  | { readonly op: "const"; readonly dtype: DType; readonly value: number }
  /** The present value of a loop variable, an i32. */
  | { readonly op: "axis"; readonly dtype: "i32"; readonly axis: Axis }
  /** The iteration of the loop `depth` loops outwards of the graph that the expression stands in (0: the innermost). */
  | { readonly op: "counter"; readonly dtype: "i32"; readonly loop: LoopCounter }
  /** `index` has an i32 per dimension of the tensor, and must be in range wherever the load is evaluated. */
  | { readonly op: "load"; readonly dtype: DType; readonly tensor: Tensor; readonly index: readonly Expr[] }
  | { readonly op: "unary"; readonly dtype: DType; readonly fn: UnaryFn; readonly x: Expr }
  | { readonly op: "binary"; readonly dtype: DType; readonly fn: BinaryFn; readonly x: Expr; readonly y: Expr }
  /** Only the chosen side is evaluated, so that the other may hold a load out of range. */
  | {
      readonly op: "select";
      readonly dtype: DType;
      readonly condition: Expr;
      readonly onTrue: Expr;
      readonly onFalse: Expr;
    }
  /** As `convert_element_type`: floats truncate towards zero and saturate, NaN becomes 0; to bool is `!= 0`. */
  | { readonly op: "cast"; readonly dtype: DType; readonly x: Expr }
  /** The same bits; both types have one width. */
  | { readonly op: "bitcast"; readonly dtype: DType; readonly x: Expr }
  /** The result of a reduction that an earlier stage of the same kernel has finished. Only within kernels. */
  | { readonly op: "reduced"; readonly dtype: DType; readonly reduction: number };

export interface LoopCounter {
  readonly id: number;
  readonly length: number;
}

/**
 * How a reduction combines. `argmax` and `argmin` give the i32 position (in row-major order of the reduced axes) of the
 * first extreme element, NaN counting as extreme. Floats are accumulated in f32.
 */
export type Reducer = "sum" | "prod" | "max" | "min" | "and" | "or" | "argmax" | "argmin";

let nextId = 0;

export function newTensor(dtype: DType, shape: Shape): Tensor {
  return { id: nextId++, dtype, shape };
}

export function newAxis(size: number): Axis {
  return { id: nextId++, size };
}

export function newCounter(length: number): LoopCounter {
  return { id: nextId++, length };
}

export function constExpr(value: number | boolean, dtype: DType = "i32"): Expr {
  return { op: "const", dtype, value: Number(value) };
}

export function axisExpr(axis: Axis): Expr {
  return axis.size === 1 ? constExpr(0) : { op: "axis", dtype: "i32", axis };
}

export function counterExpr(loop: LoopCounter): Expr {
  return { op: "counter", dtype: "i32", loop };
}

export function loadExpr(tensor: Tensor, index: readonly Expr[]): Expr {
  invariant(index.length === tensor.shape.length, "a load needs an index per dimension");
  return { op: "load", dtype: tensor.dtype, tensor, index };
}

export function unaryExpr(fn: UnaryFn, x: Expr): Expr {
  return { op: "unary", dtype: fn === "is_nan" || fn === "is_finite" ? "bool" : x.dtype, fn, x };
}

export const comparisons: ReadonlySet<BinaryFn> = new Set(["eq", "ne", "lt", "le", "gt", "ge"]);

/** Folds i32 index arithmetic on constants and drops neutral elements; arithmetic of other types is kept as written. */
export function binaryExpr(fn: BinaryFn, x: Expr, y: Expr): Expr {
  invariant(x.dtype === y.dtype, `${fn} of ${x.dtype} and ${y.dtype}`);
  const dtype = comparisons.has(fn) ? "bool" : x.dtype;
  if (x.dtype === "i32" && dtype === "i32") {
    const folded = foldIndex(fn, x, y);
    if (folded) return folded;
  }
  return { op: "binary", dtype, fn, x, y };
}

function foldIndex(fn: BinaryFn, x: Expr, y: Expr): Expr | null {
  const a = x.op === "const" ? x.value : null;
  const b = y.op === "const" ? y.value : null;
  if (fn === "add") {
    if (a !== null && b !== null) return constExpr((a + b) | 0);
    return a === 0 ? y : b === 0 ? x : null;
  }
  if (fn === "sub") {
    if (a !== null && b !== null) return constExpr((a - b) | 0);
    return b === 0 ? x : null;
  }
  if (fn === "mul") {
    if (a !== null && b !== null) return constExpr(Math.imul(a, b));
    if (a === 0 || b === 0) return constExpr(0);
    return a === 1 ? y : b === 1 ? x : null;
  }
  if ((fn === "div" || fn === "rem") && b !== null && b > 0) {
    if (a !== null) return constExpr(fn === "div" ? Math.trunc(a / b) : a % b);
    if (b === 1) return fn === "div" ? x : constExpr(0);
    if (x.op === "axis" && x.axis.size <= b) return fn === "div" ? constExpr(0) : x;
  }
  return null;
}

export function selectExpr(condition: Expr, onTrue: Expr, onFalse: Expr): Expr {
  invariant(condition.dtype === "bool" && onTrue.dtype === onFalse.dtype, "a select of unlike types");
  if (condition.op === "const") return condition.value ? onTrue : onFalse;
  return { op: "select", dtype: onTrue.dtype, condition, onTrue, onFalse };
}

export function castExpr(x: Expr, dtype: DType): Expr {
  if (x.dtype === dtype) return x;
  if (x.op === "const" && dtype === "f32") return constExpr(Math.fround(x.value), dtype);
  return { op: "cast", dtype, x };
}

export function bitcastExpr(x: Expr, dtype: DType): Expr {
  return x.dtype === dtype ? x : { op: "bitcast", dtype, x };
}

export function isFloatExpr(x: Expr): boolean {
  return isFloat(x.dtype);
}
