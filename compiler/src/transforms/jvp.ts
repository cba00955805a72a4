/**
 * Forward mode: the pushforward of a Jaxpr. Expects a Jaxpr without constvars; guarantees that equations which no nonzero
 * tangent reaches are kept as they are.
 */
import { type Aval, strong } from "../ir/aval.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Atom, Jaxpr } from "../ir/jaxpr.ts";
import { isServer } from "../ir/placement.ts";
import { primitiveOf } from "../primitives/define.ts";
import { lax } from "../primitives/lax.ts";
import type { Tangent } from "../primitives/primitive.ts";
import { withAmbient } from "../trace/builder.ts";
import { constant, type Value } from "../trace/ndarray.ts";
import { emitLike, Env, inPlaceOf, requireBuilder, traceClosed } from "./walk.ts";

/** The type of a tangent: that of its value, and never weak. */
export function tangentAval(aval: Aval): Aval {
  return strong(aval);
}

interface Dual {
  readonly primal: Value;
  readonly tangent: Tangent;
}

/** Stages the outputs of `jaxpr` and their tangents into the current trace. */
export function jvpInline(
  jaxpr: Jaxpr,
  primals: readonly Value[],
  tangents: readonly Tangent[],
): { outputs: Value[]; tangents: Tangent[] } {
  const builder = requireBuilder();
  const env = new Env<Dual>((value) => ({ primal: value, tangent: null }));
  env.writeAll(
    jaxpr.invars,
    primals.map((primal, i) => ({ primal, tangent: tangents[i] ?? null })),
  );
  for (const eqn of jaxpr.eqns) {
    const inputs = env.readAll(eqn.inputs);
    const inPrimals = inputs.map((input) => input.primal);
    const inTangents = inputs.map((input) => input.tangent);
    if (inTangents.every((tangent) => tangent === null)) {
      const outputs = emitLike(builder, eqn, inPrimals);
      env.writeAll(
        eqn.outputs,
        outputs.map((primal) => ({ primal, tangent: null })),
      );
      continue;
    }
    const primitive = primitiveOf(eqn.primitive);
    const result = inPlaceOf(builder, eqn, () =>
      primitive.jvp({
        primals: inPrimals,
        tangents: inTangents,
        params: eqn.params,
        lax,
        jvpJaxpr,
      }),
    );
    env.writeAll(
      eqn.outputs,
      result.outputs.map((primal, i) => ({
        primal,
        tangent: isFloat(primal.aval.dtype) ? (result.tangents[i] ?? null) : null,
      })),
    );
  }
  const outputs = env.readAll(jaxpr.outvars);
  return { outputs: outputs.map((output) => output.primal), tangents: outputs.map((output) => output.tangent) };
}

/** A zero of the given type, placed like it. */
export function zerosOf(aval: Aval): Value {
  const zero = constant(0, aval.dtype);
  if (aval.shape.length === 0 && isServer(aval.placement)) return zero;
  return withAmbient(requireBuilder(), aval.placement, () => lax.broadcast_in_dim(zero, aval.shape, []));
}

/** See `JvpJaxpr`. */
export function jvpJaxpr(
  jaxpr: Jaxpr,
  nonzero: readonly boolean[],
  force: readonly boolean[] = jaxpr.outvars.map(() => false),
): { jaxpr: Jaxpr; nonzero: boolean[] } {
  const primalAvals = jaxpr.invars.map((variable) => variable.aval);
  const tangentAvals = primalAvals.filter((_, i) => nonzero[i]).map(tangentAval);
  let nonzeroOut: boolean[] = [];
  const result = traceClosed([...primalAvals, ...tangentAvals], (args) => {
    const primals = args.slice(0, primalAvals.length);
    let next = primalAvals.length;
    const tangents = primals.map((_, i) => (nonzero[i] ? (args[next++] as Value) : null));
    const out = jvpInline(jaxpr, primals, tangents);
    const forced = out.tangents.map((tangent, i) =>
      tangent === null && force[i] && isFloat((out.outputs[i] as Value).aval.dtype)
        ? zerosOf(tangentAval((jaxpr.outvars[i] as Atom).aval))
        : tangent,
    );
    nonzeroOut = forced.map((tangent) => tangent !== null);
    return [...out.outputs, ...forced.filter((tangent) => tangent !== null)];
  });
  return { jaxpr: result, nonzero: nonzeroOut };
}
