/** Dead-code elimination: drops equations (and parts of loops) whose results nobody uses. Keeps all inputs. */
import type { Atom, Eqn, Jaxpr } from "../ir/jaxpr.ts";
import { isJaxpr } from "../ir/jaxpr.ts";
import { primitiveOf } from "../primitives/define.ts";

export function dce(jaxpr: Jaxpr): Jaxpr {
  const live = new Set<Atom>(jaxpr.outvars);
  const kept: Eqn[] = [];
  for (const eqn of [...jaxpr.eqns].reverse()) {
    const used = eqn.outputs.map((output) => live.has(output));
    if (!used.some(Boolean)) continue;
    const pruned = pruneControl(eqn, used);
    for (const input of pruned.inputs) live.add(input);
    kept.push(pruned);
  }
  return { ...jaxpr, eqns: kept.reverse() };
}

function pruneControl(eqn: Eqn, used: readonly boolean[]): Eqn {
  const primitive = primitiveOf(eqn.primitive);
  if (primitive.kind !== "control") return eqn;
  const { params, inputs, outputs } = primitive.prune(eqn.params, used);
  return {
    ...eqn,
    inputs: eqn.inputs.filter((_, i) => inputs[i]),
    outputs: eqn.outputs.filter((_, i) => outputs[i]),
    params: mapSubJaxprs(params, dce),
  };
}

/** `params` with `pass` applied to every Jaxpr among them. */
export function mapSubJaxprs(params: Eqn["params"], pass: (jaxpr: Jaxpr) => Jaxpr): Eqn["params"] {
  const entries = Object.entries(params);
  if (!entries.some(([, param]) => isJaxpr(param))) return params;
  return Object.fromEntries(entries.map(([name, param]) => [name, isJaxpr(param) ? pass(param) : param]));
}
