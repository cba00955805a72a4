/**
 * Algebraic simplification: an ordered list of rules, each an equation that holds bit for bit (NaN, infinities and signed
 * zeros included), applied from the first equation to the last.
 */
import { type Atom, type Eqn, type Jaxpr, literal, type Literal, type Param, type Var } from "../ir/jaxpr.ts";
import { isFloat } from "../ir/dtype.ts";
import { range, sameShape } from "../ir/shape.ts";
import { primitiveOf } from "../primitives/define.ts";
import { filled, foldable, foldElement } from "./constant-folding.ts";
import { mapSubJaxprs } from "./dce.ts";

/** What a rule may ask of the equation that defines a value. */
interface Context {
  definition(atom: Atom | undefined): Eqn | undefined;
}

interface Rule {
  readonly equation: string;
  /** The primitives that it applies to. */
  readonly primitives: readonly string[];
  /** What the equation's only result equals: an atom, a simpler equation, or null where the rule does not apply. */
  readonly rewrite: (eqn: Eqn, context: Context) => Atom | Pick<Eqn, "primitive" | "inputs" | "params"> | null;
}

function literalOf(atom: Atom | undefined): Literal | null {
  return atom !== undefined && atom.kind === "literal" ? atom : null;
}

/** The value that every element has, if that is known. */
function uniformOf(atom: Atom, { definition }: Context): Literal | null {
  if (atom.kind === "literal") return atom;
  const inner = definition(atom);
  return inner?.primitive === "broadcast_in_dim" ? literalOf(inner.inputs[0]) : null;
}

function isValue(atom: Atom | undefined, value: number): boolean {
  return atom !== undefined && atom.kind === "literal" && Object.is(atom.value, value);
}

/** The operand, if it has the type of the result: else it cannot stand in for it. */
function same(eqn: Eqn, atom: Atom | undefined): Atom | null {
  const output = eqn.outputs[0];
  if (atom === undefined || output === undefined || atom.kind === "literal") return null;
  const { aval } = output;
  return atom.aval.dtype === aval.dtype && sameShape(atom.aval.shape, aval.shape) && atom.aval.weak === aval.weak
    ? atom
    : null;
}

