/**
 * Every operation that rules, transforms and the front end build programs from: the primitives under their own names,
 * with JAX's `lax` as the reference for parameters and semantics. Shapes must agree, except that a number or a `Constant`
 * meets an array of any shape and takes its dtype; nothing is promoted.
 */
import type { DType } from "../ir/dtype.ts";
import type { Shape } from "../ir/shape.ts";
import type { Value } from "../trace/ndarray.ts";
import type { ScanParams } from "./scan-params.ts";

export type Operand = Value | number;

type Unary = (x: Value) => Value;
type Binary = (x: Operand, y: Operand) => Value;

/** JAX's `dimension_numbers`: `[[lhsContracting, rhsContracting], [lhsBatch, rhsBatch]]`. */
export type DotDimensionNumbers = readonly [
  readonly [readonly number[], readonly number[]],
  readonly [readonly number[], readonly number[]],
];

/** JAX's `GatherDimensionNumbers`. The last axis of the indices holds the index vector. */
export interface GatherDimensionNumbers {
  readonly offset_dims: readonly number[];
  readonly collapsed_slice_dims: readonly number[];
  readonly start_index_map: readonly number[];
  readonly operand_batching_dims: readonly number[];
  readonly start_indices_batching_dims: readonly number[];
}

/** JAX's `ScatterDimensionNumbers`. */
export interface ScatterDimensionNumbers {
  readonly update_window_dims: readonly number[];
  readonly inserted_window_dims: readonly number[];
  readonly scatter_dims_to_operand_dims: readonly number[];
  readonly operand_batching_dims: readonly number[];
  readonly scatter_indices_batching_dims: readonly number[];
}

/**
 * What happens to windows out of range: `clip` moves them inside; `fill` gives `fill_value` (NaN, the lowest i32, the highest
 * u32, true unless said), or drops the update.
 */
export type GatherMode = "clip" | "fill";

export interface Lax {
  // Elementwise arithmetic. Types: float unless said; `neg abs sign` and the binary ones also integers.
  neg: Unary;
  abs: Unary;
  sign: Unary;
  floor: Unary;
  ceil: Unary;
  /** Half to even, as jax.numpy's. */
  round: Unary;
  exp: Unary;
  log: Unary;
  log1p: Unary;
  expm1: Unary;
  sin: Unary;
  cos: Unary;
  tanh: Unary;
  logistic: Unary;
  sqrt: Unary;
  rsqrt: Unary;
  erf: Unary;
  is_finite: Unary;
  /** xʸ for a whole number y. */
  integer_pow(x: Value, y: number): Value;
  stop_gradient: Unary;
  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  /** The sign of the dividend, as C's. */
  rem: Binary;
  pow: Binary;
  max: Binary;
  min: Binary;
  // Comparisons give bool.
  eq: Binary;
  ne: Binary;
  lt: Binary;
  le: Binary;
  gt: Binary;
  ge: Binary;
  // Integers bitwise, bools logically.
  and: Binary;
  or: Binary;
  xor: Binary;
  not: Unary;
  shift_left: Binary;
  shift_right_logical: Binary;
  shift_right_arithmetic: Binary;
  /** `which ? onTrue : onFalse`. (JAX: `select_n`, whose cases come in the other order.) */
  select(which: Operand, onTrue: Operand, onFalse: Operand): Value;
  convert_element_type(x: Value, dtype: DType, options?: { weak?: boolean }): Value;
  bitcast_convert_type(x: Value, dtype: DType): Value;

  // Reductions over the given axes, which disappear.
  reduce_sum(x: Value, axes: readonly number[]): Value;
  reduce_prod(x: Value, axes: readonly number[]): Value;
  reduce_max(x: Value, axes: readonly number[]): Value;
  reduce_min(x: Value, axes: readonly number[]): Value;
  reduce_and(x: Value, axes: readonly number[]): Value;
  reduce_or(x: Value, axes: readonly number[]): Value;
  argmax(x: Value, axis: number): Value;
  argmin(x: Value, axis: number): Value;

  // Movement.
  /** Axis i of `x` becomes axis `broadcast_dimensions[i]` of the result; axes of size 1 are stretched. */
  broadcast_in_dim(x: Operand, shape: Shape, broadcast_dimensions: readonly number[]): Value;
  reshape(x: Value, new_sizes: Shape): Value;
  transpose(x: Value, permutation: readonly number[]): Value;
  squeeze(x: Value, dimensions: readonly number[]): Value;
  expand_dims(x: Value, dimensions: readonly number[]): Value;
  slice(
    x: Value,
    start_indices: readonly number[],
    limit_indices: readonly number[],
    strides?: readonly number[] | null,
  ): Value;
  /** `padding_config`: [low, high, interior] per axis; low and high may be negative. */
  pad(x: Value, padding_value: Operand, padding_config: readonly (readonly [number, number, number])[]): Value;
  rev(x: Value, dimensions: readonly number[]): Value;
  concatenate(operands: readonly Value[], dimension: number): Value;
  iota(dtype: DType, shape: Shape, dimension: number): Value;

  // Contraction and indexing.
  /** Accumulates in f32; the result has the operands' dtype unless `preferred_element_type` says otherwise. */
  dot_general(
    lhs: Value,
    rhs: Value,
    dimension_numbers: DotDimensionNumbers,
    preferred_element_type?: DType | null,
  ): Value;
  gather(
    operand: Value,
    indices: Value,
    options: {
      dimension_numbers: GatherDimensionNumbers;
      slice_sizes: readonly number[];
      /** `fill` unless said. */
      mode?: GatherMode;
      fill_value?: number | null;
    },
  ): Value;
  scatter_add(
    operand: Value,
    indices: Value,
    updates: Value,
    options: { dimension_numbers: ScatterDimensionNumbers; mode?: GatherMode },
  ): Value;
  /** Start indices are scalars (i32 or u32), clamped so that the slice fits. */
  dynamic_slice(x: Value, start_indices: readonly Operand[], slice_sizes: readonly number[]): Value;
  dynamic_update_slice(x: Value, update: Value, start_indices: readonly Operand[]): Value;

  // Random bits: the two words of Threefry-2x32 for key (k0, k1) and counters (x0, x1), all u32 of one shape.
  threefry2x32(k0: Operand, k1: Operand, x0: Operand, x1: Operand): [Value, Value];

  // Communication.
  federated_broadcast(x: Value, group: { name: string; size: number }): Value;
  federated_sum: Unary;
  federated_mean: Unary;
  federated_max: Unary;
  federated_min: Unary;
  /** Server f32[n,…] → member i of the group holds row i. */
  federated_unstack(x: Value, group: string): Value;
  /** Group → server f32[n,…], row i from member i. */
  federated_stack: Unary;

  /** Inputs are consts, carry and rows; see `ScanParams`. */
  scan(inputs: readonly Value[], params: ScanParams): Value[];

  /** A scalar spread over a shape: `broadcast_in_dim` of a literal. */
  full(shape: Shape, value: number, dtype: DType): Value;
  zeros_like(x: Value): Value;
}
