/** Host arrays to and from the bytes that kernels see: a bool takes four bytes, f16 two, or four without `shader-f16`. */
import {
  type AdapterProfile,
  type DType,
  f16Bits,
  f16BitsToNumber,
  type HostArray,
  type HostData,
  storageBytes,
} from "@fax/compiler/executable";

/** Shares the caller's memory where the layouts agree; a multiple of four bytes. */
export function encodeHostData({ dtype, data }: HostArray, profile: AdapterProfile): Uint8Array<ArrayBufferLike> {
  if (dtype === "bool") return bytesOf(Uint32Array.from(data, (value) => (value === 0 ? 0 : 1)));
  if (dtype === "f16" && storageBytes(dtype, profile) === 2) {
    const bits = new Uint16Array(data.length + (data.length % 2));
    for (let i = 0; i < data.length; i++) bits[i] = f16Bits(data[i] as number);
    return bytesOf(bits);
  }
  return bytesOf(data);
}

/** Copies `size` elements out of mapped memory. */
export function decodeHostData(mapped: ArrayBuffer, dtype: DType, size: number, profile: AdapterProfile): HostData {
  switch (dtype) {
    case "f32":
      return new Float32Array(mapped, 0, size).slice();
    case "i32":
      return new Int32Array(mapped, 0, size).slice();
    case "u32":
      return new Uint32Array(mapped, 0, size).slice();
    case "bool":
      return Uint8Array.from(new Uint32Array(mapped, 0, size), (word) => (word === 0 ? 0 : 1));
    case "f16":
      if (storageBytes(dtype, profile) === 4) return new Float32Array(mapped, 0, size).slice();
      return Float32Array.from(new Uint16Array(mapped, 0, size), (bits) => f16Values()[bits] as number);
    default:
      return dtype satisfies never;
  }
}

let f16Table: Float32Array | null = null;

function f16Values(): Float32Array {
  return (f16Table ??= Float32Array.from({ length: 65536 }, (_, bits) => f16BitsToNumber(bits)));
}

function bytesOf(data: ArrayBufferView): Uint8Array<ArrayBufferLike> {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
