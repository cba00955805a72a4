/**
 * Placement erasure: the group axes of a program are made real. A value at a group becomes an array at the server whose
 * leading axes are the groups, outermost first, unless all members hold the same value. Guarantees a Jaxpr in which every
 * value is at the server and no communication is left.
 */
import { invariant } from "../diagnostics/index.ts";
import { type Aval, atPlacement } from "../ir/aval.ts";
import { type Eqn, isJaxpr, type Jaxpr } from "../ir/jaxpr.ts";
import { innermost, leave, server } from "../ir/placement.ts";
import { primitiveOf } from "../primitives/define.ts";
import { lax } from "../primitives/lax.ts";
import type { BatchResult } from "../primitives/primitive.ts";
import { type JaxprBuilder, withAmbient, withSource } from "../trace/builder.ts";
import { type Batched, materialize, withLeadingAxis } from "../transforms/batch.ts";
import { emitLike, Env, traceClosed } from "../transforms/walk.ts";

/** The type in memory of a value: its groups as leading axes. */
export function erasedAval(aval: Aval): Aval {
  const groups = aval.placement.groups.map((group) => group.size);
  return { ...aval, shape: [...groups, ...aval.shape], placement: server };
}

export function erasePlacements(jaxpr: Jaxpr): Jaxpr {
  let result = jaxpr;
  for (let depth = depthOf(jaxpr); depth > 0; depth--) {
    const at = (aval: Aval): boolean => aval.placement.groups.length === depth;
    const mapped = result.invars.map(({ aval }) => at(aval));
    const force = result.outvars.map((atom) => atom.kind === "var" && at(atom.aval));
    result = eraseDepth(result, depth, mapped, force).jaxpr;
  }
  return result;
}

/** How deep the deepest placement lies. */
function depthOf(jaxpr: Jaxpr): number {
  let depth = 0;
  const see = (aval: Aval): void => {
    depth = Math.max(depth, aval.placement.groups.length);
  };
  for (const { aval } of [...jaxpr.constvars, ...jaxpr.invars]) see(aval);
  for (const eqn of jaxpr.eqns) {
    for (const { aval } of eqn.outputs) see(aval);
    for (const inner of subJaxprs(eqn)) depth = Math.max(depth, depthOf(inner));
  }
  return depth;
}

function subJaxprs(eqn: Eqn): Jaxpr[] {
  return Object.values(eqn.params).filter((param) => isJaxpr(param));
}

function groupSize(aval: Aval): number {
  const group = innermost(aval.placement);
  invariant(group !== undefined, "a value at the server has no group axis");
  return group.size;
}

function eraseDepth(
  jaxpr: Jaxpr,
  depth: number,
  mapped: readonly boolean[],
  force: readonly boolean[],
): { jaxpr: Jaxpr; mapped: boolean[] } {
  const isDeep = (aval: Aval): boolean => aval.placement.groups.length === depth;
  const shallow = (aval: Aval): Aval => (isDeep(aval) ? atPlacement(aval, leave(aval.placement)) : aval);
  const avals = jaxpr.invars.map(({ aval }, i) => {
    const outer = shallow(aval);
    return mapped[i] ? withLeadingAxis(outer, groupSize(aval)) : outer;
  });
  let mappedOut: boolean[] = [];
  const result = traceClosed(avals, (args, builder) => {
    const env = new Env<Batched>((value) => ({ value, dim: null }));
    env.writeAll(
      jaxpr.invars,
      args.map((value, i) => ({ value, dim: mapped[i] ? 0 : null })),
    );
    for (const eqn of jaxpr.eqns) eraseEqn(eqn, builder, env, { depth, isDeep, shallow });
    const outputs = env.readAll(jaxpr.outvars);
    mappedOut = outputs.map((output, i) => output.dim !== null || force[i] === true);
    return outputs.map((output, i) => {
      if (!mappedOut[i]) return output.value;
      const atom = jaxpr.outvars[i];
      invariant(atom !== undefined, "an output per outvar");
      return materialize(output, output.dim === null ? groupSize(atom.aval) : 0);
    });
  });
  return { jaxpr: result, mapped: mappedOut };
}

interface Level {
  readonly depth: number;
  readonly isDeep: (aval: Aval) => boolean;
  readonly shallow: (aval: Aval) => Aval;
}

function eraseEqn(eqn: Eqn, builder: JaxprBuilder, env: Env<Batched>, { depth, isDeep, shallow }: Level): void {
  const primitive = primitiveOf(eqn.primitive);
  const operands = env.readAll(eqn.inputs);
  const inputs = operands.map((operand) => operand.value);
  const dims = operands.map((operand) => operand.dim);
  const anyMapped = dims.some((dim) => dim !== null);
  const outputAvals = eqn.outputs.map(({ aval }) => shallow(aval));
  const write = (result: BatchResult): void =>
    env.writeAll(
      eqn.outputs,
      result.outputs.map((value, i) => ({ value, dim: result.dims[i] ?? null })),
    );
  const keep = (): void =>
    write({ outputs: emitLike(builder, eqn, inputs, eqn.params, outputAvals), dims: eqn.outputs.map(() => null) });
  const run = (rule: () => BatchResult): void =>
    write(withAmbient(builder, outputAvals[0]?.placement ?? server, () => withSource(builder, eqn.source, rule)));
  const deepInput = eqn.inputs.find((atom) => atom.kind === "var" && isDeep(atom.aval));
  const deepOutput = eqn.outputs.find(({ aval }) => isDeep(aval));
  const { params } = eqn;

  if (primitive.kind === "communication") {
    const crossing = deepOutput ?? deepInput;
    if (crossing === undefined) return keep();
    const size = groupSize(crossing.aval);
    return run(() => primitive.erase({ inputs, dims, size, params, lax }));
  }
  if (primitive.kind === "control") {
    const inside = subJaxprs(eqn).some((inner) => depthOf(inner) >= depth);
    if (!anyMapped && !inside) return keep();
    return run(() =>
      primitive.batch({
        inputs,
        dims,
        size: 0,
        sizeOf: groupSize,
        params,
        lax,
        batchJaxpr: (inner, mapped, force) => eraseDepth(inner, depth, mapped, force),
      }),
    );
  }
  if (!anyMapped) return keep();
  invariant(deepOutput !== undefined, `${eqn.primitive} mixes placements`);
  const size = groupSize(deepOutput.aval);
  run(() =>
    primitive.batch({
      inputs,
      dims,
      size,
      sizeOf: () => size,
      params: withoutPlacement(params),
      lax,
      batchJaxpr: () => {
        throw new Error("an ordinary primitive carries no Jaxpr");
      },
    }),
  );
}

function withoutPlacement(params: Eqn["params"]): Eqn["params"] {
  const { placement: _, ...rest } = params;
  return rest;
}
