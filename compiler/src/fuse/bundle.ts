/**
 * Kernels → dispatches: small kernels, and matrix products of one shape, that need nothing of each other run side by side in
 * one dispatch. Kernels at one depth
 * of the dependencies (the longest way from what is given) are independent, and stay so however they are bundled.
 */
import { sizeOf } from "../ir/shape.ts";
import type { Tensor } from "../lower/expr.ts";
import { axesIn, loadsOf } from "../lower/expr-pool.ts";
import { extentOf, mostParts, smallWork } from "./cost.ts";
import type { Carry } from "./definition.ts";
import { type Group, type Scheduled, ScheduledLoop } from "./group.ts";
import type { Arena } from "./kernel.ts";
import { mixes } from "./pack.ts";

export interface BundleOptions {
  readonly maxBindings: number;
  /** What a group's kernel binds. */
  readonly bound: (group: Group) => Iterable<Tensor["id"]>;
  /** Of the loop around. */
  readonly carries: readonly Carry[];
  /** The arena that a tensor lies in. */
  readonly homes: ReadonlyMap<Tensor["id"], Arena>;
}

/** A carry of fewer elements may as well alternate between two buffers. */
const largeCarry = 2 ** 18;

/** One dispatch. */
export class Bundle implements Scheduled {
  readonly dependencies = new Set<Scheduled>();
  readonly groups: Group[];
  order: number;

  constructor(group: Group) {
    this.groups = [group];
    this.order = group.order;
  }
}

/** Expects dependencies before what depends on them. */
export function bundle(
  ordered: readonly (Group | ScheduledLoop)[],
  { maxBindings, bound, carries, homes }: BundleOptions,
): (Bundle | ScheduledLoop)[] {
  const depths = new Map<Scheduled, number>();
  const holders = new Map<Scheduled, Bundle | ScheduledLoop>();
  const open = new Map<string, { readonly bundle: Bundle; readonly bindings: Set<number> }[]>();
  const bundles: (Bundle | ScheduledLoop)[] = [];
  const large = carries.filter(({ init }) => sizeOf(init.shape) >= largeCarry);
  /** A carry is computed in place where nothing beside its kernel reads it. */
  const hinders = (a: Group, b: Group): boolean =>
    large.some(({ input, result }) => a.byTensor.has(result.id) && b.loaded().has(input.id)) || mixes(a, b, homes);
  for (const item of ordered) {
    const depth = Math.max(0, ...[...item.dependencies].map((dependency) => 1 + (depths.get(dependency) ?? 0)));
    depths.set(item, depth);
    if (item instanceof ScheduledLoop) {
      holders.set(item, item);
      bundles.push(item);
      continue;
    }
    const bindings = new Set(bound(item));
    const kind = kindOf(item);
    const others = (kind === null ? undefined : open.get(`${depth} ${kind}`)) ?? [];
    const host = others.find(
      (other) =>
        other.bundle.groups.length < mostParts &&
        new Set([...other.bindings, ...bindings]).size <= maxBindings &&
        !other.bundle.groups.some((group) => hinders(group, item) || hinders(item, group)),
    );
    if (host) {
      host.bundle.groups.push(item);
      host.bundle.order = Math.max(host.bundle.order, item.order);
      for (const binding of bindings) host.bindings.add(binding);
      holders.set(item, host.bundle);
      continue;
    }
    const own = new Bundle(item);
    holders.set(item, own);
    bundles.push(own);
    if (kind !== null) open.set(`${depth} ${kind}`, [...others, { bundle: own, bindings }]);
  }
  return withDependencies(bundles, holders);
}

/** Dependencies between dispatches, from those between kernels. */
function withDependencies(
  bundles: readonly (Bundle | ScheduledLoop)[],
  holders: ReadonlyMap<Scheduled, Bundle | ScheduledLoop>,
): (Bundle | ScheduledLoop)[] {
  for (const item of bundles) {
    const needed =
      item instanceof Bundle ? item.groups.flatMap((group) => [...group.dependencies]) : [...item.dependencies];
    item.dependencies.clear();
    for (const dependency of needed) {
      const holder = holders.get(dependency);
      if (holder && holder !== item) item.dependencies.add(holder);
    }
  }
  return [...bundles];
}

/**
 * What may run beside what: small kernels of any shape, and products of equal sizes, which have one schedule; null for what
 * runs alone.
 */
function kindOf(group: Group): string | null {
  if (group.inner.length > 0) return null;
  if (!group.contraction) return group.work <= smallWork ? "rows" : null;
  const [product] = group.members;
  if (product === undefined || group.columns.length > 0) return null;
  const factors = [...loadsOf([product.body])].map((load) => axesIn(load.index));
  const sizes = group.rows.map(({ id, size }) => `${size}/${factors.filter((axes) => axes.has(id)).length}`);
  return `product of ${sizes.toSorted().join(" ")} over ${extentOf(product.inner)}`;
}
