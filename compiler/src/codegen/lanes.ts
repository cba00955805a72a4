/** Whether four neighbouring positions can be computed together, with vec4 loads and stores. */
import type { Store } from "../fuse/kernel.ts";
import type { Axis, Expr, Tensor } from "../lower/expr.ts";
import { type Binding, comesInFours, forEachExpr } from "./bindings.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";
import { dependsOn, flatPosition, quadIndex } from "./positions.ts";
import { linearSpace, sizeOfAxes } from "./space.ts";

export interface LaneAccess {
  /** Accesses of four elements that lie together, aligned. */
  readonly together: number;
  /** Accesses of four elements that lie apart. */
  readonly apart: number;
  /** A choice that differs between lanes guards a load. */
  readonly divergent: boolean;
  /** Tensors of which four elements are taken together. */
  readonly tensors: ReadonlySet<Tensor>;
}

/** Looks at canonical expressions and stores in which `lane` runs over four neighbours. */
export function laneAccess(
  roots: readonly Expr[],
  stores: readonly Store[],
  lane: Axis,
  { canonical, bindings }: { canonical: Canonicalizer; bindings: readonly Binding[] },
): LaneAccess {
  const isLane = (axis: Axis): boolean => axis === lane;
  const tensors = new Set<Tensor>();
  let together = 0;
  let apart = 0;
  let divergent = false;
  const look = (tensor: Tensor, index: readonly Expr[]): void => {
    const flat = flatPosition(tensor, index, canonical);
    if (!dependsOn(flat, isLane)) return;
    const binding = bindings.find((candidate) => candidate.tensors.includes(tensor));
    if (binding && comesInFours(binding) && quadIndex(canonical, flat, isLane)) {
      together++;
      tensors.add(tensor);
    } else {
      apart++;
    }
  };
  forEachExpr([...roots, ...stores.flatMap((store) => [...store.index, store.value])], (e) => {
    if (e.op === "load") look(e.tensor, e.index);
    if (e.op === "select" && dependsOn(e.condition, isLane) && (holdsLoad(e.onTrue) || holdsLoad(e.onFalse))) {
      divergent = true;
    }
  });
  for (const store of stores) look(store.tensor, store.index);
  return { together, apart, divergent, tensors };
}

/** Whether four neighbours along `axes`, a part of the `space`, can be taken together. */
export function liesAlong(
  e: Expr,
  axes: readonly Axis[],
  space: readonly Axis[],
  context: { canonical: Canonicalizer; bindings: readonly Binding[] },
): boolean {
  const { canonical } = context;
  if (sizeOfAxes(axes) % 4 !== 0) return false;
  const lanes = linearSpace(axes, 4, canonical);
  if (!lanes.lane) return false;
  const others = space.filter((axis) => !axes.includes(axis));
  const rest = new Map(others.flatMap((axis) => [...linearSpace([axis], 1, canonical).substitution]));
  const rewritten = canonical.rewriter(new Map([...rest, ...lanes.substitution]))(e);
  const access = laneAccess([rewritten], [], lanes.lane, context);
  return access.together > 0 && access.apart === 0 && !access.divergent;
}

function holdsLoad(e: Expr): boolean {
  let holds = false;
  forEachExpr([e], (inner) => {
    if (inner.op === "load") holds = true;
  });
  return holds;
}
