/** What derivatives by arguments share: tracing the function, saying which inputs vary, and giving gradients back as trees. */
import {
  currentBuilder,
  FaxError,
  flatten,
  formatAval,
  isFloat,
  type Leaf,
  leafCount,
  leafPaths,
  type NDArray,
  startsWith,
  strong,
  type Tangent,
  type Tree,
  type TreeDef,
  unflatten,
  userLocation,
  type Value,
  zerosOf,
} from "@fax/compiler";
import { type Traced, traceFunction } from "./run.ts";
import { asValue } from "./values.ts";

/** Which arguments to differentiate by: one index, or several. */
export type Argnums = number | readonly number[];

export interface GradOptions {
  /** By which arguments; the gradient has their structure, a list if several are named. Default 0. */
  readonly argnums?: Argnums;
  /** Whether `fn` returns `[output, aux]`, where aux is passed through undifferentiated. */
  readonly hasAux?: boolean;
}

/** What the gradient by an argument is: an array where an array, a number or a list of numbers may stand. */
export type GradientOf<T> = NDArray extends T
  ? NDArray
  : T extends NDArray<string>
    ? T
    : T extends number | boolean
      ? NDArray
      : T extends null
        ? null
        : { [K in keyof T]: GradientOf<T[K]> };

/** Gradients by the arguments that N names: a list if it is one. */
export type Gradient<A extends readonly unknown[], N> = N extends readonly number[]
  ? { [K in keyof N]: N[K] extends keyof A & number ? GradientOf<A[N[K]]> : unknown }
  : N extends number
    ? GradientOf<A[N]>
    : GradientOf<A[0]>;

export interface Diff {
  readonly traced: Traced;
  readonly inputs: readonly Value[];
  /** Of the inputs of the Jaxpr, captured values included. */
  readonly nonzero: readonly boolean[];
  readonly argTrees: readonly TreeDef[];
  readonly argnums: readonly number[];
  readonly single: boolean;
  /** How many leaves of the result belong to the output; the rest is aux. */
  readonly outputTree: TreeDef;
  readonly auxTree: TreeDef;
  readonly name: string;
}

export function normalizeOptions(options: Argnums | GradOptions | undefined): GradOptions {
  if (options === undefined) return {};
  return typeof options === "number" || Array.isArray(options) ? { argnums: options } : (options as GradOptions);
}

function normalizeArgnums(name: string, argnums: Argnums, count: number): number[] {
  const list = typeof argnums === "number" ? [argnums] : [...argnums];
  return list.map((argnum) => {
    const index = argnum < 0 ? argnum + count : argnum;
    if (Number.isInteger(index) && index >= 0 && index < count) return index;
    throw new FaxError({
      code: "FAX1404",
      message: `${name}: argnums names argument ${argnum}, but the function was called with ${count}`,
      source: userLocation(),
    });
  });
}

/**
 * Inside a map a server value stands for the member's own copy of it: its derivative is the member's, and not the sum over
 * the members.
 */
export function intoAmbient(value: Value): Value {
  const builder = currentBuilder();
  if (builder === null || !startsWith(builder.ambient, value.aval.placement)) return value;
  return builder.lift(value, builder.ambient);
}

/** Traces the function to differentiate, and says which inputs of the Jaxpr vary. */
export function prepare(
  name: string,
  args: readonly Tree[],
  inner: (args: readonly Tree[]) => Tree,
  { argnums = 0, hasAux = false }: GradOptions,
): Diff {
  const flat = args.map((arg) => flatten<Leaf>(arg, { what: "argument" }));
  const argTrees = flat.map((part) => part.treedef);
  const leaves = flat
    .flatMap((part) => part.leaves)
    .map(asValue)
    .map(intoAmbient);
  const wanted = normalizeArgnums(name, argnums, args.length);
  const varies = flat.flatMap((part, i) => part.leaves.map(() => wanted.includes(i)));
  const paths = argTrees.flatMap((tree, i) => leafPaths(tree, `argument ${i}`));
  leaves.forEach((leaf, i) => {
    if (!varies[i] || isFloat(leaf.dtype)) return;
    throw new FaxError({
      code: "FAX1402",
      message: `${name}: ${paths[i]} is ${formatAval(leaf.aval, false)}, and only floats have derivatives`,
      source: userLocation(),
      help: "convert it with astype(np.float32), or choose other arguments with argnums",
    });
  });
  const treedef: TreeDef = { kind: "list", children: argTrees };
  const traced = traceFunction(
    inner,
    leaves.map((leaf) => leaf.aval),
    treedef,
    `result of the function under ${name}`,
  );
  const [outputTree, auxTree] = splitAux(name, traced.outTree, hasAux);
  return {
    traced,
    inputs: [...traced.consts, ...leaves],
    nonzero: [...traced.consts.map(() => false), ...varies],
    argTrees,
    argnums: wanted,
    single: typeof argnums === "number",
    outputTree,
    auxTree,
    name,
  };
}

/** Cotangents of the varying inputs as trees of the arguments they belong to. */
export function asGradients(diff: Diff, cotangents: readonly Tangent[]): Tree {
  const varying = diff.inputs.filter((_, i) => diff.nonzero[i]);
  const values = varying.map((value, i) => cotangents[i] ?? zerosOf(strong(value.aval)));
  const perArgument = new Map<number, Tree>();
  let next = 0;
  diff.argTrees.forEach((tree, i) => {
    if (!diff.argnums.includes(i)) return;
    const count = leafCount(tree);
    perArgument.set(i, unflatten<Leaf>(tree, values.slice(next, next + count)));
    next += count;
  });
  const trees = diff.argnums.map((i) => perArgument.get(i) ?? null);
  return diff.single ? (trees[0] as Tree) : trees;
}

/** A list of leaves. */
export function listOfLeaves(length: number): TreeDef {
  return { kind: "list", children: new Array<TreeDef>(length).fill({ kind: "leaf" }) };
}

/** The structures of the output and of what is passed through beside it. */
export function splitAux(name: string, outTree: TreeDef, hasAux: boolean): [output: TreeDef, aux: TreeDef] {
  if (!hasAux) return [outTree, { kind: "null" }];
  const [output, aux] = outTree.kind === "list" && outTree.children.length === 2 ? outTree.children : [];
  if (output !== undefined && aux !== undefined) return [output, aux];
  throw new FaxError({
    code: "FAX1004",
    message: `${name}: with hasAux the function must return [output, aux]`,
    source: userLocation(),
    help: "return a list of two: what is differentiated, and what is passed through",
  });
}
