/** Distributions of floats. */
import {
  Constant,
  constant,
  type DType,
  isFloat,
  lax,
  type NDArray,
  roundToF16,
  sameShape,
  type Shape,
  type Value,
} from "@fax/compiler";
import { checkShape } from "../np/axis.ts";
import { type DTypeLike, resolveDType } from "../np/dtype.ts";
import { erfInv } from "../np/erf-inv.ts";
import { fault, formatShape } from "../np/fault.ts";
import * as np from "../np/index.ts";
import { type ArrayLike, asValue, convert, placed } from "../np/operand.ts";
import { bitsOf, type ShapeLike } from "./keys.ts";

export interface FloatOptions {
  /** f32 unless said; f16 is the other one. */
  readonly dtype?: DTypeLike | undefined;
}

function floatDType(name: string, asked: DTypeLike | undefined): "f32" | "f16" {
  const dtype = resolveDType(name, asked ?? "f32");
  if (dtype === "f32" || dtype === "f16") return dtype;
  throw fault("FAX1102", `${name}: the dtype ${dtype} is not a float`);
}

const mantissaBits = { f32: 23, f16: 10 } as const;

/** Multiples of 2^-mantissaBits in [0, 1): the bits of 1.m less 1, as JAX makes them. */
function unitUniform(name: string, generator: Value, shape: Shape, dtype: "f32" | "f16"): Value {
  const count = mantissaBits[dtype];
  const words = bitsOf(name, generator, shape);
  // f16 takes the lower half of a word.
  const own = dtype === "f32" ? words : lax.and(words, constant(0xffff, "u32"));
  const mantissa = lax.shift_right_logical(own, constant((dtype === "f32" ? 32 : 16) - count, "u32"));
  return lax.mul(lax.convert_element_type(mantissa, dtype), constant(2 ** -count, dtype));
}

function roundTo(dtype: "f32" | "f16", value: number): number {
  return dtype === "f32" ? Math.fround(value) : roundToF16(value);
}

/** `max(low, unit · (high - low) + low)`, in the arithmetic of `dtype`. */
function scaled(name: string, unit: Value, low: ArrayLike<string>, high: ArrayLike<string>): Value {
  const dtype = unit.dtype as "f32" | "f16";
  if (low === 0 && high === 1) return unit;
  const bound = (x: ArrayLike<string>): Value =>
    typeof x === "number" ? constant(roundTo(dtype, x), dtype) : convert(name, asValue(name, x), dtype);
  const [from, to] = [bound(low), bound(high)];
  const width =
    from instanceof Constant && to instanceof Constant
      ? constant(roundTo(dtype, to.value - from.value), dtype)
      : np.subtract(to, from);
  return np.maximum(from, np.add(np.multiply(unit, width), from));
}

export interface UniformOptions<P extends string = "server"> extends FloatOptions {
  /** 0 unless said; it can be drawn. */
  readonly minval?: ArrayLike<P> | undefined;
  /** 1 unless said; it cannot be drawn. */
  readonly maxval?: ArrayLike<P> | undefined;
}

/**
 * Uniformly distributed floats in `[minval, maxval)`.
 *
 * @throws FAX1102 for a dtype that is not a float, FAX1201 for bounds that do not broadcast to the shape
 * @example random.uniform(key, [2, 3], { minval: -1 });
 */
export function uniform<P extends string = "server">(
  generator: NDArray<P>,
  shape: ShapeLike = [],
  { dtype, minval = 0, maxval = 1 }: UniformOptions<NoInfer<P>> = {},
): NDArray<P> {
  const sizes = checkShape("uniform", shape);
  const unit = unitUniform("uniform", generator, sizes, floatDType("uniform", dtype));
  return placed(keepsShape("uniform", scaled("uniform", unit, minval, maxval), sizes));
}

export function keepsShape(name: string, value: Value, shape: Shape): Value {
  if (sameShape(value.shape, shape)) return value;
  throw fault(
    "FAX1201",
    `${name}: parameters of shape ${formatShape(value.shape)} do not broadcast to the shape ${formatShape(shape)}`,
  );
}

/** The float just above -1: the normal distribution maps (-1, 1). */
const aboveMinusOne = { f32: -1 + 2 ** -24, f16: -1 + 2 ** -11 } as const;

/**
 * Normally distributed floats of mean 0 and variance 1: `√2 · erfInv(u)` of a uniform `u` in (-1, 1).
 *
 * @throws FAX1102 for a dtype that is not a float
 * @example random.normal(key, [2, 3]);
 */
export function normal<P extends string = "server">(
  generator: NDArray<P>,
  shape: ShapeLike = [],
  { dtype }: FloatOptions = {},
): NDArray<P> {
  const type = floatDType("normal", dtype);
  const unit = unitUniform("normal", generator, checkShape("normal", shape), type);
  const u = scaled("normal", unit, aboveMinusOne[type], 1);
  return placed(lax.mul(constant(roundTo(type, Math.SQRT2), type), erfInv(u)));
}

/**
 * True with probability `p`, a number or an array; the shape is that of `p` unless said.
 *
 * @throws FAX1201 if `p` does not broadcast to the shape
 * @example random.bernoulli(key, 0.3, [5]);
 */
export function bernoulli<P extends string = "server">(
  generator: NDArray<P>,
  p: ArrayLike<NoInfer<P>> = 0.5,
  shape: ShapeLike | null = null,
): NDArray<P> {
  const chance = asValue("bernoulli", p);
  const sizes = shape === null ? chance.shape : checkShape("bernoulli", shape);
  const dtype: DType = isFloat(chance.dtype) ? chance.dtype : "f32";
  const unit = unitUniform("bernoulli", generator, sizes, dtype as "f32" | "f16");
  return placed(keepsShape("bernoulli", np.less(unit, chance), sizes));
}

/** The smallest normal number: keeps the logarithm of a uniform number finite. */
const smallest = { f32: 2 ** -126, f16: 2 ** -14 } as const;

/**
 * Gumbel-distributed floats, `-log(-log(u))`.
 *
 * @example random.gumbel(key, [3]);
 */
export function gumbel<P extends string = "server">(
  generator: NDArray<P>,
  shape: ShapeLike = [],
  { dtype }: FloatOptions = {},
): NDArray<P> {
  const type = floatDType("gumbel", dtype);
  const unit = unitUniform("gumbel", generator, checkShape("gumbel", shape), type);
  const u = scaled("gumbel", unit, smallest[type], 1);
  return placed(lax.neg(lax.log(lax.neg(lax.log(u)))));
}

/**
 * Exponentially distributed floats of rate 1, `-log(1 - u)`.
 *
 * @example random.exponential(key, [3]);
 */
export function exponential<P extends string = "server">(
  generator: NDArray<P>,
  shape: ShapeLike = [],
  { dtype }: FloatOptions = {},
): NDArray<P> {
  const unit = unitUniform(
    "exponential",
    generator,
    checkShape("exponential", shape),
    floatDType("exponential", dtype),
  );
  return placed(lax.neg(lax.log1p(lax.neg(unit))));
}
