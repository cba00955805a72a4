import { dce, type Jaxpr, type PrintOptions, printJaxpr, type TreeDef, type Value } from "@fax/compiler";
import type { AnyFunction } from "./jit.ts";
import { traceFunction } from "./run.ts";
import { traceableOf } from "./traceable.ts";

/** A traced function: its Jaxpr, whose canonical text `toString` gives. */
export class TracedFunction {
  /** Without constvars; the captured arrays come first among the inputs. */
  readonly jaxpr: Jaxpr;
  readonly captured: readonly Value[];
  readonly outTree: TreeDef;

  constructor({ jaxpr, captured, outTree }: Pick<TracedFunction, "jaxpr" | "captured" | "outTree">) {
    this.jaxpr = jaxpr;
    this.captured = captured;
    this.outTree = outTree;
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
    return new TracedFunction({ jaxpr: dce(traced.jaxpr), captured: traced.consts, outTree: traced.outTree });
  };
}
