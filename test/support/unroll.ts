/** Loops written out: each iteration's equations one after the other. */
import {
  type Aval,
  currentBuilder,
  type Eqn,
  inlineJaxpr,
  isJaxpr,
  type Jaxpr,
  jaxprOf,
  lax,
  range,
  server,
  type Tracer,
  trace,
  type Value,
  withAmbient,
} from "@fax/compiler";

/** The same program without any `scan`. */
export function unrolled(jaxpr: Jaxpr): Jaxpr {
  return trace(
    jaxpr.invars.map(({ aval }) => aval),
    (args) => unrollInline(jaxpr, args),
    { ambient: server, source: null },
  ).jaxpr;
}

export function hasLoop(jaxpr: Jaxpr): boolean {
  return jaxpr.eqns.some((eqn) => eqn.primitive === "scan");
}

function unrollInline(jaxpr: Jaxpr, inputs: readonly Value[]): Value[] {
  const env = new Map<unknown, Value>(jaxpr.invars.map((variable, i) => [variable, inputs[i] as Value]));
  for (const eqn of jaxpr.eqns) {
    const variables = [...new Set(eqn.inputs.filter((atom) => atom.kind === "var"))];
    const values = variables.map((variable) => env.get(variable) as Value);
    const outputs =
      eqn.primitive === "scan"
        ? iterate(eqn, asValues(eqn.inputs, env))
        : inlineJaxpr(oneEquation(eqn, variables), values);
    eqn.outputs.forEach((variable, i) => env.set(variable, outputs[i] as Value));
  }
  return asValues(jaxpr.outvars, env);
}

function oneEquation(eqn: Eqn, invars: Jaxpr["invars"]): Jaxpr {
  return jaxprOf({ constvars: [], invars, eqns: [eqn], outvars: eqn.outputs });
}

/** Literals come out of a Jaxpr as values. */
function asValues(atoms: Eqn["inputs"], env: ReadonlyMap<unknown, Value>): Value[] {
  return atoms.map((atom) =>
    atom.kind === "var"
      ? (env.get(atom) as Value)
      : (inlineJaxpr(jaxprOf({ constvars: [], invars: [], eqns: [], outvars: [atom] }), [])[0] as Value),
  );
}

function iterate({ params }: Eqn, inputs: readonly Value[]): Value[] {
  const {
    jaxpr: body,
    length,
    reverse,
    num_consts,
    num_carry,
  } = params as Readonly<Record<string, number>> & {
    jaxpr: Jaxpr;
    reverse: boolean;
  };
  if (!isJaxpr(body) || length === undefined || num_consts === undefined || num_carry === undefined) {
    throw new TypeError("a scan without its parameters");
  }
  const consts = inputs.slice(0, num_consts);
  let carry = inputs.slice(num_consts, num_consts + num_carry);
  const xs = inputs.slice(num_consts + num_carry);
  const rows: Value[][] = body.outvars.slice(num_carry).map(() => []);
  for (const step of range(length)) {
    const index = reverse ? length - 1 - step : step;
    const results = unrollInline(body, [...consts, ...carry, ...xs.map((x) => rowOf(x, index))]);
    carry = results.slice(0, num_carry);
    results.slice(num_carry).forEach((y, i) => {
      (rows[i] as Value[])[index] = lax.broadcast_in_dim(y, [1, ...y.aval.shape], range(1, y.aval.shape.length + 1));
    });
  }
  if (length > 0) return [...carry, ...rows.map((list) => lax.concatenate(list, 0))];
  return [...carry, ...body.outvars.slice(num_carry).map(({ aval }) => nothingOf(aval))];
}

/** The rows of a loop that never runs. */
function nothingOf({ dtype, shape, placement }: Aval): Value {
  const builder = currentBuilder();
  if (builder === null) throw new Error("loops are unrolled inside a trace");
  return withAmbient(builder, placement, () => lax.full([0, ...shape], 0, dtype));
}

function rowOf(x: Value, index: number): Tracer | Value {
  const { shape } = x.aval;
  const starts = shape.map((_, axis) => (axis === 0 ? index : 0));
  const limits = shape.map((size, axis) => (axis === 0 ? index + 1 : size));
  return lax.squeeze(lax.slice(x, starts, limits), [0]);
}
