/**
 * Is a Jaxpr well-formed? Every variable is bound once, before it is used; every type is a type; operands agree in placement
 * where they must; and every equation's results have the types that its primitive computes from its operands.
 *
 * Weakness of types is not compared: passes may strengthen it, and it decides nothing after tracing.
 */
import { FaxError, InternalError } from "../diagnostics/index.ts";
import { type Aval, atPlacement, formatAval, sameType } from "./aval.ts";
import { isDType, isFloat } from "./dtype.ts";
import { type Atom, type Eqn, isPlacement, type Jaxpr, jaxprsOf, type Params, type Var } from "./jaxpr.ts";
import { formatPlacement, isServer, type Placement, samePlacement, server } from "./placement.ts";
import { literalText, printJaxpr } from "./print.ts";

/** What the checker needs of the primitives. */
export interface PrimitiveTable {
  find(name: string): CheckedPrimitive | undefined;
}

export interface CheckedPrimitive {
  readonly name: string;
  readonly kind: "elementwise" | "array" | "communication" | "control";
  abstractEval(inputs: readonly Aval[], params: Params): readonly Aval[];
}

export interface CheckOptions {
  /** Who is at fault: a pass (InternalError), or whoever wrote the text that was parsed (FAX4002). */
  readonly origin?: "pass" | "text";
  /** What the Jaxpr is, in errors: `after transpose`. */
  readonly what?: string;
}

/** Throws, printing the equations around the fault, if `jaxpr` is not well-formed. */
export function checkJaxpr(
  jaxpr: Jaxpr,
  primitives: PrimitiveTable,
  { origin = "pass", what = "the Jaxpr" }: CheckOptions = {},
): void {
  try {
    checkScope(jaxpr, primitives);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const fact = `check: ${what} is not well-formed: ${error.message}`;
    const around = linesAround(printJaxpr(jaxpr, error.eqn === null ? {} : { mark: error.eqn }));
    if (origin === "pass") throw new InternalError(`${fact}\n${around}`, { cause: error.cause });
    throw new FaxError({ code: "FAX4002", message: fact, notes: [{ text: `in\n${around}` }] }, { cause: error.cause });
  }
}

class Fault extends Error {
  override readonly name = "Fault";
  readonly eqn: Eqn | null;

  constructor(message: string, eqn: Eqn | null, options?: ErrorOptions) {
    super(message, options);
    this.eqn = eqn;
  }
}

function checkScope(jaxpr: Jaxpr, primitives: PrimitiveTable): void {
  const bound = new Set<Var>();
  const define = (variable: Var, what: string, eqn: Eqn | null): void => {
    if (bound.has(variable)) throw new Fault(`${what} binds a variable that is bound already`, eqn);
    bound.add(variable);
    const wrong = faultOfType(variable.aval);
    if (wrong !== null) throw new Fault(`${what} has ${wrong}`, eqn);
  };
  const use = (atom: Atom, what: string, eqn: Eqn | null): void => {
    if (atom.kind === "var") {
      if (!bound.has(atom)) throw new Fault(`${what} is a variable that is not bound before`, eqn);
      return;
    }
    const wrong = faultOfType(atom.aval) ?? faultOfLiteral(atom.value, atom.aval);
    if (wrong !== null) throw new Fault(`${what}, ${literalText(atom)}, has ${wrong}`, eqn);
  };

  jaxpr.constvars.forEach((variable, i) => define(variable, `constant ${i}`, null));
  jaxpr.invars.forEach((variable, i) => define(variable, `argument ${i}`, null));
  for (const eqn of jaxpr.eqns) {
    eqn.inputs.forEach((atom, i) => use(atom, `${eqn.primitive}: operand ${i}`, eqn));
    for (const inner of jaxprsOf(eqn.params)) {
      if (inner.constvars.length > 0) throw new Fault(`${eqn.primitive}: its Jaxpr captures constants`, eqn);
      checkScope(inner, primitives);
    }
    checkEquation(eqn, primitives);
    eqn.outputs.forEach((variable, i) => define(variable, `${eqn.primitive}: result ${i}`, eqn));
  }
  jaxpr.outvars.forEach((atom, i) => use(atom, `output ${i}`, null));
}

