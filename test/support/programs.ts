/** Programs under test: a Jaxpr with the inputs that it is tried on. */
import {
  allPrimitives,
  type Aval,
  atPlacement,
  avalOf,
  checkJaxpr,
  evaluate,
  findPrimitive,
  freshVar,
  type Group,
  isPlacement,
  isServer,
  type Jaxpr,
  jaxprOf,
  literal,
  type Param,
  type Params,
  type PlacedValue,
  type Placement,
  placementOf,
  type Primitive,
  primitiveOf,
  printJaxpr,
  range,
  type Sample,
  server,
  isJaxpr,
  type Var,
} from "@fax/compiler";
import { Random, seedOf } from "./random.ts";
import { varied } from "./values.ts";

export interface Program {
  readonly name: string;
  /** Without constvars. */
  readonly jaxpr: Jaxpr;
  /** The `index`-th value for input `input`, as a member holds it; other indices give other values. */
  readonly draw: (input: number, index: number) => PlacedValue;
}

/** The inputs that a program is tried on first. */
export function inputsOf({ jaxpr, draw }: Program): PlacedValue[] {
  return jaxpr.invars.map((_, i) => draw(i, 0));
}

/** The group at which the samples of operators that combine members give their values. */
const sampleGroup: Group = { name: "clients", size: 3 };

/** Whether the operand of a communication primitive lies at a group: what it does at the server is a user's error then. */
function combinesMembers(primitive: Primitive, inputs: readonly Aval[], params: Params): boolean {
  if (primitive.kind !== "communication") return false;
  const group = placementOf(sampleGroup);
  try {
    return isServer(
      primitive.abstractEval(
        inputs.map((aval) => atPlacement(aval, group)),
        params,
      )[0]?.placement ?? group,
    );
  } catch {
    return false;
  }
}

/** A sample of a primitive as a program of one equation. */
export function sampleProgram(primitive: Primitive, sample: Sample<Params>): Program {
  const atServer = sample.inputs.map(({ dtype, shape }) => avalOf(dtype, shape));
  const combines = combinesMembers(primitive, atServer, sample.params);
  const placement = combines ? placementOf(sampleGroup) : server;
  const jaxpr = equation(
    primitive,
    atServer.map((aval) => atPlacement(aval, placement)),
    sample.params,
  );
  const name = `${primitive.name}, ${sample.name}`;
  const count = combines ? sampleGroup.size : 1;
  return {
    name,
    jaxpr,
    draw: (input, index) => {
      const described = sample.inputs[input];
      if (described === undefined) throw new RangeError(`${name} has no input ${input}`);
      const random = new Random(seedOf(`${name} ${input} ${index}`));
      return { placement, members: range(count).map((m) => varied(described, index * count + m, random)) };
    },
  };
}

/** `{ lambda ; inputs. let outputs = primitive[params] inputs in (outputs) }` */
export function equation(primitive: Primitive, inputs: readonly Aval[], params: Params): Jaxpr {
  const invars = inputs.map(freshVar);
  const outputs = primitive.abstractEval(inputs, params).map((aval) => {
    const uniform = primitive.kind === "elementwise" || primitive.kind === "array";
    return freshVar(uniform ? atPlacement(aval, inputs[0]?.placement ?? server) : aval);
  });
  const eqn = { primitive: primitive.name, inputs: invars, params, outputs, source: null };
  return jaxprOf({ constvars: [], invars, eqns: [eqn], outvars: outputs });
}

/** All samples of all primitives that `which` takes. */
export function samplePrograms(which: (primitive: Primitive) => boolean = () => true): Program[] {
  return allPrimitives()
    .filter(which)
    .flatMap((primitive) => primitive.samples.map((sample) => sampleProgram(primitive, sample)));
}

/** The same program at each member of one more group, around all places that it has. */
export function within(jaxpr: Jaxpr, group: Group): Jaxpr {
  const renamed = new Map<Var, Var>();
  const place = (placement: Placement): Placement => placementOf(group, ...placement.groups);
  const rebind = (variable: Var, aval: Aval): Var => {
    const inside = freshVar(aval);
    renamed.set(variable, inside);
    return inside;
  };
  const bind = (variable: Var): Var => rebind(variable, atPlacement(variable.aval, place(variable.aval.placement)));
  const read = <A extends Jaxpr["outvars"][number]>(atom: A) =>
    atom.kind === "var" ? (renamed.get(atom) as Var) : literal(atom.value, atom.aval);
  const inParam = (param: Param): Param => {
    if (isJaxpr(param)) return within(param, group);
    if (isPlacement(param)) return place(param);
    return param;
  };
  const [constvars, invars] = [jaxpr.constvars.map(bind), jaxpr.invars.map(bind)];
  const eqns = jaxpr.eqns.map((eqn) => {
    const entries = Object.entries(eqn.params).map(([name, param]) => [
      name,
      param === undefined ? param : inParam(param),
    ]);
    const primitive = primitiveOf(eqn.primitive);
    const { kind } = primitive;
    const bare = eqn.inputs.every((atom) => atom.kind === "literal") && eqn.params["placement"] === undefined;
    const alone = bare && (kind === "elementwise" || kind === "array");
    const params: Params = { ...Object.fromEntries(entries), ...(alone ? { placement: place(server) } : {}) };
    const inputs = eqn.inputs.map(read);
    if (kind !== "control") return { ...eqn, params, inputs, outputs: eqn.outputs.map(bind) };
    // A loop's result that is a literal stays at the server.
    const avals = primitive.abstractEval(
      inputs.map(({ aval }) => aval),
      params,
    );
    return { ...eqn, params, inputs, outputs: eqn.outputs.map((output, i) => rebind(output, avals[i] ?? output.aval)) };
  });
  return jaxprOf({ constvars, invars, eqns, outvars: jaxpr.outvars.map(read) });
}

/** A program at each member of a group, on values of its own for each. */
export function programWithin(program: Program, group: Group): Program {
  return {
    name: `${program.name}, at ${group.name}[${group.size}]`,
    jaxpr: within(program.jaxpr, group),
    draw: (input, index) => {
      const inside = range(group.size).map((m) => program.draw(input, index * group.size + m));
      const placement = placementOf(group, ...(inside[0] as PlacedValue).placement.groups);
      return { placement, members: inside.flatMap(({ members }) => members) };
    },
  };
}

/** Checks a Jaxpr, and says which it was if it is not well-formed. */
export function wellFormed(jaxpr: Jaxpr, what: string): Jaxpr {
  checkJaxpr(jaxpr, { find: findPrimitive }, { what });
  return jaxpr;
}

/** Evaluates on the reference evaluator; what goes wrong there names the program. */
export function run(jaxpr: Jaxpr, inputs: readonly PlacedValue[], what: string): PlacedValue[] {
  try {
    return evaluate(jaxpr, inputs);
  } catch (cause) {
    throw new Error(`${what} does not evaluate: ${String(cause)}\n${printJaxpr(jaxpr)}`, { cause });
  }
}
