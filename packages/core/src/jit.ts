import {
  type Aval,
  type Leaf,
  sameAval,
  sameTreeDef,
  type Tree,
  type TreeDef,
  unflatten,
  type Value,
  type CompiledProgram,
} from "@fax/compiler";
import { runProgram } from "./device.ts";
import { compiledProgram, runTraceable, traceFunction } from "./run.ts";
import { isTracing, type Traceable, traceable, traceableOf } from "./traceable.ts";

export type AnyFunction = (...args: never[]) => unknown;

interface Compiled {
  readonly treedef: TreeDef;
  readonly avals: readonly Aval[];
  readonly program: CompiledProgram;
  readonly consts: readonly Value[];
  readonly outTree: TreeDef;
}

/** Signatures kept per function; the oldest goes first. */
const signatureLimit = 256;

/**
 * Compiles `fn` on first use for each structure and type of its arguments; later calls run one program, in one submit.
 *
 * `fn` runs only while it is traced: what it reads from variables outside is fixed then, and side effects happen once.
 * Arrays, and trees of them, are arguments; so are numbers, whose values are sent at each call and compile nothing anew.
 *
 * @example
 * const step = jit((w, g) => np.subtract(w, np.multiply(0.1, g)));
 */
export function jit<F extends AnyFunction>(fn: F): F {
  const inner = traceableOf(fn);
  const compiled: Compiled[] = [];
  const call = (...args: unknown[]): unknown => {
    if (isTracing()) return inner.applyOutside(args as Tree[]);
    const bound = inner.bindArguments(args);
    let entry = compiled.find(
      (candidate) =>
        candidate.avals.length === bound.avals.length &&
        candidate.avals.every((aval, i) => sameAval(aval, bound.avals[i] as Aval)) &&
        sameTreeDef(candidate.treedef, bound.treedef),
    );
    if (entry === undefined) {
      const { avals, treedef } = bound;
      const traced = traceFunction((inside) => inner.apply(inside), avals, treedef, `result of ${inner.name}`);
      entry = {
        treedef,
        avals,
        consts: traced.consts,
        outTree: traced.outTree,
        program: compiledProgram(traced.jaxpr),
      };
      compiled.unshift(entry);
      compiled.length = Math.min(compiled.length, signatureLimit);
    }
    return unflatten<Leaf>(entry.outTree, runProgram(entry.program, [...entry.consts, ...bound.leaves]));
  };
  return makeTraceable(inner, call) as F;
}

/** `call` with the protocol of transforms on it. */
export function makeTraceable(protocol: Traceable, call: (...args: unknown[]) => unknown): AnyFunction {
  Object.defineProperty(call, "name", { value: protocol.name, configurable: true });
  return Object.assign(call, { [traceable]: protocol }) as unknown as AnyFunction;
}

/**
 * A transformed function: `apply` works on values of a trace. Outside a trace it is traced and run; a program's group
 * arguments are arrays there.
 */
export function transformed(
  fn: AnyFunction,
  name: string,
  apply: (args: readonly Tree[], applyInner: (args: readonly Tree[]) => Tree) => Tree,
): AnyFunction {
  const inner = traceableOf(fn);
  const protocol: Traceable = {
    name: `${name}(${inner.name})`,
    bindArguments: (args) => inner.bindArguments(args),
    apply: (args) => apply(args, (values) => inner.apply(values)),
    applyOutside: (args) => apply(args, (values) => inner.applyOutside(values)),
  };
  return makeTraceable(protocol, (...args) =>
    isTracing() ? protocol.applyOutside(args as Tree[]) : runTraceable(protocol, args),
  );
}
