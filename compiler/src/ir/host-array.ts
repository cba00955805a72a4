/** Arrays in host memory, row-major and contiguous: what the reference evaluator computes on and what devices send. */
import type { DType } from "./dtype.ts";
import { type Shape, sizeOf } from "./shape.ts";

/** f16 is kept as f32 values that are exactly representable in f16; a bool is 0 or 1. */
export type HostData = Float32Array | Int32Array | Uint32Array | Uint8Array;

export interface HostArray {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: HostData;
}

export function allocateData(dtype: DType, size: number): HostData {
  switch (dtype) {
    case "f32":
    case "f16":
      return new Float32Array(size);
    case "i32":
      return new Int32Array(size);
    case "u32":
      return new Uint32Array(size);
    case "bool":
      return new Uint8Array(size);
    default:
      return dtype satisfies never;
  }
}

export function hostArray(dtype: DType, shape: Shape, data: HostData): HostArray {
  return { dtype, shape, data };
}

export function allocateHostArray(dtype: DType, shape: Shape): HostArray {
  return { dtype, shape, data: allocateData(dtype, sizeOf(shape)) };
}

/** The scalar of a one-element array. */
export function scalarOf(array: HostArray): number {
  return array.data[0] as number;
}

const f32Scratch = new Float32Array(1);
const u32Scratch = new Uint32Array(f32Scratch.buffer);

/** The nearest value that f16 has, ties to even. */
export function roundToF16(value: number): number {
  return f16BitsToNumber(f16Bits(value));
}

/** The bits of the nearest f16, ties to even, from the double itself (no double rounding through f32). */
export function f16Bits(value: number): number {
  f32Scratch[0] = value;
  const sign = ((u32Scratch[0] as number) >>> 16) & 0x8000;
  if (Number.isNaN(value)) return sign | 0x7e00;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -25) return sign;
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14);
  const adjusted = magnitude < 2 ** exponent && exponent > -14 ? exponent - 1 : exponent;
  const ulp = 2 ** (adjusted - 10);
  const units = roundHalfEven(magnitude / ulp);
  // units counts ulps from zero; the encoding is contiguous across binades, so a carry runs into the exponent.
  return sign | (adjusted === -14 && units < 1024 ? units : ((adjusted + 14) << 10) + units);
}

export function f16BitsToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1;
  return floor;
}