const rules: readonly Rule[] = [
  {
    equation: "x · 1 = 1 · x = x / 1 = x",
    primitives: ["mul", "div"],
    rewrite: (eqn) => {
      const [x, y] = eqn.inputs;
      if (isValue(y, 1)) return same(eqn, x);
      return eqn.primitive === "mul" && isValue(x, 1) ? same(eqn, y) : null;
    },
  },
  {
    equation: "x − 0 = x",
    primitives: ["sub"],
    rewrite: (eqn) => (isValue(eqn.inputs[1], 0) ? same(eqn, eqn.inputs[0]) : null),
  },
  {
    equation: "x + 0 = 0 + x = x for integers",
    primitives: ["add"],
    rewrite: (eqn) => {
      const [x, y] = eqn.inputs;
      if (isFloat(eqn.outputs[0]?.aval.dtype ?? "f32")) return null;
      return isValue(y, 0) ? same(eqn, x) : isValue(x, 0) ? same(eqn, y) : null;
    },
  },
  {
    equation: "−(−x) = x",
    primitives: ["neg"],
    rewrite: (eqn, { definition }) => {
      const inner = definition(eqn.inputs[0]);
      return inner?.primitive === "neg" ? same(eqn, inner.inputs[0]) : null;
    },
  },
  {
    equation: "x¹ = x",
    primitives: ["integer_pow"],
    rewrite: (eqn) => (eqn.params.y === 1 ? same(eqn, eqn.inputs[0]) : null),
  },
  {
    equation: "convert(x) = x where the type is already that",
    primitives: ["convert_element_type", "bitcast_convert_type"],
    rewrite: (eqn) => same(eqn, eqn.inputs[0]),
  },
  {
    equation: "a movement that moves nothing is its operand",
    primitives: ["reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "rev", "slice", "pad"],
    rewrite: (eqn) => (movesNothing(eqn) ? same(eqn, eqn.inputs[0]) : null),
  },
  {
    equation: "reshape(reshape(x)) = reshape(x)",
    primitives: ["reshape"],
    rewrite: (eqn, { definition }) => {
      const inner = definition(eqn.inputs[0]);
      const x = inner?.primitive === "reshape" ? inner.inputs[0] : undefined;
      return x === undefined || x.kind === "literal" ? null : { ...eqn, inputs: [x] };
    },
  },
  {
    equation: "transpose(transpose(x, p), q) = transpose(x, p∘q)",
    primitives: ["transpose"],
    rewrite: (eqn, { definition }) => {
      const inner = definition(eqn.inputs[0]);
      if (inner?.primitive !== "transpose") return null;
      const first = inner.params.permutation as readonly number[];
      const second = eqn.params.permutation as readonly number[];
      const permutation = second.map((axis) => first[axis] as number);
      return { primitive: "transpose", inputs: inner.inputs, params: { ...eqn.params, permutation } };
    },
  },
  {
    equation: "f(x, broadcast(c)) = f(x, c) for an elementwise f and a literal c",
    primitives: [],
    rewrite: (eqn, { definition }) => {
      let changed = false;
      const inputs = eqn.inputs.map((atom) => {
        const inner = atom.kind === "var" ? definition(atom) : undefined;
        const scalar = inner?.primitive === "broadcast_in_dim" ? literalOf(inner.inputs[0]) : null;
        if (scalar === null || atom.aval.dtype !== scalar.aval.dtype) return atom;
        changed = true;
        return literal(scalar.value, { ...scalar.aval, weak: atom.aval.weak });
      });
      // Some operand must still say the shape.
      const shaped = inputs.some(
        (atom) => atom.kind === "var" && sameShape(atom.aval.shape, eqn.outputs[0]?.aval.shape ?? []),
      );
      return changed && shaped ? { ...eqn, inputs } : null;
    },
  },
  {
    equation: "move(broadcast(c)) = broadcast(c) for a literal c",
    primitives: ["broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "rev", "slice"],
    rewrite: (eqn, { definition }) => {
      const inner = eqn.inputs[0] && definition(eqn.inputs[0]);
      const constant = inner?.primitive === "broadcast_in_dim" ? literalOf(inner.inputs[0]) : null;
      return constant && filled(eqn, constant);
    },
  },
  {
    equation: "f(broadcast(c), …) = broadcast(f(c, …)) for literals and an f that is exact",
    primitives: foldable,
    rewrite: (eqn, context) => {
      const constants = eqn.inputs.flatMap((atom) => uniformOf(atom, context) ?? []);
      return constants.length === eqn.inputs.length ? filled(eqn, foldElement(eqn, constants)) : null;
    },
  },
  {
    equation: "reduce(x, no axes) = x",
    primitives: ["reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or"],
    rewrite: (eqn) => ((eqn.params.axes as readonly number[]).length === 0 ? same(eqn, eqn.inputs[0]) : null),
  },
  {
    equation: "select(true, x, y) = x, select(false, x, y) = y",
    primitives: ["select"],
    rewrite: (eqn) => {
      const which = literalOf(eqn.inputs[0]);
      return which === null ? null : same(eqn, which.value ? eqn.inputs[1] : eqn.inputs[2]);
    },
  },
];

function movesNothing(eqn: Eqn): boolean {
  const [input] = eqn.inputs;
  const [output] = eqn.outputs;
  if (input === undefined || output === undefined) return false;
  const rank = input.aval.shape.length;
  const isIdentity = (axes: Param | undefined): boolean =>
    Array.isArray(axes) && axes.length === rank && axes.every((axis, i) => axis === i);
  if (!sameShape(input.aval.shape, output.aval.shape)) return false;
  switch (eqn.primitive) {
    case "transpose":
      return isIdentity(eqn.params.permutation);
    case "broadcast_in_dim":
      return isIdentity(eqn.params.broadcast_dimensions);
    case "rev":
      return (eqn.params.dimensions as readonly number[]).every((axis) => (input.aval.shape[axis] ?? 0) <= 1);
    case "pad":
      return (eqn.params.padding_config as readonly (readonly number[])[]).every(
        ([low, high]) => low === 0 && high === 0,
      );
    case "slice":
      return (eqn.params.start_indices as readonly number[]).every((start) => start === 0) && isUnitStride(eqn, rank);
    default:
      return true;
  }
}

function isUnitStride(eqn: Eqn, rank: number): boolean {
  const strides = eqn.params.strides as readonly number[] | null | undefined;
  return strides === null || strides === undefined || range(rank).every((axis) => strides[axis] === 1);
}

const byPrimitive = new Map<string, Rule[]>();
const forElementwise = rules.filter((rule) => rule.primitives.length === 0);
for (const rule of rules) {
  for (const name of rule.primitives) byPrimitive.set(name, [...(byPrimitive.get(name) ?? []), rule]);
}

export function simplify(jaxpr: Jaxpr): Jaxpr {
  const replaced = new Map<Var, Atom>();
  const definitions = new Map<Var, Eqn>();
  const rename = (atom: Atom): Atom => (atom.kind === "var" ? (replaced.get(atom) ?? atom) : atom);
  const context: Context = {
    definition: (atom) => (atom?.kind === "var" ? definitions.get(atom) : undefined),
  };
  const eqns: Eqn[] = [];
  for (const original of jaxpr.eqns) {
    let eqn: Eqn = {
      ...original,
      inputs: original.inputs.map(rename),
      params: mapSubJaxprs(original.params, simplify),
    };
    const result = rewrite(eqn, context);
    if ("kind" in result) {
      replaced.set(eqn.outputs[0] as Var, result);
      continue;
    }
    eqn = result;
    for (const output of eqn.outputs) definitions.set(output, eqn);
    eqns.push(eqn);
  }
  return { ...jaxpr, eqns, outvars: jaxpr.outvars.map(rename) };
}

/** Applies rules until none fits. */
function rewrite(start: Eqn, context: Context): Eqn | Atom {
  let eqn = start;
  for (;;) {
    const elementwise = primitiveOf(eqn.primitive).kind === "elementwise" ? forElementwise : [];
    let next: ReturnType<Rule["rewrite"]> = null;
    for (const rule of [...(byPrimitive.get(eqn.primitive) ?? []), ...elementwise]) {
      next = rule.rewrite(eqn, context);
      if (next !== null) break;
    }
    if (next === null) return eqn;
    if ("kind" in next) return next;
    eqn = { ...eqn, primitive: next.primitive, inputs: next.inputs, params: next.params };
  }
}

/** The rules by their equations, for documentation. */
export function simplifications(): readonly string[] {
  return rules.map((rule) => rule.equation);
}
