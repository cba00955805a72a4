/**
 * The reference evaluator: every primitive on the CPU in plain typed arrays, one array for each member of a group. It
 * never sees an erased group axis, so it is an independent oracle for all that the compiler does with placements.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import { allocateHostArray, type HostArray, roundToF16 } from "../ir/host-array.ts";
import type { Atom, Eqn, Jaxpr, Var } from "../ir/jaxpr.ts";
import { memberCount, server } from "../ir/placement.ts";
import { range, sizeOf } from "../ir/shape.ts";
import { primitiveOf } from "../primitives/define.ts";
import type { PlacedValue } from "../primitives/primitive.ts";

/** Evaluates a Jaxpr without constvars. */
export function evaluate(jaxpr: Jaxpr, inputs: readonly PlacedValue[]): PlacedValue[] {
  invariant(jaxpr.constvars.length === 0, "constvars are inputs here");
  const env = new Map<Var, PlacedValue>(jaxpr.invars.map((variable, i) => [variable, inputs[i] as PlacedValue]));
  const read = (atom: Atom): PlacedValue => {
    if (atom.kind === "literal") return { placement: server, members: [literalArray(atom.value, atom.aval)] };
    const value = env.get(atom);
    invariant(value !== undefined, "a variable is read before it is defined");
    return value;
  };
  const lastUse = lastUses(jaxpr);
  jaxpr.eqns.forEach((eqn, i) => {
    const outputs = evaluateEqn(eqn, eqn.inputs.map(read));
    eqn.outputs.forEach((variable, k) => env.set(variable, outputs[k] as PlacedValue));
    for (const variable of lastUse.get(i) ?? []) env.delete(variable);
  });
  return jaxpr.outvars.map(read);
}

/** What may be forgotten after each equation. */
function lastUses(jaxpr: Jaxpr): Map<number, Var[]> {
  const last = new Map<Var, number>();
  jaxpr.eqns.forEach((eqn, i) => {
    for (const atom of [...eqn.inputs, ...eqn.outputs]) if (atom.kind === "var") last.set(atom, i);
  });
  for (const atom of jaxpr.outvars) if (atom.kind === "var") last.delete(atom);
  const byEqn = new Map<number, Var[]>();
  for (const [variable, i] of last) byEqn.set(i, [...(byEqn.get(i) ?? []), variable]);
  return byEqn;
}

function evaluateEqn(eqn: Eqn, inputs: readonly PlacedValue[]): readonly PlacedValue[] {
  const primitive = primitiveOf(eqn.primitive);
  if (primitive.kind === "communication") return primitive.impl(inputs, eqn.params);
  if (primitive.kind === "control") {
    const results = primitive.impl(inputs, eqn.params, evaluate);
    return results.map((value, i) => spread(value, (eqn.outputs[i] as Var).aval));
  }
  const placement = eqn.outputs[0]?.aval.placement ?? server;
  const results = range(memberCount(placement)).map((member) =>
    primitive.impl(
      inputs.map((input) => (input.members[member] ?? input.members[0]) as HostArray),
      eqn.params,
    ),
  );
  return eqn.outputs.map((_, i) => ({ placement, members: results.map((result) => result[i] as HostArray) }));
}

/** A literal result of a loop body stands for a value of every member. */
function spread(value: PlacedValue, aval: Aval): PlacedValue {
  const count = memberCount(aval.placement);
  if (value.members.length === count) return value;
  return { placement: aval.placement, members: range(count).map(() => value.members[0] as HostArray) };
}

function literalArray(value: number, aval: Aval): HostArray {
  const array = allocateHostArray(aval.dtype, []);
  array.data[0] = aval.dtype === "f16" ? roundToF16(value) : value;
  return array;
}

/** An array whose leading axes are the groups of `aval`'s placement, cut into members; and back. */
export function toMembers(array: HostArray, aval: Aval): PlacedValue {
  const size = sizeOf(aval.shape);
  const members = range(memberCount(aval.placement)).map((i) => ({
    dtype: array.dtype,
    shape: aval.shape,
    data: array.data.slice(i * size, (i + 1) * size),
  }));
  return { placement: aval.placement, members };
}

export function fromMembers(value: PlacedValue, aval: Aval): HostArray {
  const groups = aval.placement.groups.map((group) => group.size);
  const array = allocateHostArray(aval.dtype, [...groups, ...aval.shape]);
  const size = sizeOf(aval.shape);
  for (const i of range(memberCount(aval.placement))) {
    array.data.set((value.members[i] ?? (value.members[0] as HostArray)).data, i * size);
  }
  return array;
}
