/** What every pass over a Jaxpr shares: an environment of values, and staging equations as they are. */
import { invariant } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import type { Atom, Eqn, Jaxpr, Params, Var } from "../ir/jaxpr.ts";
import { isServer, type Placement, server } from "../ir/placement.ts";
import { primitiveOf } from "../primitives/define.ts";
import { currentBuilder, type JaxprBuilder, trace, withAmbient, withSource } from "../trace/builder.ts";
import { Constant, type Value } from "../trace/ndarray.ts";

/** Values of variables while a pass walks a Jaxpr. */
export class Env<T> {
  readonly #values = new Map<Var, T>();
  readonly #fromLiteral: (value: Constant) => T;

  constructor(fromLiteral: (value: Constant) => T) {
    this.#fromLiteral = fromLiteral;
  }

  read(atom: Atom): T {
    if (atom.kind === "literal") return this.#fromLiteral(new Constant(atom));
    const value = this.#values.get(atom);
    invariant(value !== undefined, "a variable is read before it is defined");
    return value;
  }

  readAll(atoms: readonly Atom[]): T[] {
    return atoms.map((atom) => this.read(atom));
  }

  has(variable: Var): boolean {
    return this.#values.has(variable);
  }

  write(variable: Var, value: T): void {
    this.#values.set(variable, value);
  }

  writeAll(variables: readonly Var[], values: readonly T[]): void {
    invariant(variables.length === values.length, `${values.length} values for ${variables.length} variables`);
    variables.forEach((variable, i) => this.#values.set(variable, values[i] as T));
  }
}

export function requireBuilder(): JaxprBuilder {
  const builder = currentBuilder();
  invariant(builder !== null, "a pass runs outside a trace");
  return builder;
}

/** Where the equation's own work lies. */
export function placementOfEqn(eqn: Eqn): Placement {
  return eqn.outputs[0]?.aval.placement ?? server;
}

/** Runs the rule of `eqn` with new equations placed and located like it. */
export function inPlaceOf<R>(builder: JaxprBuilder, eqn: Eqn, rule: () => R): R {
  const kind = primitiveOf(eqn.primitive).kind;
  const ambient = kind === "elementwise" || kind === "array" ? placementOfEqn(eqn) : server;
  return withAmbient(builder, ambient, () => withSource(builder, eqn.source, rule));
}

/** Stages an equation of the same primitive; where no operand says the placement, the parameter does. */
export function emitLike(
  builder: JaxprBuilder,
  eqn: Eqn,
  inputs: readonly Value[],
  params: Params = eqn.params,
  outputs: readonly Aval[] = eqn.outputs.map((output) => output.aval),
): Value[] {
  const kind = primitiveOf(eqn.primitive).kind;
  const placement = outputs[0]?.placement ?? server;
  const uniform = kind === "elementwise" || kind === "array";
  const anchored = inputs.some((input) => !(input instanceof Constant));
  const wanted = uniform && !anchored && !isServer(placement) ? placement : undefined;
  let full = params;
  if (wanted !== undefined) full = { ...params, placement: wanted };
  else if (uniform && params.placement !== undefined) {
    const { placement: _, ...rest } = params;
    full = rest;
  }
  return builder.emit(eqn.primitive, inputs, full, outputs, eqn.source);
}

/** Stages all equations of `jaxpr`, applied to `inputs` (constvars first). */
export function inlineJaxpr(jaxpr: Jaxpr, inputs: readonly Value[]): Value[] {
  const builder = requireBuilder();
  const env = new Env<Value>((value) => value);
  env.writeAll([...jaxpr.constvars, ...jaxpr.invars], inputs);
  for (const eqn of jaxpr.eqns) env.writeAll(eqn.outputs, emitLike(builder, eqn, env.readAll(eqn.inputs)));
  return env.readAll(jaxpr.outvars);
}

/** Traces `body` into a Jaxpr that captures nothing. */
export function traceClosed(
  inputs: readonly Aval[],
  body: (args: Value[], builder: JaxprBuilder) => readonly Value[],
): Jaxpr {
  const { jaxpr, consts } = trace(inputs, body, { ambient: server, source: null });
  invariant(consts.length === 0, "a pass captured a value from outside");
  return jaxpr;
}
