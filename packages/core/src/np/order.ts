/** Order among the elements of a vector, by comparing each with each. */
import { lax, type Value } from "@fax/compiler";
import { beside } from "./operand.ts";

/** The place of each element among those of a vector in rising order; equal ones keep their order. i32 of the same length. */
export function ranksOf(keys: Value): Value {
  const length = keys.size;
  const grid = [length, length];
  const mine = lax.broadcast_in_dim(keys, grid, [0]);
  const others = lax.broadcast_in_dim(keys, grid, [1]);
  const earlier = beside(keys, () => lax.lt(lax.iota("i32", grid, 1), lax.iota("i32", grid, 0)));
  const before = lax.or(lax.lt(others, mine), lax.and(lax.eq(others, mine), earlier));
  return lax.reduce_sum(lax.convert_element_type(before, "i32"), [1]);
}

/** Where each element of a sorted vector comes from: the inverse of {@link ranksOf}. */
export function orderOf(keys: Value): Value {
  const length = keys.size;
  const [zeros, counter] = beside(keys, () => [lax.full([length], 0, "i32"), lax.iota("i32", [length], 0)] as const);
  return lax.scatter_add(zeros, lax.expand_dims(ranksOf(keys), [1]), counter, {
    dimension_numbers: {
      update_window_dims: [],
      inserted_window_dims: [0],
      scatter_dims_to_operand_dims: [0],
      operand_batching_dims: [],
      scatter_indices_batching_dims: [],
    },
    mode: "clip",
  });
}
