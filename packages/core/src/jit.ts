import {
  type Aval,
  CompiledProgram,
  FaxError,
  type Leaf,
  leafCount,
  optimize,
  sameAval,
  sameTreeDef,
  type Tree,
  type TreeDef,
  unflatten,
  userLocation,
  type Value,
} from "@fax/compiler";
import { runProgram } from "./device.ts";
import { Lowered } from "./lowered.ts";
import { compiledProgram, runTraceable, traceFunction } from "./run.ts";
import { type BoundArguments, isTracing, type Traceable, traceable, traceableOf } from "./traceable.ts";

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

export interface JitOptions {
  /**
   * Arguments whose arrays a call takes over: their memory may hold the results, and they cannot be used afterwards
   * (FAX1005). Inside a trace, and for numbers, it says nothing.
   */
  readonly donateArgnums?: number | readonly number[];
  /**
   * Bytes that a call may take of the device besides its arguments. What does not fit is computed again where it is
   * needed instead of being kept, with the same results; FAX2009 if that is not enough.
   *
   * @example
   * const step = jit(loss, { memoryLimit: 64 * 2 ** 20 });
   */
  readonly memoryLimit?: number;
}

/** What `jit` adds to a function. */
export interface Jitted<F extends AnyFunction> {
  /** The function as it is compiled for arguments of these types; nothing runs. */
  lower(...args: Parameters<F>): Lowered;
}

/**
 * Compiles `fn` on first use for each structure and type of its arguments; later calls run one program, in at most one
 * submit.
 *
 * `fn` runs only while it is traced: what it reads from variables outside is fixed then, and side effects happen once.
 * Arrays, and trees of them, are arguments; so are numbers, whose values are sent at each call and compile nothing anew.
 *
 * @example
 * const step = jit((w, g) => np.subtract(w, np.multiply(0.1, g)), { donateArgnums: 0 });
 */
export function jit<F extends AnyFunction>(fn: F, { donateArgnums = [], memoryLimit }: JitOptions = {}): F & Jitted<F> {
  const inner = traceableOf(fn);
  const donateArgs = typeof donateArgnums === "number" ? [donateArgnums] : donateArgnums;
  const compiled: Compiled[] = [];
  const compile = (bound: BoundArguments): Compiled => {
    const { avals, treedef } = bound;
    const known = compiled.find((entry) => sameAvals(entry.avals, avals) && sameTreeDef(entry.treedef, treedef));
    if (known !== undefined) return known;
    const { jaxpr, consts, outTree } = traceFunction(
      (inside) => inner.apply(inside),
      avals,
      treedef,
      `result of ${inner.name}`,
    );
    const donated = donatedLeaves(inner.name, treedef, donateArgs).map((leaf) => consts.length + leaf);
    const program =
      donated.length === 0 && memoryLimit === undefined
        ? compiledProgram(jaxpr)
        : new CompiledProgram(optimize(jaxpr), { donated, memoryLimit });
    const entry = { treedef, avals, consts, outTree, program };
    compiled.unshift(entry);
    compiled.length = Math.min(compiled.length, signatureLimit);
    return entry;
  };
  const call = (...args: unknown[]): unknown => {
    if (isTracing()) return inner.applyOutside(args as Tree[]);
    const bound = inner.bindArguments(args);
    const { consts, outTree, program } = compile(bound);
    const results = runProgram(program, consts.length === 0 ? bound.leaves : [...consts, ...bound.leaves]);
    return outTree.kind === "leaf" ? results[0] : unflatten<Leaf>(outTree, results);
  };
  const lower = (...args: Parameters<F>): Lowered => new Lowered(compile(inner.bindArguments(args)).program);
  return Object.assign(makeTraceable(inner, call), { lower }) as unknown as F & Jitted<F>;
}

function sameAvals(a: readonly Aval[], b: readonly Aval[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!sameAval(a[i] as Aval, b[i] as Aval)) return false;
  return true;
}

/** The positions of the arguments' leaves among all leaves. FAX1003 for an argument that there is not. */
function donatedLeaves(name: string, treedef: TreeDef, donateArgs: readonly number[]): number[] {
  if (donateArgs.length === 0) return [];
  const counts = treedef.kind === "list" ? treedef.children.map(leafCount) : [];
  return donateArgs.flatMap((argument) => {
    const count = counts[argument];
    if (count === undefined) {
      throw new FaxError({
        code: "FAX1003",
        message: `jit: donateArgnums names argument ${argument}, and ${name} is called with ${counts.length}`,
        source: userLocation(),
        help: "arguments are counted from 0",
      });
    }
    const first = counts.slice(0, argument).reduce((sum, n) => sum + n, 0);
    return Array.from({ length: count }, (_, i) => first + i);
  });
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
