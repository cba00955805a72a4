/** A hash that equal Jaxprs share: for finding candidates, which `equalJaxpr` then compares. */
import type { Aval } from "./aval.ts";
import {
  type Atom,
  isJaxpr,
  isPlacement,
  type Jaxpr,
  type Param,
  type Params,
  sortedEntries,
  type Var,
} from "./jaxpr.ts";

export function hashJaxpr(jaxpr: Jaxpr): number {
  const numbers = new Map<Var, number>();
  let hash = jaxpr.constvars.length;
  const bind = (variables: readonly Var[]): void => {
    for (const variable of variables) {
      numbers.set(variable, numbers.size);
      hash = mix(hash, hashAval(variable.aval));
    }
  };
  const use = (atoms: readonly Atom[]): void => {
    for (const atom of atoms) {
      hash = mix(
        hash,
        atom.kind === "var" ? (numbers.get(atom) ?? -1) : mix(hashNumber(atom.value), hashText(atom.aval.dtype)),
      );
    }
  };
  bind(jaxpr.constvars);
  bind(jaxpr.invars);
  for (const { primitive, inputs, params, outputs } of jaxpr.eqns) {
    hash = mix(hash, hashText(primitive));
    use(inputs);
    hash = mix(hash, hashParam(params));
    bind(outputs);
  }
  use(jaxpr.outvars);
  return hash;
}

function hashParam(param: Param | Params): number {
  switch (typeof param) {
    case "number":
      return hashNumber(param);
    case "string":
      return hashText(param);
    case "boolean":
      return param ? 1 : 2;
    case "object":
      break;
    default:
      return 0;
  }
  if (param === null) return 3;
  if (isJaxpr(param)) return hashJaxpr(param);
  if (isPlacement(param)) return param.groups.length;
  let hash = 5;
  if (Array.isArray(param)) {
    for (const item of param as readonly Param[]) hash = mix(hash, hashParam(item));
    return hash;
  }
  for (const [name, value] of sortedEntries(param as Params)) hash = mix(mix(hash, hashText(name)), hashParam(value));
  return hash;
}

function hashAval({ dtype, shape, placement }: Aval): number {
  let hash = mix(hashText(dtype), placement.groups.length);
  for (const size of shape) hash = mix(hash, size);
  return hash;
}

function hashText(text: string): number {
  let hash = text.length;
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash;
}

const float = new Float64Array(1);
const words = new Int32Array(float.buffer);

/** All nans are one. */
function hashNumber(value: number): number {
  if (Number.isNaN(value)) return 7;
  float[0] = value;
  return mix(words[0] as number, words[1] as number);
}

function mix(a: number, b: number): number {
  return (Math.imul(a, 31) + b) | 0;
}
