/**
 * Where a value lives. The server is the empty path; a group lies inside the place that its path names:
 * `@clients[64]`, `@cohorts[4].clients[16]`. The group axis is not part of a value's shape.
 */
export interface Group {
  readonly name: string;
  readonly size: number;
}

export interface Placement {
  readonly kind: "placement";
  readonly groups: readonly Group[];
}

export const server: Placement = { kind: "placement", groups: [] };

export function placementOf(...groups: readonly Group[]): Placement {
  return groups.length === 0 ? server : { kind: "placement", groups };
}

export function isServer(placement: Placement): boolean {
  return placement.groups.length === 0;
}

export function samePlacement(a: Placement, b: Placement): boolean {
  return a.groups.length === b.groups.length && startsWith(a, b);
}

/** Whether `outer` is `inner` or a place that `inner` lies in. */
export function startsWith(inner: Placement, outer: Placement): boolean {
  return outer.groups.every((group, i) => {
    const other = inner.groups[i];
    return other !== undefined && other.name === group.name && other.size === group.size;
  });
}

/** `placement` with one more group inside it. */
export function enter(placement: Placement, group: Group): Placement {
  return placementOf(...placement.groups, group);
}

/** The place around the innermost group. */
export function leave(placement: Placement): Placement {
  return placementOf(...placement.groups.slice(0, -1));
}

/** The innermost group, or undefined at the server. */
export function innermost(placement: Placement): Group | undefined {
  return placement.groups[placement.groups.length - 1];
}

/** How many members hold a value of this placement: 1 at the server. */
export function memberCount(placement: Placement): number {
  return placement.groups.reduce((product, group) => product * group.size, 1);
}

export function formatPlacement(placement: Placement): string {
  if (isServer(placement)) return "@server";
  return `@${placement.groups.map((group) => `${group.name}[${group.size}]`).join(".")}`;
}
