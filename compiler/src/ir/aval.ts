/** Abstract values: everything that tracing knows of a value. */
import type { DType } from "./dtype.ts";
import { formatPlacement, type Placement, samePlacement, server } from "./placement.ts";
import { type Shape, sameShape } from "./shape.ts";

export interface Aval {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly placement: Placement;
  /** A JavaScript number, or a value computed from such alone: it takes the dtype of what it meets. */
  readonly weak: boolean;
}

export function avalOf(
  dtype: DType,
  shape: Shape,
  { placement = server, weak = false }: { placement?: Placement; weak?: boolean } = {},
): Aval {
  return { dtype, shape, placement, weak };
}

export function sameAval(a: Aval, b: Aval): boolean {
  return a.weak === b.weak && sameType(a, b);
}

/** Equal but for the weakness of the type. */
export function sameType(a: Aval, b: Aval): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape) && samePlacement(a.placement, b.placement);
}

export function atPlacement(aval: Aval, placement: Placement): Aval {
  return aval.placement === placement ? aval : { ...aval, placement };
}

export function strong(aval: Aval): Aval {
  return aval.weak ? { ...aval, weak: false } : aval;
}

/** `f32[784,10]`, with `~` before a weak type; the placement follows when `placed`. */
export function formatAval(aval: Aval, placed: boolean): string {
  const type = `${aval.weak ? "~" : ""}${aval.dtype}[${aval.shape.join(",")}]`;
  return placed ? `${type}${formatPlacement(aval.placement)}` : type;
}
