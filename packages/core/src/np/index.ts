/** `np`: NumPy's array language, under its names in camelCase, with `jax.numpy`'s semantics. */
export * from "./arithmetic.ts";
export {
  arange,
  array,
  type ArrayOptions,
  asarray,
  astype,
  type DTypeOption,
  empty,
  eye,
  type EyeOptions,
  full,
  fullLike,
  identity,
  type LikeOptions,
  linspace,
  type LinspaceOptions,
  ones,
  onesLike,
  tri,
  zeros,
  zerosLike,
} from "./creation.ts";
export { bool, type DTypeLike, float16, float32, int32, uint32 } from "./dtype.ts";
export { einsum } from "./einsum.ts";
export { type NestedList, type TypedArray } from "./from-host.ts";
export { type Index, take, takeAlongAxis, type TakeOptions } from "./indexing.ts";
export { arraySplit, concatenate, hstack, split, stack, vstack } from "./joining.ts";
export {
  diag,
  diagonal,
  type DiagonalOptions,
  dot,
  inner,
  matmul,
  outer,
  tensordot,
  trace,
  tril,
  triu,
  vdot,
} from "./linear-algebra.ts";
export {
  allclose,
  arrayEqual,
  equal,
  greater,
  greaterEqual,
  isclose,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  notEqual,
  type Tolerance,
  where,
} from "./logic.ts";
export {
  broadcastArrays,
  broadcastTo,
  expandDims,
  flip,
  fliplr,
  flipud,
  meshgrid,
  moveaxis,
  ndim,
  ravel,
  repeat,
  reshape,
  roll,
  shape,
  size,
  squeeze,
  swapaxes,
  tile,
  transpose,
} from "./manipulation.ts";
export * from "./math.ts";
export { type ArrayLike, type Binary, type Unary } from "./operand.ts";
export { pad, type PadOptions, type PadWidth } from "./padding.ts";
export {
  all,
  amax,
  amin,
  any,
  type ArgOptions,
  argmax,
  argmin,
  average,
  type AverageOptions,
  type AxisOrOptions,
  countNonzero,
  cumprod,
  cumsum,
  type CumulativeOptions,
  max,
  mean,
  min,
  prod,
  ptp,
  type ReductionOptions,
  type SpreadOptions,
  std,
  sum,
  type SumOptions,
  variance as var,
} from "./reductions.ts";

/** The ratio of a circle's circumference to its diameter. */
export const pi = Math.PI;
/** Euler's number. */
export const e = Math.E;
export const inf = Infinity;
export const nan = NaN;
/** A new axis in `x.slice(…)`. */
export const newaxis = null;
