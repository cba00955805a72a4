/** Moving the mapped axis of a value to where a batch rule needs it. */
import { range } from "../ir/shape.ts";
import type { Value } from "../trace/ndarray.ts";
import { inserted } from "./axes.ts";
import type { Lax } from "./lax-types.ts";

export function moveAxis(lax: Lax, x: Value, from: number, to: number): Value {
  if (from === to) return x;
  const others = range(x.ndim).filter((axis) => axis !== from);
  return lax.transpose(x, inserted(others, to, from));
}

/** `x` with its mapped axis leading; repeated along a new one if it has none. */
export function batchedAtFront(lax: Lax, x: Value, dim: number | null, size: number): Value {
  if (dim !== null) return moveAxis(lax, x, dim, 0);
  return lax.broadcast_in_dim(
    x,
    [size, ...x.shape],
    range(x.ndim).map((axis) => axis + 1),
  );
}

/** The one mapped axis of a primitive with a single input. */
export function onlyDim(dims: readonly (number | null)[]): number {
  return dims[0] as number;
}
