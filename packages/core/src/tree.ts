/** Pytrees: arrays and numbers at the leaves; lists, plain objects (by sorted key) and null, the empty subtree, above. */
import {
  FaxError,
  flatten as flattenTree,
  type Leaf,
  sameTreeDef,
  type TreeDef,
  unflatten as unflattenTree,
  userLocation,
} from "@fax/compiler";

/** A tree of the same structure with other leaves. */
export type Mapped<T, L> = T extends readonly unknown[]
  ? { [K in keyof T]: Mapped<T[K], L> }
  : T extends null
    ? null
    : T extends Leaf
      ? L
      : T extends object
        ? { [K in keyof T]: Mapped<T[K], L> }
        : L;

/** The leaves in order. */
export function leaves(value: unknown): Leaf[] {
  return flattenTree<Leaf>(value).leaves;
}

/** The structure. */
export function structure(value: unknown): TreeDef {
  return flattenTree(value).treedef;
}

/** `[leaves, structure]`. */
export function flatten(value: unknown): [Leaf[], TreeDef] {
  const { leaves: list, treedef } = flattenTree<Leaf>(value);
  return [list, treedef];
}

export function unflatten(treedef: TreeDef, list: readonly Leaf[]): unknown {
  return unflattenTree(treedef, list);
}

/**
 * `fn` at each leaf, with the leaves at the same place of the other trees. FAX1004 if the trees differ in structure.
 *
 * @example
 * const halved = tree.map((x) => np.multiply(0.5, x), { w: np.ones([2]), b: np.zeros([1]) });
 * console.log(await halved.w.tolist()); // [ 0.5, 0.5 ]
 */
export function map<T, R>(fn: (...leaves: never[]) => R, first: T, ...rest: readonly unknown[]): Mapped<T, R> {
  const { leaves: list, treedef } = flattenTree<Leaf>(first);
  const others = rest.map((other, i) => {
    const flat = flattenTree<Leaf>(other);
    if (!sameTreeDef(flat.treedef, treedef)) {
      throw new FaxError({
        code: "FAX1004",
        message: `tree.map: tree ${i + 1} has another structure than the first`,
        source: userLocation(),
      });
    }
    return flat.leaves;
  });
  const call = fn as unknown as (...leaves: readonly Leaf[]) => R;
  return unflattenTree<R>(
    treedef,
    list.map((leaf, i) => call(leaf, ...others.map((other) => other[i] as Leaf))),
  ) as Mapped<T, R>;
}
