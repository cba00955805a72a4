/**
 * Splits a Jaxpr by what depends on unknown inputs. With the tangents of a jvp Jaxpr unknown this is linearization: the
 * known part computes the outputs and what the linear part needs of them (residuals).
 */
import { invariant } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import type { Atom, Eqn, Jaxpr, Var } from "../ir/jaxpr.ts";
import { primitiveOf } from "../primitives/define.ts";
import { lax } from "../primitives/lax.ts";
import type { ControlPrimitive } from "../primitives/primitive.ts";
import { Constant, Tracer, type Value } from "../trace/ndarray.ts";
import { emitLike, Env, inPlaceOf, requireBuilder, traceClosed } from "./walk.ts";

/** An equation that waits for unknown inputs: it says which known values it needs, then stages itself. */
interface Deferred {
  readonly needs: readonly Value[];
  readonly run: (env: Env<Value>, residual: (value: Value) => Value) => void;
}

/** See `PartialEvalJaxpr`. */
export function partialEvalJaxpr(
  jaxpr: Jaxpr,
  known: readonly boolean[],
  forceUnknown: readonly boolean[] = jaxpr.outvars.map(() => false),
): { known: Jaxpr; unknown: Jaxpr; knownOutputs: boolean[]; residualInputs: (number | null)[] } {
  const knownInvars = jaxpr.invars.filter((_, i) => known[i]);
  const unknownInvars = jaxpr.invars.filter((_, i) => !known[i]);
  const deferred: Deferred[] = [];
  const residuals: Value[] = [];
  let residualInputs: (number | null)[] = [];
  let residualAvals: Aval[] = [];
  let knownOutputs: boolean[] = [];
  /** Values of the known part, by variable; the unknown part reads them as residuals. */
  const knownEnv = new Env<Value>((value) => value);

  const knownJaxpr = traceClosed(
    knownInvars.map((variable) => variable.aval),
    (args) => {
      knownEnv.writeAll(knownInvars, args);
      for (const eqn of jaxpr.eqns) splitEqn(eqn, knownEnv, deferred);
      knownOutputs = jaxpr.outvars.map((atom, i) => isKnown(knownEnv, atom) && !forceUnknown[i]);
      for (const value of deferred.flatMap((item) => item.needs)) addResidual(residuals, value);
      jaxpr.outvars.forEach((atom, i) => {
        if (!knownOutputs[i] && isKnown(knownEnv, atom)) addResidual(residuals, knownEnv.read(atom));
      });
      residualInputs = residuals.map((value) => {
        const position = args.indexOf(value);
        return position >= 0 ? position : null;
      });
      residualAvals = residuals.map((value) => value.aval);
      const outputs = jaxpr.outvars.filter((_, i) => knownOutputs[i]).map((atom) => knownEnv.read(atom));
      return [...outputs, ...residuals.filter((_, i) => residualInputs[i] === null)];
    },
  );

  const unknownJaxpr = traceClosed([...residualAvals, ...unknownInvars.map((variable) => variable.aval)], (args) => {
    const byResidual = new Map<Value, Value>(residuals.map((value, i) => [value, args[i] as Value]));
    const residual = (value: Value): Value => {
      if (value instanceof Constant) return value;
      const found = byResidual.get(value);
      invariant(found !== undefined, "a linear equation reads a known value that was not kept");
      return found;
    };
    const env = new Env<Value>((value) => value);
    env.writeAll(unknownInvars, args.slice(residuals.length));
    for (const item of deferred) item.run(env, residual);
    return jaxpr.outvars.flatMap((atom, i) => {
      if (knownOutputs[i]) return [];
      return [isKnown(knownEnv, atom) ? residual(knownEnv.read(atom)) : env.read(atom)];
    });
  });
  return { known: knownJaxpr, unknown: unknownJaxpr, knownOutputs, residualInputs };
}

function isKnown(env: Env<Value>, atom: Atom): boolean {
  return atom.kind === "literal" || env.has(atom);
}

function addResidual(residuals: Value[], value: Value): void {
  if (value instanceof Tracer && !residuals.includes(value)) residuals.push(value);
}

function splitEqn(eqn: Eqn, knownEnv: Env<Value>, deferred: Deferred[]): void {
  const builder = requireBuilder();
  const known = eqn.inputs.map((atom) => isKnown(knownEnv, atom));
  if (known.every(Boolean)) {
    knownEnv.writeAll(eqn.outputs, emitLike(builder, eqn, knownEnv.readAll(eqn.inputs)));
    return;
  }
  const primitive = primitiveOf(eqn.primitive);
  if (primitive.kind === "control") {
    splitControl(eqn, primitive, known, knownEnv, deferred);
    return;
  }
  deferred.push({
    needs: eqn.inputs.flatMap((atom, i) => (known[i] ? [knownEnv.read(atom)] : [])),
    run(env, residual) {
      const inputs = eqn.inputs.map((atom, i) => (known[i] ? residual(knownEnv.read(atom)) : env.read(atom)));
      env.writeAll(eqn.outputs, emitLike(requireBuilder(), eqn, inputs));
    },
  });
}

function splitControl(
  eqn: Eqn,
  primitive: ControlPrimitive,
  known: readonly boolean[],
  knownEnv: Env<Value>,
  deferred: Deferred[],
): void {
  const inputs = eqn.inputs.map((atom, i) => (known[i] ? knownEnv.read(atom) : null));
  const split = inPlaceOf(requireBuilder(), eqn, () =>
    primitive.partialEval({
      inputs,
      avals: eqn.inputs.map((atom) => atom.aval),
      params: eqn.params,
      lax,
      partialEvalJaxpr,
    }),
  );
  split.outputs.forEach((value, i) => {
    if (value !== null) knownEnv.write(eqn.outputs[i] as Var, value);
  });
  deferred.push({
    needs: split.residuals,
    run(env, residual) {
      const unknown = eqn.inputs.map((atom, i) => (known[i] ? null : env.read(atom)));
      const outputs = inPlaceOf(requireBuilder(), eqn, () => split.finish(split.residuals.map(residual), unknown));
      outputs.forEach((value, i) => {
        if (value !== null) env.write(eqn.outputs[i] as Var, value);
      });
    },
  });
}