function checkEquation(eqn: Eqn, primitives: PrimitiveTable): void {
  const primitive = primitives.find(eqn.primitive);
  if (primitive === undefined) throw new Fault(`no primitive is named ${eqn.primitive}`, eqn);
  const uniform = primitive.kind === "elementwise" || primitive.kind === "array";
  const placement = uniform ? commonPlacement(eqn) : null;
  const computed = resultTypes(primitive, eqn);
  const expected = placement === null ? computed : computed.map((aval) => atPlacement(aval, placement));
  if (expected.length !== eqn.outputs.length) {
    throw new Fault(`${eqn.primitive}: binds ${eqn.outputs.length} results, but gives ${expected.length}`, eqn);
  }
  eqn.outputs.forEach(({ aval }, i) => {
    const wanted = expected[i] as Aval;
    if (sameType(aval, wanted)) return;
    const placed = !isServer(aval.placement) || !isServer(wanted.placement);
    const [says, gives] = [formatAval(aval, placed), formatAval({ ...wanted, weak: aval.weak }, placed)];
    throw new Fault(`${eqn.primitive}: result ${i} is bound as ${says}, but is ${gives}`, eqn);
  });
}

function resultTypes(primitive: CheckedPrimitive, eqn: Eqn): readonly Aval[] {
  try {
    return primitive.abstractEval(
      eqn.inputs.map(({ aval }) => aval),
      eqn.params,
    );
  } catch (error) {
    const fact = error instanceof FaxError ? error.diagnostic.message : String(error);
    throw new Fault(fact, eqn, { cause: error });
  }
}

/** Where an equation acts on each member by itself: where its operands lie, or else where its parameter says. */
function commonPlacement(eqn: Eqn): Placement {
  const stated = eqn.params["placement"];
  if (stated !== undefined && !isPlacement(stated)) {
    throw new Fault(`${eqn.primitive}: its parameter placement is no placement`, eqn);
  }
  const places = eqn.inputs.flatMap((atom) => (atom.kind === "var" ? [atom.aval.placement] : []));
  const [first = stated ?? server, ...others] = places;
  const other = [...others, ...(stated === undefined ? [] : [stated])].find((place) => !samePlacement(place, first));
  if (other === undefined) return first;
  const both = `${formatPlacement(first)} and ${formatPlacement(other)}`;
  throw new Fault(`${eqn.primitive}: operands are at different placements, ${both}`, eqn);
}

function faultOfType({ dtype, shape, placement }: Aval): string | null {
  if (!isDType(dtype)) return `the dtype ${String(dtype)}, which does not exist`;
  const size = shape.find((axis) => !Number.isSafeInteger(axis) || axis < 0);
  if (size !== undefined) return `an axis of size ${size}`;
  const group = placement.groups.find((place) => !Number.isSafeInteger(place.size) || place.size < 1);
  if (group !== undefined) return `the group ${group.name} with ${group.size} members`;
  return null;
}

function faultOfLiteral(value: number, { dtype, shape }: Aval): string | null {
  if (shape.length > 0) return `the shape [${shape.join(",")}], and literals are scalars`;
  if (isFloat(dtype)) return null;
  const [from, to] = dtype === "bool" ? [0, 1] : dtype === "u32" ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
  return Number.isInteger(value) && value >= from && value <= to ? null : `a value that ${dtype} cannot hold`;
}

/** The marked equation with a few lines on each side; the whole text if it is short or nothing is marked. */
function linesAround(text: string): string {
  const lines = text.split("\n");
  const marked = lines.findIndex((line) => line.includes("▸"));
  const reach = 5;
  if (lines.length <= 2 * reach + 1) return text;
  if (marked < 0) return [...lines.slice(0, reach), "    …", ...lines.slice(-reach)].join("\n");
  const [from, to] = [Math.max(0, marked - reach), Math.min(lines.length, marked + reach + 1)];
  return [...(from > 0 ? ["    …"] : []), ...lines.slice(from, to), ...(to < lines.length ? ["    …"] : [])].join("\n");
}
