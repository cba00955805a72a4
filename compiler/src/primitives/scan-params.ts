/** What the rules of `scan` share: its parameters, and how lists of inputs are cut, and the carries of its body. */
import { type Atom, type Eqn, freshVar, type Jaxpr, type Params, type Var } from "../ir/jaxpr.ts";
import { isServer } from "../ir/placement.ts";

export interface ScanParams extends Params {
  /** `(consts, carry, x) → (carry, y)`, without constvars. */
  readonly jaxpr: Jaxpr;
  readonly length: number;
  readonly reverse: boolean;
  readonly num_consts: number;
  readonly num_carry: number;
}

/** A list cut into consts, carry and the rest. */
export function split<T>(list: readonly T[], params: ScanParams): { consts: T[]; carry: T[]; xs: T[] } {
  const { num_consts, num_carry } = params;
  return {
    consts: list.slice(0, num_consts),
    carry: list.slice(num_consts, num_consts + num_carry),
    xs: list.slice(num_consts + num_carry),
  };
}

/** The carries that a property reaches, going round the loop until nothing changes. */
export function fixpoint(
  start: readonly boolean[],
  step: (carry: readonly boolean[]) => readonly boolean[],
): boolean[] {
  let carry = [...start];
  for (;;) {
    const next = step(carry).map((flag, i) => flag || carry[i] === true);
    if (next.every((flag, i) => flag === carry[i])) return carry;
    carry = next;
  }
}

/**
 * The same loop with a variable for each carry that the body gives as a literal: a variable's type says where it lies, and
 * passes read it.
 */
export function withVariableCarries(params: ScanParams): ScanParams {
  const { jaxpr, num_carry } = params;
  const { carry } = split(jaxpr.invars, params);
  const spread: Eqn[] = [];
  const outvars = jaxpr.outvars.map((atom, i): Atom => {
    if (i >= num_carry || atom.kind === "var") return atom;
    const { placement } = (carry[i] as Var).aval;
    const output = freshVar({ ...atom.aval, placement });
    const place = isServer(placement) ? {} : { placement };
    const spreadParams = { shape: [], broadcast_dimensions: [], ...place };
    spread.push({
      primitive: "broadcast_in_dim",
      inputs: [atom],
      params: spreadParams,
      outputs: [output],
      source: null,
    });
    return output;
  });
  if (spread.length === 0) return params;
  return { ...params, jaxpr: { ...jaxpr, eqns: [...jaxpr.eqns, ...spread], outvars } };
}
