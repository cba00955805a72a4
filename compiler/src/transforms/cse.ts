/** Common subexpressions: an equation that equals an earlier one gives the earlier one's results. */
import type { Atom, Eqn, Jaxpr, Param, Var } from "../ir/jaxpr.ts";
import { isJaxpr } from "../ir/jaxpr.ts";
import { mapSubJaxprs } from "./dce.ts";

export function cse(jaxpr: Jaxpr): Jaxpr {
  const replaced = new Map<Var, Var>();
  const seen = new Map<string, Eqn>();
  const rename = (atom: Atom): Atom => (atom.kind === "var" ? (replaced.get(atom) ?? atom) : atom);
  const eqns: Eqn[] = [];
  for (const original of jaxpr.eqns) {
    const eqn = { ...original, inputs: original.inputs.map(rename), params: mapSubJaxprs(original.params, cse) };
    const key = keyOf(eqn);
    const earlier = key === null ? undefined : seen.get(key);
    if (earlier) {
      eqn.outputs.forEach((output, i) => replaced.set(output, earlier.outputs[i] as Var));
      continue;
    }
    if (key !== null) seen.set(key, eqn);
    eqns.push(eqn);
  }
  return { ...jaxpr, eqns, outvars: jaxpr.outvars.map(rename) };
}

/** Equal for equations that compute the same, and for those only; null for equations that carry Jaxprs. */
function keyOf(eqn: Eqn): string | null {
  if (Object.values(eqn.params).some((param) => isJaxpr(param))) return null;
  const inputs = eqn.inputs.map((atom) =>
    atom.kind === "var"
      ? `v${atom.id}`
      : `${Object.is(atom.value, -0) ? "-0" : atom.value}:${atom.aval.weak ? "~" : ""}${atom.aval.dtype}`,
  );
  return `${eqn.primitive}(${inputs.join(",")})${paramKey(eqn.params)}`;
}

function paramKey(param: Param | undefined): string {
  if (param === null || typeof param !== "object")
    return typeof param === "string" ? JSON.stringify(param) : String(param);
  if (Array.isArray(param)) return `[${param.map(paramKey).join(",")}]`;
  const entries = Object.entries(param as { readonly [key: string]: Param | undefined });
  const sorted = entries.filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([name, value]) => `${name}:${paramKey(value)}`).join(",")}}`;
}
