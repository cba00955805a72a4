/**
 * Reverse mode's second half: the transpose of a Jaxpr that is linear in some of its inputs. Equations that no linear
 * input reaches are staged first, as they are; the others are walked backwards, each by its primitive's rule.
 */
import { FaxError, invariant } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Atom, Eqn, Jaxpr, Var } from "../ir/jaxpr.ts";
import { primitiveOf } from "../primitives/define.ts";
import { lax } from "../primitives/lax.ts";
import type { Linear, Tangent } from "../primitives/primitive.ts";
import type { Value } from "../trace/ndarray.ts";
import { tangentAval, zerosOf } from "./jvp.ts";
import { emitLike, Env, inPlaceOf, requireBuilder, traceClosed } from "./walk.ts";
import { withAmbient, withSource } from "../trace/builder.ts";

/**
 * Stages the cotangents of the linear inputs into the current trace.
 *
 * @param inputs the inputs that are not linear, null for the linear ones
 * @returns a cotangent per input, null for zeros and for inputs that are not linear
 */
export function transposeInline(
  jaxpr: Jaxpr,
  inputs: readonly (Value | null)[],
  cotangents: readonly Tangent[],
): Tangent[] {
  const builder = requireBuilder();
  const forward = new Env<Value>((value) => value);
  jaxpr.invars.forEach((variable, i) => {
    const input = inputs[i] ?? null;
    if (input !== null) forward.write(variable, input);
  });
  const linearEqns: Eqn[] = [];
  for (const eqn of jaxpr.eqns) {
    const known = eqn.inputs.every((atom) => atom.kind === "literal" || forward.has(atom));
    if (known) forward.writeAll(eqn.outputs, emitLike(builder, eqn, forward.readAll(eqn.inputs)));
    else linearEqns.push(eqn);
  }
  const accumulated = new Map<Var, Value>();
  const accumulate = (atom: Atom, cotangent: Tangent): void => {
    if (cotangent === null || atom.kind === "literal" || forward.has(atom)) return;
    const before = accumulated.get(atom);
    if (before === undefined) accumulated.set(atom, cotangent);
    // The sum lies where the value lies, which is not where a communication that reads it gives its result.
    else
      accumulated.set(
        atom,
        withAmbient(builder, atom.aval.placement, () => lax.add(before, cotangent)),
      );
  };
  jaxpr.outvars.forEach((atom, i) => accumulate(atom, cotangents[i] ?? null));
  for (const eqn of linearEqns.reverse()) {
    const outputs = eqn.outputs.map((variable) => accumulated.get(variable) ?? null);
    if (outputs.every((cotangent) => cotangent === null)) continue;
    const results = transposeEqn(eqn, outputs, forward);
    withSource(builder, eqn.source, () => eqn.inputs.forEach((atom, i) => accumulate(atom, results[i] ?? null)));
  }
  return jaxpr.invars.map((variable) => accumulated.get(variable) ?? null);
}

function transposeEqn(eqn: Eqn, cotangents: readonly Tangent[], forward: Env<Value>): readonly Tangent[] {
  const primitive = primitiveOf(eqn.primitive);
  const { transpose } = primitive;
  if (transpose === "not linear") {
    throw new FaxError({
      code: "FAX1405",
      message: `${eqn.primitive} is not linear, so it has no transpose`,
      source: eqn.source,
      help: "linearize the function first: vjp and grad do so by themselves",
    });
  }
  const inputs = eqn.inputs.map((atom): Value | Linear =>
    atom.kind === "literal" || forward.has(atom) ? forward.read(atom) : { kind: "linear", aval: atom.aval },
  );
  return inPlaceOf(requireBuilder(), eqn, () =>
    transpose({ cotangents, inputs, params: eqn.params, lax, transposeJaxpr }),
  );
}

/** See `TransposeJaxpr`. */
export function transposeJaxpr(jaxpr: Jaxpr, linear: readonly boolean[]): Jaxpr {
  const nonlinear = jaxpr.invars.filter((_, i) => !linear[i]).map((variable) => variable.aval);
  const cotangentAvals = jaxpr.outvars.map((atom): Aval => {
    invariant(isFloat(atom.aval.dtype), "only floats have cotangents");
    return tangentAval(atom.aval);
  });
  return traceClosed([...nonlinear, ...cotangentAvals], (args) => {
    let next = 0;
    const inputs = jaxpr.invars.map((_, i) => (linear[i] ? null : (args[next++] as Value)));
    const result = transposeInline(jaxpr, inputs, args.slice(next));
    return jaxpr.invars.flatMap((variable, i) => (linear[i] ? [result[i] ?? zerosOf(tangentAval(variable.aval))] : []));
  });
}
