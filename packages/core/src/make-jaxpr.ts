import { type Aval, dce, type Jaxpr, type PrintOptions, printJaxpr, type TreeDef } from "@fax/compiler";
import type { AnyFunction } from "./jit.ts";
import { traceFunction } from "./run.ts";
import { traceableOf } from "./traceable.ts";

/** A traced function: its Jaxpr, whose `toString` is the canonical text. */
export class TracedFunction {
  /** Captured arrays come first among the inputs. */
  readonly jaxpr: Jaxpr;
  readonly capturedCount: number;
  readonly inAvals: readonly Aval[];
  readonly inTree: TreeDef;
  readonly outTree: TreeDef;

  constructor(parts: Pick<TracedFunction, "jaxpr" | "capturedCount" | "inAvals" | "inTree" | "outTree">) {
    this.jaxpr = parts.jaxpr;
    this.capturedCount = parts.capturedCount;
    this.inAvals = parts.inAvals;
    this.inTree = parts.inTree;
    this.outTree = parts.outTree;
  }

  print(options: PrintOptions = {}): string {
    return printJaxpr(this.jaxpr, options);
  }

  toString(): string {
    return this.print();
  }
}

/**
 * The Jaxpr of a function, for looking at it: `makeJaxpr(f)(...args)` traces `f` on arguments of these types and runs
 * nothing.
 *
 * @example
 * console.log(String(makeJaxpr((x) => np.sin(x))(np.array(1))));
 */
export function makeJaxpr(fn: AnyFunction): (...args: readonly unknown[]) => TracedFunction {
  const inner = traceableOf(fn);
  return (...args) => {
    const { avals, treedef } = inner.bindArguments(args);
    const traced = traceFunction((values) => inner.apply(values), avals, treedef, `result of ${inner.name}`);
    return new TracedFunction({
      jaxpr: dce(traced.jaxpr),
      capturedCount: traced.consts.length,
      inAvals: avals,
      inTree: treedef,
      outTree: traced.outTree,
    });
  };
}
