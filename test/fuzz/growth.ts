/**
 * A program that grows equation by equation with its values at hand: an equation stays if its results are finite and of
 * ordinary size, so that what is drawn is worth running.
 */
import {
  type Aval,
  atPlacement,
  avalOf,
  type Atom,
  type DType,
  type Eqn,
  FaxError,
  freshVar,
  isFloat,
  type Jaxpr,
  jaxprOf,
  literal,
  memberCount,
  type Params,
  type PlacedValue,
  primitiveOf,
  samePlacement,
  server,
  type Shape,
  sizeOf,
  type Var,
} from "@fax/compiler";
import type { Random } from "../support/random.ts";
import { hostArrayOf } from "../support/values.ts";
import { evaluateKnown, type Known, onGrid } from "./exactness.ts";

export interface GenerateOptions {
  /** How many equations to try for. */
  readonly equations: number;
  /** Only functions with derivatives, on floats. */
  readonly smooth: boolean;
  /** Whether values lie at groups. */
  readonly federated: boolean;
  /** The types of inputs, and the most elements of a result. */
  readonly shapes: readonly Shape[];
  readonly maxElements: number;
}

/** One way to grow. */
export interface Rule {
  readonly name: string;
  /** Has derivatives where it is applied, or leaves floats alone. */
  readonly smooth: boolean;
  /** Takes or gives values at a group. */
  readonly federated?: boolean;
  /** Not in the body of a loop, where only the values of the first iteration are known. */
  readonly outermost?: boolean;
  apply(growth: Growth): unknown;
}

export interface Entry extends Known {
  readonly variable: Var;
}

/** The program so far. */
export class Growth {
  readonly random: Random;
  readonly options: GenerateOptions;
  readonly rules: readonly Rule[];
  /** How many loops are around. */
  readonly depth: number;
  readonly inputs: Entry[] = [];
  readonly entries: Entry[] = [];
  readonly eqns: Eqn[] = [];
  readonly used = new Set<Var>();

  constructor(random: Random, rules: readonly Rule[], options: GenerateOptions, depth = 0) {
    this.random = random;
    this.rules = rules;
    this.options = options;
    this.depth = depth;
  }

  addInput(aval: Aval, known: Known): Entry {
    const entry = { ...known, variable: freshVar(aval) };
    this.inputs.push(entry);
    this.entries.push(entry);
    return entry;
  }

  /** An entry of the given kind, newer ones rather; undefined if there is none. */
  find(fits: (aval: Aval, entry: Entry) => boolean): Entry | undefined {
    const found = this.entries.filter((entry) => fits(entry.variable.aval, entry));
    if (found.length === 0) return undefined;
    const fresh = found.filter(({ variable }) => !this.used.has(variable));
    return this.random.pick(fresh.length > 0 && this.random.chance(0.75) ? fresh : found);
  }

  /** Adds an equation if it is legal and its results are ordinary; gives its results, or null. */
  tryAdd(name: string, inputs: readonly (Entry | number)[], params: Params = {}, dtype: DType = "f32"): Entry[] | null {
    const primitive = primitiveOf(name);
    const places = inputs.flatMap((input) => (typeof input === "number" ? [] : [input.variable.aval.placement]));
    const placement = places[0] ?? server;
    const atoms = inputs.map((input): Atom =>
      typeof input === "number" ? literal(input, avalOf(dtype, [])) : input.variable,
    );
    let avals: readonly Aval[];
    try {
      avals = primitive.abstractEval(
        atoms.map(({ aval }) => aval),
        params,
      );
    } catch (error) {
      // What is illegal is not drawn; a fault that is not the user's is one of ours.
      if (error instanceof FaxError) return null;
      throw error;
    }
    const uniform = primitive.kind === "elementwise" || primitive.kind === "array";
    const outputs = avals.map((aval) => freshVar({ ...(uniform ? atPlacement(aval, placement) : aval), weak: false }));
    if (outputs.some(({ aval }) => sizeOf(aval.shape) * memberCount(aval.placement) > this.options.maxElements))
      return null;
    const eqn: Eqn = { primitive: name, inputs: atoms, params, outputs, source: null };
    const known = evaluateKnown(
      eqn,
      inputs.map((input) => (typeof input === "number" ? knownScalar(dtype, input) : input)),
    );
    if (!known.every(({ value }) => isOrdinary(value))) return null;
    this.eqns.push(eqn);
    for (const input of inputs) if (typeof input !== "number") this.used.add(input.variable);
    const added = outputs.map((variable, i): Entry => ({ ...(known[i] as Known), variable }));
    this.entries.push(...added);
    return added;
  }

  grow(): void {
    const { smooth, federated } = this.options;
    const usable = this.rules.filter(
      (rule) => (!smooth || rule.smooth) && (federated || !rule.federated) && (this.depth === 0 || !rule.outermost),
    );
    let tries = 0;
    const target = this.eqns.length + this.options.equations;
    while (this.eqns.length < target && tries++ < 12 * this.options.equations) {
      this.random.pick(usable).apply(this);
    }
  }

  finish(outputs: readonly Entry[]): Jaxpr {
    return jaxprOf({
      constvars: [],
      invars: this.inputs.map(({ variable }) => variable),
      eqns: this.eqns,
      outvars: outputs.map(({ variable }) => variable),
    });
  }
}

function knownScalar(dtype: DType, value: number): Known {
  const placed = { placement: server, members: [hostArrayOf(dtype, [], [value])] };
  return { value: placed, exact: onGrid(placed) };
}

function isOrdinary(value: PlacedValue): boolean {
  return value.members.every(({ dtype, data }) =>
    data.every((x) => !isFloat(dtype) || (Number.isFinite(x) && Math.abs(x) < 200 && (x === 0 || Math.abs(x) > 1e-4))),
  );
}

export function sameType(a: Aval, b: Aval): boolean {
  return a.dtype === b.dtype && a.shape.join() === b.shape.join() && samePlacement(a.placement, b.placement);
}
