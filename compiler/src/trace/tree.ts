/**
 * Pytrees: arrays and numbers at the leaves; lists, plain objects (by sorted key) and null, the empty subtree, above.
 */
import { FaxError, InternalError } from "../diagnostics/index.ts";
import { NDArray, type Value } from "./ndarray.ts";
import { userLocation } from "./source.ts";

export type Leaf = Value | number | boolean;
export type Tree<L = Leaf> = L | null | readonly Tree<L>[] | { readonly [key: string]: Tree<L> };

export type TreeDef =
  | { readonly kind: "leaf" }
  | { readonly kind: "null" }
  | { readonly kind: "list"; readonly children: readonly TreeDef[] }
  | { readonly kind: "object"; readonly keys: readonly string[]; readonly children: readonly TreeDef[] };

export const leafDef: TreeDef = { kind: "leaf" };

export function isArrayLeaf(value: unknown): value is Leaf {
  return value instanceof NDArray || typeof value === "number" || typeof value === "boolean";
}

/**
 * The leaves of a tree in order, and its structure.
 *
 * @param isLeaf what counts as a leaf: arrays, numbers and booleans unless said otherwise
 * @param what names the tree in errors, as in `argument 0 of f`
 */
export function flatten<L = Leaf>(
  tree: unknown,
  { isLeaf = isArrayLeaf as (value: unknown) => boolean, what = "value" } = {},
): { leaves: L[]; treedef: TreeDef } {
  const leaves: L[] = [];
  const visit = (node: unknown, path: string): TreeDef => {
    if (isLeaf(node)) {
      leaves.push(node as L);
      return leafDef;
    }
    if (node === null || node === undefined) return { kind: "null" };
    if (Array.isArray(node)) {
      return { kind: "list", children: node.map((child, i) => visit(child, `${path}[${i}]`)) };
    }
    if (isPlainObject(node)) {
      const keys = Object.keys(node).sort();
      return { kind: "object", keys, children: keys.map((key) => visit(node[key], `${path}.${key}`)) };
    }
    throw new FaxError({
      code: "FAX1003",
      message: `${what}${path} is ${describe(node)}, not an array, a number or a tree of them`,
      source: userLocation(),
      help: "pass data as np.array(…), and close over everything that is not data",
    });
  };
  return { treedef: visit(tree, ""), leaves };
}

export function unflatten<L>(treedef: TreeDef, leaves: readonly L[]): Tree<L> {
  let next = 0;
  const build = (def: TreeDef): Tree<L> => {
    switch (def.kind) {
      case "leaf":
        if (next >= leaves.length) throw new InternalError("too few leaves for the tree");
        return leaves[next++] as L;
      case "null":
        return null;
      case "list":
        return def.children.map(build);
      case "object":
        return Object.fromEntries(def.keys.map((key, i) => [key, build(def.children[i] as TreeDef)]));
      default:
        return def satisfies never;
    }
  };
  const tree = build(treedef);
  if (next !== leaves.length) throw new InternalError("too many leaves for the tree");
  return tree;
}

export function leafCount(treedef: TreeDef): number {
  if (treedef.kind === "leaf") return 1;
  if (treedef.kind === "null") return 0;
  return treedef.children.reduce((count, child) => count + leafCount(child), 0);
}

export function sameTreeDef(a: TreeDef, b: TreeDef): boolean {
  if (a.kind === "list" && b.kind === "list") return sameChildren(a.children, b.children);
  if (a.kind === "object" && b.kind === "object") {
    return (
      a.keys.length === b.keys.length &&
      a.keys.every((key, i) => key === b.keys[i]) &&
      sameChildren(a.children, b.children)
    );
  }
  return a.kind === b.kind;
}

function sameChildren(a: readonly TreeDef[], b: readonly TreeDef[]): boolean {
  return a.length === b.length && a.every((child, i) => sameTreeDef(child, b[i] as TreeDef));
}

/** `{a: *, b: [*, *]}` */
export function formatTreeDef(def: TreeDef): string {
  switch (def.kind) {
    case "leaf":
      return "*";
    case "null":
      return "null";
    case "list":
      return `[${def.children.map(formatTreeDef).join(", ")}]`;
    case "object":
      return `{${def.keys.map((key, i) => `${key}: ${formatTreeDef(def.children[i] as TreeDef)}`).join(", ")}}`;
    default:
      return def satisfies never;
  }
}

/** A path to each leaf, as in `.layers[0].w`. */
export function leafPaths(def: TreeDef, prefix = ""): string[] {
  switch (def.kind) {
    case "leaf":
      return [prefix];
    case "null":
      return [];
    case "list":
      return def.children.flatMap((child, i) => leafPaths(child, `${prefix}[${i}]`));
    case "object":
      return def.children.flatMap((child, i) => leafPaths(child, `${prefix}.${def.keys[i]}`));
    default:
      return def satisfies never;
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describe(value: unknown): string {
  if (typeof value === "string") return `the string ${JSON.stringify(value)}`;
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return `a ${value.constructor?.name ?? "special object"}`;
  return `a ${typeof value}`;
}
