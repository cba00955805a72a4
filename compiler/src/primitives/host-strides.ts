/** Strided walks over host arrays: what the reference evaluation of the array primitives is made of. */
import type { DType } from "../ir/dtype.ts";
import { allocateData, allocateHostArray, type HostArray, hostArray, roundToF16 } from "../ir/host-array.ts";
import { type Shape, sizeOf } from "../ir/shape.ts";

/** The position of each index of `shape`, in row-major order, in memory with the given strides. */
export function offsetsOf(shape: Shape, strides: readonly number[]): Int32Array {
  const offsets = new Int32Array(sizeOf(shape));
  if (offsets.length === 0) return offsets;
  let filled = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    const stride = strides[axis] as number;
    for (let i = 1; i < size; i++) {
      for (let j = 0; j < filled; j++) offsets[i * filled + j] = (offsets[j] as number) + i * stride;
    }
    filled *= size;
  }
  return offsets;
}

/** The elements of `x` at `base + index · strides`. */
export function stridedCopy(x: HostArray, shape: Shape, strides: readonly number[], base = 0): HostArray {
  const offsets = offsetsOf(shape, strides);
  const data = allocateData(x.dtype, offsets.length);
  for (let i = 0; i < offsets.length; i++) data[i] = x.data[base + (offsets[i] as number)] as number;
  return hostArray(x.dtype, shape, data);
}

/** Calls `visit` for each index of `shape` in row-major order. The index array is reused. */
export function forEachIndex(shape: Shape, visit: (index: readonly number[], position: number) => void): void {
  const size = sizeOf(shape);
  const index = shape.map(() => 0);
  for (let position = 0; position < size; position++) {
    visit(index, position);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
}

/** An array given element by element; Values are rounded once to the dtype. */
export function buildArray(
  dtype: DType,
  shape: Shape,
  element: (index: readonly number[], position: number) => number,
): HostArray {
  const out = allocateHostArray(dtype, shape);
  forEachIndex(shape, (index, position) => {
    out.data[position] = rounded(dtype, element(index, position));
  });
  return out;
}

/** A double as it is kept in an array of `dtype`: typed arrays round and wrap by themselves, but know no f16. */
export function rounded(dtype: DType, value: number): number {
  return dtype === "f16" ? roundToF16(value) : value;
}

/** The flat position of `index`. */
export function positionOf(index: readonly number[], strides: readonly number[]): number {
  let position = 0;
  for (let axis = 0; axis < strides.length; axis++) position += (index[axis] as number) * (strides[axis] as number);
  return position;
}
