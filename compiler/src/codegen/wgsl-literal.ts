/** Constants as WGSL text. What WGSL cannot write as a constant (NaN, infinities, subnormals) goes through its bits. */
import type { DType } from "../ir/dtype.ts";
import { roundToF16 } from "../ir/host-array.ts";
import type { Lanes, MathLibrary } from "./wgsl-math.ts";

/** The type that holds a value in registers: f16 is computed in f32 and rounded after each operation. */
export function registerType(dtype: DType, lanes: Lanes): string {
  const scalar = dtype === "f16" ? "f32" : dtype;
  return lanes === 4 ? `vec4<${scalar}>` : scalar;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

export function literal(value: number, dtype: DType, math: MathLibrary): string {
  switch (dtype) {
    case "bool":
      return value ? "true" : "false";
    case "i32":
      return (value | 0) === -2147483648 ? "i32(-2147483648)" : `${value | 0}`;
    case "u32":
      return `${value >>> 0}u`;
    case "f16":
      return floatLiteral(roundToF16(value), math);
    case "f32":
      return floatLiteral(value, math);
    default:
      return dtype satisfies never;
  }
}

const smallestNormal = 2 ** -126;

function floatLiteral(value: number, math: MathLibrary): string {
  const single = Math.fround(value);
  const subnormal = single !== 0 && Math.abs(single) < smallestNormal;
  if (!Number.isFinite(single) || subnormal || Object.is(single, -0)) {
    scratch[0] = single;
    const bits = (scratchBits[0] ?? 0).toString(16).padStart(8, "0");
    return `${math.use("of_bits", 1)}(0x${bits}u)`;
  }
  const digits = shortestSingle(single);
  return /[.e]/.test(digits) ? `${digits}f` : `${digits}.0f`;
}

/** The fewest digits that give this f32 back. */
function shortestSingle(value: number): string {
  for (let precision = 6; precision < 9; precision++) {
    const text = String(Number(value.toPrecision(precision)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(Number(value.toPrecision(9)));
}
