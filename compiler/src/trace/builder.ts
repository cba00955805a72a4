/**
 * Builds one Jaxpr while a function runs. There is one tracer and one current builder; nested builders (the body of a
 * scan, the function under grad) capture values of the builders around them as constants.
 */
import { FaxError, invariant, type SourceLocation } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import { atPlacement } from "../ir/aval.ts";
import { type Atom, type Eqn, freshVar, type Jaxpr, jaxprOf, type Params, type Var } from "../ir/jaxpr.ts";
import {
  enter,
  formatPlacement,
  isServer,
  type Placement,
  samePlacement,
  server,
  startsWith,
} from "../ir/placement.ts";
import { Constant, Tracer, type Value } from "./ndarray.ts";
import { userLocation } from "./source.ts";

/** A Jaxpr together with the values of its constvars. */
export interface ClosedJaxpr {
  readonly jaxpr: Jaxpr;
  readonly consts: readonly Value[];
}

let current: JaxprBuilder | null = null;

/** The builder of the innermost trace in progress, or null outside any trace. */
export function currentBuilder(): JaxprBuilder | null {
  return current;
}

export class JaxprBuilder {
  readonly parent: JaxprBuilder | null;
  /** Where the code that runs now is placed: the group inside a map, else the server. */
  ambient: Placement;
  /** Set by passes, so that what they emit keeps the location of the equation that it stems from. */
  source: SourceLocation | null = null;
  /** Whether equations without a source are given that of the user's code on the stack. */
  locates = true;
  #alive = true;
  readonly #eqns: Eqn[] = [];
  readonly #invars: Var[] = [];
  readonly #constvars: Var[] = [];
  readonly #consts: Value[] = [];
  readonly #captured = new Map<Value, Tracer>();
  readonly #lifted = new Map<Var, { placement: Placement; tracer: Tracer }[]>();

  constructor(parent: JaxprBuilder | null, ambient: Placement = parent?.ambient ?? server) {
    this.parent = parent;
    this.ambient = ambient;
  }

  get alive(): boolean {
    return this.#alive;
  }

  addInput(aval: Aval): Tracer {
    const variable = freshVar(aval);
    this.#invars.push(variable);
    return new Tracer(this, variable);
  }

  /** A value as an operand of this builder's equations; foreign values become constants. */
  atom(value: Value): Atom {
    if (value instanceof Constant) return value.literal;
    return this.own(value).variable;
  }

  /** The same value as a tracer of this builder. */
  own(value: Value): Tracer {
    if (value instanceof Tracer && value.builder === this) return value;
    const known = this.#captured.get(value);
    if (known) return known;
    if (value instanceof Tracer && !(value.builder.alive && this.isInside(value.builder))) throw leaked(value);
    const outer = this.#hoist(value);
    const variable = freshVar(outer.aval);
    this.#constvars.push(variable);
    this.#consts.push(outer);
    const tracer = new Tracer(this, variable);
    this.#captured.set(value, tracer);
    return tracer;
  }

