/** Structural equality of Jaxprs: up to the identity of variables and the sources of equations, and in all else exact. */
import { sameAval } from "./aval.ts";
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
import { samePlacement } from "./placement.ts";

/** Numbers are compared by `Object.is`: nan equals nan, and 0 differs from -0. */
export function equalJaxpr(a: Jaxpr, b: Jaxpr): boolean {
  const renaming = new Map<Var, Var>();
  const bind = (xs: readonly Var[], ys: readonly Var[]): boolean =>
    sameLists(xs, ys, (x, y) => {
      renaming.set(x, y);
      return sameAval(x.aval, y.aval);
    });
  const sameAtom = (x: Atom, y: Atom): boolean => {
    if (x.kind === "var") return renaming.get(x) === y;
    return (
      y.kind === "literal" &&
      Object.is(x.value, y.value) &&
      x.aval.dtype === y.aval.dtype &&
      x.aval.weak === y.aval.weak
    );
  };
  return (
    bind(a.constvars, b.constvars) &&
    bind(a.invars, b.invars) &&
    sameLists(
      a.eqns,
      b.eqns,
      (x, y) =>
        x.primitive === y.primitive &&
        sameLists(x.inputs, y.inputs, sameAtom) &&
        equalParam(x.params, y.params) &&
        bind(x.outputs, y.outputs),
    ) &&
    sameLists(a.outvars, b.outvars, sameAtom)
  );
}

/** The same for parameters; absent entries count as none. */
export function equalParam(a: Param | Params, b: Param | Params): boolean {
  if (!isObject(a) || !isObject(b)) return Object.is(a, b);
  if (isJaxpr(a) || isJaxpr(b)) return isJaxpr(a) && isJaxpr(b) && equalJaxpr(a, b);
  if (isPlacement(a) || isPlacement(b)) return isPlacement(a) && isPlacement(b) && samePlacement(a, b);
  if (isList(a) || isList(b)) return isList(a) && isList(b) && sameLists(a, b, equalParam);
  return sameLists(
    sortedEntries(a),
    sortedEntries(b),
    ([aName, aValue], [bName, bValue]) => aName === bName && equalParam(aValue, bValue),
  );
}

type ObjectParam = Extract<Param, object> | Params;

function isObject(param: Param | Params): param is ObjectParam {
  return typeof param === "object" && param !== null;
}

function isList(param: ObjectParam): param is readonly Param[] {
  return Array.isArray(param);
}

function sameLists<T, U>(a: readonly T[], b: readonly U[], same: (x: T, y: U) => boolean): boolean {
  return a.length === b.length && a.every((x, i) => same(x, b[i] as U));
}
