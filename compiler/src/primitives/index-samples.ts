/** Dimension numbers and inputs that the samples of gather and scatter share. */
import type { Shape } from "../ir/shape.ts";
import type { GatherNumbers } from "./index-numbers.ts";
import type { SampleInput } from "./primitive.ts";

export const rows: GatherNumbers = {
  offset_dims: [1],
  collapsed_slice_dims: [0],
  start_index_map: [0],
  operand_batching_dims: [],
  start_indices_batching_dims: [],
};
export const elementPerRow: GatherNumbers = {
  offset_dims: [],
  collapsed_slice_dims: [1],
  start_index_map: [1],
  operand_batching_dims: [0],
  start_indices_batching_dims: [0],
};
export const windowsOfMatrix: GatherNumbers = {
  offset_dims: [0, 2],
  collapsed_slice_dims: [],
  start_index_map: [1, 0],
  operand_batching_dims: [],
  start_indices_batching_dims: [],
};
export const i32 = (shape: Shape, values: readonly number[]): SampleInput => ({ dtype: "i32", shape, values });
export const f32 = (...shape: number[]): SampleInput => ({ dtype: "f32", shape });