  /**
   * A captured server value that is used inside a map is broadcast once, outside the body that captures it, so that a
   * loop at the clients holds no communication.
   */
  #hoist(value: Value): Value {
    const { parent, ambient } = this;
    if (parent === null || isServer(ambient) || samePlacement(value.aval.placement, ambient)) return value;
    if (!samePlacement(parent.ambient, ambient) || !startsWith(ambient, value.aval.placement)) return value;
    return parent.lift(value, ambient);
  }

  isInside(other: JaxprBuilder): boolean {
    for (let builder: JaxprBuilder | null = this; builder !== null; builder = builder.parent) {
      if (builder === other) return true;
    }
    return false;
  }

  /** `value`, broadcast to a placement inside its own; one broadcast however often it is used. */
  lift(value: Value, placement: Placement): Value {
    if (value instanceof Constant || samePlacement(value.aval.placement, placement)) return value;
    let tracer = this.own(value);
    const from = tracer.variable;
    const known = this.#lifted.get(from) ?? [];
    const done = known.find((entry) => samePlacement(entry.placement, placement));
    if (done) return done.tracer;
    let place = tracer.aval.placement;
    for (const group of placement.groups.slice(place.groups.length)) {
      place = enter(place, group);
      tracer = this.emit("federated_broadcast", [tracer], { group: group.name, size: group.size }, [
        atPlacement(tracer.aval, place),
      ])[0] as Tracer;
    }
    this.#lifted.set(from, [...known, { placement, tracer }]);
    return tracer;
  }

  /** Appends an equation whose output types are known. */
  emit(
    primitive: string,
    inputs: readonly Value[],
    params: Params,
    outputs: readonly Aval[],
    source: SourceLocation | null = this.source ?? (this.locates ? userLocation() : null),
  ): Tracer[] {
    invariant(this.#alive, "an equation is added to a finished trace");
    const atoms = inputs.map((input) => this.atom(input));
    const vars = outputs.map(freshVar);
    this.#eqns.push({ primitive, inputs: atoms, params, outputs: vars, source });
    return vars.map((variable) => new Tracer(this, variable));
  }

  /** How a variable of this builder came to be, for error notes. */
  originOf(variable: Var): { text: string; source: SourceLocation | null } {
    const argument = this.#invars.indexOf(variable);
    if (argument >= 0) return { text: `argument ${argument} of the traced function`, source: null };
    const eqn = this.#eqns.find((candidate) => candidate.outputs.includes(variable));
    if (eqn) return { text: `produced by ${eqn.primitive}`, source: eqn.source };
    return { text: "captured from outside the traced function", source: null };
  }

  /** The finished Jaxpr. The builder takes no more equations afterwards. */
  build(outputs: readonly Value[]): ClosedJaxpr {
    const outvars = outputs.map((output) => this.atom(output));
    this.#alive = false;
    const jaxpr = jaxprOf({ constvars: this.#constvars, invars: this.#invars, eqns: this.#eqns, outvars });
    return { jaxpr, consts: this.#consts };
  }
}

/** Runs `body` with a new builder current and gives the Jaxpr of what it returned. */
export function trace(
  inputs: readonly Aval[],
  body: (args: Tracer[], builder: JaxprBuilder) => readonly Value[],
  { ambient, source, locates = true }: { ambient?: Placement; source?: SourceLocation | null; locates?: boolean } = {},
): ClosedJaxpr {
  const builder = new JaxprBuilder(current, ambient);
  builder.locates = locates;
  if (source !== undefined) builder.source = source;
  else if (current?.source) builder.source = current.source;
  const outer = current;
  current = builder;
  try {
    const args = inputs.map((aval) => builder.addInput(aval));
    return builder.build(body(args, builder));
  } finally {
    current = outer;
  }
}

/** Runs `body` with the ambient placement changed, as a map does. */
export function withAmbient<R>(builder: JaxprBuilder, placement: Placement, body: () => R): R {
  const outer = builder.ambient;
  builder.ambient = placement;
  try {
    return body();
  } finally {
    builder.ambient = outer;
  }
}

/** Runs `body` with every new equation of `builder` located at `source`. */
export function withSource<R>(builder: JaxprBuilder, source: SourceLocation | null, body: () => R): R {
  const outer = builder.source;
  builder.source = source;
  try {
    return body();
  } finally {
    builder.source = outer;
  }
}

function leaked(value: Tracer): FaxError {
  return new FaxError({
    code: "FAX1001",
    message: `a tracer of type ${value.aval.dtype}[${value.aval.shape.join(",")}]${
      isServer(value.aval.placement) ? "" : formatPlacement(value.aval.placement)
    } is used outside the trace that made it`,
    source: userLocation(),
    help: "return the value from the traced function instead of storing it in a variable outside",
  });
}
