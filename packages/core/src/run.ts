/** Runs Jaxprs on the device: structural caching of compiled programs, and the flat call behind every eager operation. */
import {
  type Aval,
  beginPhase,
  type ClosedJaxpr,
  endPhase,
  type Evaluator,
  inlineJaxpr,
  type Jaxpr,
  jaxprOf,
  setEvaluator,
  trace,
  unflatten,
  flatten,
  type Leaf,
  type Tracer,
  type Tree,
  type TreeDef,
  type Value,
  evaluateJaxpr,
  CompiledProgram,
  optimize,
} from "@fax/compiler";
import { runProgram } from "./device.ts";
import { ProgramCache } from "./program-cache.ts";
import { isTracing, type Traceable } from "./traceable.ts";
import { asValue } from "./values.ts";

const programs = new ProgramCache(2048, (jaxpr) => new CompiledProgram(optimize(jaxpr)));

/** The compiled form of a Jaxpr without constvars; one for all Jaxprs of the same structure. */
export function compiledProgram(jaxpr: Jaxpr): CompiledProgram {
  return programs.get(jaxpr);
}

const evaluator: Evaluator = {
  evaluate: (jaxpr, inputs) => runProgram(compiledProgram(jaxpr), inputs),
};

setEvaluator(evaluator);

/** Constvars as leading inputs. */
export function closeOver({ jaxpr, consts }: ClosedJaxpr): { jaxpr: Jaxpr; consts: readonly Value[] } {
  if (jaxpr.constvars.length === 0) return { jaxpr, consts };
  return { jaxpr: jaxprOf({ ...jaxpr, constvars: [], invars: [...jaxpr.constvars, ...jaxpr.invars] }), consts };
}

/** Applies a Jaxpr to values: staged inside a trace, run outside. */
export function applyJaxpr(jaxpr: Jaxpr, inputs: readonly Value[]): Value[] {
  return isTracing() ? inlineJaxpr(jaxpr, inputs) : evaluateJaxpr(jaxpr, inputs);
}

export interface Traced {
  /** Without constvars; the captured values come first among its inputs. */
  readonly jaxpr: Jaxpr;
  readonly consts: readonly Value[];
  readonly outTree: TreeDef;
}

/** Traces a function on arguments of the given types, placed as its own body sees them. */
export function traceFunction(
  fn: (args: readonly Tree[]) => Tree,
  avals: readonly Aval[],
  treedef: TreeDef,
  what = "result",
): Traced {
  let outTree: TreeDef = { kind: "null" };
  const begun = beginPhase();
  const closed = trace(avals, (tracers: Tracer[]) => {
    const result = flatten<Leaf>(fn(unflatten<Leaf>(treedef, tracers) as readonly Tree[]), { what });
    outTree = result.treedef;
    return result.leaves.map(asValue);
  });
  endPhase("trace", begun);
  return { ...closeOver(closed), outTree };
}

/** Calls a traceable outside any trace: traces it, compiles it, runs it. */
export function runTraceable(traceable: Traceable, args: readonly unknown[]): Tree {
  const bound = traceable.bindArguments(args);
  const traced = traceFunction(
    (inner) => traceable.apply(inner),
    bound.avals,
    bound.treedef,
    `result of ${traceable.name}`,
  );
  return unflatten<Leaf>(traced.outTree, evaluateJaxpr(traced.jaxpr, [...traced.consts, ...bound.leaves]));
}
