/**
 * The central data structure: a program in A-normal form, typed with placements. Immutable, plain data; the rules of a
 * primitive are found by its name.
 */
import type { SourceLocation } from "../diagnostics/location.ts";
import type { Aval } from "./aval.ts";
import type { Placement } from "./placement.ts";

export interface Var {
  readonly kind: "var";
  /** Unique in the process; printing gives names in order of appearance instead. */
  readonly id: number;
  readonly aval: Aval;
}

/** A scalar constant. It fits any placement, so its aval's placement says nothing. */
export interface Literal {
  readonly kind: "literal";
  /** A bool is 0 or 1. */
  readonly value: number;
  readonly aval: Aval;
}

export type Atom = Var | Literal;

export type Param =
  | number
  | boolean
  | string
  | null
  | Placement
  | Jaxpr
  | readonly Param[]
  | { readonly kind?: undefined; readonly [key: string]: Param | undefined };

/** `undefined` entries are absent. */
export type Params = { readonly [key: string]: Param | undefined };

export interface Eqn {
  readonly primitive: string;
  readonly inputs: readonly Atom[];
  readonly params: Params;
  readonly outputs: readonly Var[];
  readonly source: SourceLocation | null;
}

export interface Jaxpr {
  readonly kind: "jaxpr";
  readonly constvars: readonly Var[];
  readonly invars: readonly Var[];
  readonly eqns: readonly Eqn[];
  readonly outvars: readonly Atom[];
}

let nextVarId = 0;

export function freshVar(aval: Aval): Var {
  return { kind: "var", id: nextVarId++, aval };
}

export function literal(value: number, aval: Aval): Literal {
  return { kind: "literal", value, aval };
}

export function jaxprOf(parts: Omit<Jaxpr, "kind">): Jaxpr {
  return { kind: "jaxpr", ...parts };
}

export function isJaxpr(param: Param | undefined): param is Jaxpr {
  return typeof param === "object" && param !== null && "kind" in param && param.kind === "jaxpr";
}

export function isPlacement(param: Param | undefined): param is Placement {
  return typeof param === "object" && param !== null && "kind" in param && param.kind === "placement";
}

/** The Jaxprs that a parameter holds, at any depth, in the order in which they are printed. */
export function jaxprsOf(param: Params | Param | undefined): Jaxpr[] {
  if (typeof param !== "object" || param === null || isPlacement(param as Param)) return [];
  if (isJaxpr(param as Param)) return [param as Jaxpr];
  if (Array.isArray(param)) return (param as readonly Param[]).flatMap(jaxprsOf);
  return sortedEntries(param as Params).flatMap(([, value]) => jaxprsOf(value));
}

/** The parameters that are present, by name. */
export function sortedEntries(params: Params): [name: string, value: Param][] {
  const present = Object.entries(params).filter((entry): entry is [string, Param] => entry[1] !== undefined);
  return present.sort(([a], [b]) => (a < b ? -1 : 1));
}
