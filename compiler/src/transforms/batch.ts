/**
 * Vectorization: a Jaxpr mapped over an axis of some of its inputs. Equations that no mapped value reaches are kept as
 * they are. Placements don't change: a mapped axis is an ordinary axis of each member's value.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import type { Jaxpr } from "../ir/jaxpr.ts";
import { range } from "../ir/shape.ts";
import { primitiveOf } from "../primitives/define.ts";
import { lax } from "../primitives/lax.ts";
import { withAmbient } from "../trace/builder.ts";
import type { Value } from "../trace/ndarray.ts";
import { emitLike, Env, inPlaceOf, requireBuilder, traceClosed } from "./walk.ts";

export interface Batched {
  readonly value: Value;
  /** The mapped axis, null if the value is the same for each index. */
  readonly dim: number | null;
}

/** Stages `jaxpr`, mapped, into the current trace. */
export function batchInline(jaxpr: Jaxpr, inputs: readonly Batched[], size: number): Batched[] {
  const builder = requireBuilder();
  const env = new Env<Batched>((value) => ({ value, dim: null }));
  env.writeAll(jaxpr.invars, inputs);
  for (const eqn of jaxpr.eqns) {
    const operands = env.readAll(eqn.inputs);
    const values = operands.map((operand) => operand.value);
    const dims = operands.map((operand) => operand.dim);
    if (dims.every((dim) => dim === null)) {
      const outputs = emitLike(builder, eqn, values);
      env.writeAll(
        eqn.outputs,
        outputs.map((value) => ({ value, dim: null })),
      );
      continue;
    }
    const result = inPlaceOf(builder, eqn, () =>
      primitiveOf(eqn.primitive).batch({
        inputs: values,
        dims,
        size,
        sizeOf: () => size,
        params: eqn.params,
        lax,
        batchJaxpr: (inner, mapped, force) => batchJaxpr(inner, mapped, force, size),
      }),
    );
    env.writeAll(
      eqn.outputs,
      result.outputs.map((value, i) => ({ value, dim: result.dims[i] ?? null })),
    );
  }
  return env.readAll(jaxpr.outvars);
}

/** The value with its mapped axis at `to`, repeated along it if it is not mapped. */
export function materialize({ value, dim }: Batched, size: number, to = 0): Value {
  if (dim !== null) return moveAxis(value, dim, to);
  const { shape } = value.aval;
  const kept = range(shape.length).map((axis) => (axis < to ? axis : axis + 1));
  const spread = [...shape.slice(0, to), size, ...shape.slice(to)];
  return withAmbient(requireBuilder(), value.aval.placement, () => lax.broadcast_in_dim(value, spread, kept));
}

export function moveAxis(value: Value, from: number, to: number): Value {
  if (from === to) return value;
  const others = range(value.aval.shape.length).filter((axis) => axis !== from);
  return lax.transpose(value, [...others.slice(0, to), from, ...others.slice(to)]);
}

export function withLeadingAxis(aval: Aval, size: number): Aval {
  return { ...aval, shape: [size, ...aval.shape] };
}

/** See `BatchArgs.batchJaxpr`. */
export function batchJaxpr(
  jaxpr: Jaxpr,
  mapped: readonly boolean[],
  force: readonly boolean[],
  size: number,
): { jaxpr: Jaxpr; mapped: boolean[] } {
  const avals = jaxpr.invars.map(({ aval }, i) => (mapped[i] ? withLeadingAxis(aval, size) : aval));
  let mappedOut: boolean[] = [];
  const result = traceClosed(avals, (args) => {
    const inputs = args.map((value, i): Batched => ({ value, dim: mapped[i] ? 0 : null }));
    const outputs = batchInline(jaxpr, inputs, size);
    invariant(outputs.length === force.length, "force has an entry per output");
    mappedOut = outputs.map((output, i) => output.dim !== null || force[i] === true);
    return outputs.map((output, i) => (mappedOut[i] ? materialize(output, size) : output.value));
  });
  return { jaxpr: result, mapped: mappedOut };
}
