/** A program's Jaxpr from its declaration alone: no values, no device. */
import { type Aval, dce, type Jaxpr, leafCount, leafPaths, type TreeDef, type Value } from "@fax/compiler";
import { declaredAval, declaredTypes, type Placements } from "./program-arguments.ts";
import { traceFunction } from "./run.ts";
import { traceable, type Traceable, traceableOf } from "./traceable.ts";

/** Any program, whatever its arguments and results. */
export interface AnyProgram {
  (...args: never[]): unknown;
  readonly [traceable]: Traceable;
  readonly placements: Placements;
  readonly args: readonly unknown[];
  withPlacements(placements: Placements): AnyProgram;
}

export interface TracedProgram {
  readonly name: string;
  /** Captured arrays come first among the inputs, then the leaves of each argument in order. */
  readonly jaxpr: Jaxpr;
  readonly captured: readonly Value[];
  /** For each argument: the inputs of the Jaxpr that it gives. */
  readonly args: readonly { readonly inputs: readonly number[]; readonly avals: readonly Aval[] }[];
  /** Names of the inputs after the captured ones, as in `arg0.layers[1].w`. */
  readonly inputNames: readonly string[];
  readonly outTree: TreeDef;
}

export function isProgram(value: unknown): value is AnyProgram {
  return typeof value === "function" && traceable in value && "placements" in value && "withPlacements" in value;
}

/**
 * Traces a program on the types that it declares.
 *
 * @example
 * const { jaxpr, inputNames } = traceProgram(parallelLoss);
 */
export function traceProgram(program: AnyProgram): TracedProgram {
  const inner = traceableOf(program);
  const { leaves, treedef } = declaredTypes({ name: inner.name, args: program.args });
  const avals = leaves.map((spec) => declaredAval(spec, program.placements));
  const traced = traceFunction((args) => inner.apply(args), avals, treedef, `result of ${inner.name}`);
  const children = treedef.kind === "list" ? treedef.children : [];
  let next = 0;
  const args = children.map((child) => {
    const [from, to] = [next, (next += leafCount(child))];
    const inputs = avals.slice(from, to).map((_, i) => traced.consts.length + from + i);
    return { inputs, avals: avals.slice(from, to) };
  });
  return {
    name: inner.name,
    jaxpr: dce(traced.jaxpr),
    captured: traced.consts,
    args,
    inputNames: children.flatMap((child, i) => leafPaths(child, `arg${i}`)),
    outTree: traced.outTree,
  };
}
