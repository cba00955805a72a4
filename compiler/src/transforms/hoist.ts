/**
 * Loop-invariant code motion: an equation of a scan's body that depends on the scan's consts alone is computed once, in
 * front of the scan, and enters it as a const. Pure equations alone exist, so this is right for any number of iterations.
 */
import { type Atom, type Eqn, freshVar, type Jaxpr, type Var } from "../ir/jaxpr.ts";
import { primitiveOf } from "../primitives/define.ts";
import type { ScanParams } from "../primitives/scan-params.ts";
import { mapSubJaxprs } from "./dce.ts";

export function hoist(jaxpr: Jaxpr): Jaxpr {
  const eqns = jaxpr.eqns.flatMap((eqn) => {
    const inner = { ...eqn, params: mapSubJaxprs(eqn.params, hoist) };
    return inner.primitive === "scan" ? hoistFromScan(inner, inner.params as ScanParams) : [inner];
  });
  return { ...jaxpr, eqns };
}

function hoistFromScan(eqn: Eqn, params: ScanParams): Eqn[] {
  const { jaxpr, num_consts } = params;
  /** What a variable of the body is outside. */
  const outside = new Map<Atom, Atom>();
  jaxpr.invars.slice(0, num_consts).forEach((variable, i) => {
    // A literal would leave an equation without a variable to say its placement.
    const given = eqn.inputs[i];
    if (given?.kind === "var") outside.set(variable, given);
  });
  const hoisted: Eqn[] = [];
  const kept: Eqn[] = [];
  const moved: Var[] = [];
  for (const inner of jaxpr.eqns) {
    const variables = inner.inputs.filter((atom) => atom.kind === "var");
    // What depends on nothing is as cheap inside, and needs no memory there. Communication stays in its round.
    const stays = variables.length === 0 || primitiveOf(inner.primitive).kind === "communication";
    if (stays || variables.some((atom) => !outside.has(atom))) {
      kept.push(inner);
      continue;
    }
    const outputs = inner.outputs.map((variable) => freshVar(variable.aval));
    inner.outputs.forEach((variable, i) => outside.set(variable, outputs[i] as Var));
    moved.push(...inner.outputs);
    hoisted.push({ ...inner, inputs: inner.inputs.map((atom) => outside.get(atom) ?? atom), outputs });
  }
  if (hoisted.length === 0) return [eqn];
  const read = new Set<Atom>([...kept.flatMap((inner) => inner.inputs), ...jaxpr.outvars]);
  const entering = moved.filter((variable) => read.has(variable));
  const body: Jaxpr = {
    ...jaxpr,
    invars: [...jaxpr.invars.slice(0, num_consts), ...entering, ...jaxpr.invars.slice(num_consts)],
    eqns: kept,
  };
  const inputs = [
    ...eqn.inputs.slice(0, num_consts),
    ...entering.map((variable) => outside.get(variable) as Atom),
    ...eqn.inputs.slice(num_consts),
  ];
  return [...hoisted, { ...eqn, inputs, params: { ...params, jaxpr: body, num_consts: num_consts + entering.length } }];
}
