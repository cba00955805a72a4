/** Arrays of one value. */
import type { DType } from "../ir/dtype.ts";
import { startsWith } from "../ir/placement.ts";
import type { Shape } from "../ir/shape.ts";
import { currentBuilder, withAmbient } from "../trace/builder.ts";
import { constant, type Value } from "../trace/ndarray.ts";
import { broadcast_in_dim } from "./movement.ts";

/**
 * An array that holds `value` everywhere, placed where the code that runs now is: `broadcast_in_dim` of a literal.
 *
 * @example full([2, 3], 1, "f32")
 */
export function full(shape: Shape, value: number, dtype: DType): Value {
  return broadcast_in_dim(constant(value, dtype), shape, []);
}

/**
 * Zeros of the shape and dtype of `x`, placed like it (or where the code that runs now is, if that lies inside).
 *
 * @example zeros_like(x)
 */
export function zeros_like(x: Value): Value {
  const zeros = (): Value => full(x.shape, 0, x.dtype);
  const builder = currentBuilder();
  const { placement } = x.aval;
  return builder === null || startsWith(builder.ambient, placement) ? zeros() : withAmbient(builder, placement, zeros);
}
