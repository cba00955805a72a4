/** Element types: what exists, how large it is, and how two of them combine. */

export const dtypes = ["f32", "f16", "i32", "u32", "bool"] as const;

/** The element types that WebGPU has. */
export type DType = (typeof dtypes)[number];

export function isDType(name: string): name is DType {
  return (dtypes as readonly string[]).includes(name);
}

export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}

export function isInteger(dtype: DType): boolean {
  return dtype === "i32" || dtype === "u32";
}

/** Bytes of one element in device memory; a bool is stored as a u32, since WGSL cannot address a byte. */
export function byteSize(dtype: DType): number {
  return dtype === "f16" ? 2 : 4;
}

const rank: Record<DType, number> = { bool: 0, u32: 1, i32: 2, f16: 3, f32: 4 };

/**
 * The type that an operation on both gives: JAX's lattice without its 64-bit types. (`u32` with `i32` is `i32`, as
 * JAX gives with 64-bit types disabled.)
 */
export function promoteDTypes(a: DType, b: DType): DType {
  return rank[a] >= rank[b] ? a : b;
}
