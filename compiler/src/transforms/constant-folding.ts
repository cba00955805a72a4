/**
 * Arithmetic on constants alone. Only operations whose result IEEE 754 (or integer arithmetic) fixes to the bit are evaluated
 * here, by the primitive's own `impl`: a device would compute the same.
 */
import { allocateHostArray, type HostArray, roundToF16 } from "../ir/host-array.ts";
import { type Eqn, type Literal, literal } from "../ir/jaxpr.ts";
import { isServer } from "../ir/placement.ts";
import { primitiveOf } from "../primitives/define.ts";

/** Exact to the bit on every device. */
export const foldable: readonly string[] = [
  "neg",
  "abs",
  "sign",
  "add",
  "sub",
  "mul",
  "div",
  "max",
  "min",
  "floor",
  "ceil",
  "round",
  "not",
  "and",
  "or",
  "xor",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "select",
  "convert_element_type",
];

/** What the equation gives everywhere, if each operand is one of `constants` everywhere. */
export function foldElement(eqn: Eqn, constants: readonly Literal[]): Literal {
  const primitive = primitiveOf(eqn.primitive);
  const [output] = eqn.outputs;
  if (output === undefined || primitive.kind !== "elementwise") throw new TypeError(`${eqn.primitive} is not foldable`);
  const [result] = primitive.impl(constants.map(scalar), eqn.params);
  const value = result?.data[0] ?? Number.NaN;
  return literal(output.aval.dtype === "f32" ? shortest(value) : value, { ...output.aval, shape: [] });
}

/** The shortest decimal that is this f32: what a reader would have written. */
function shortest(value: number): number {
  if (!Number.isFinite(value) || Object.is(value, -0)) return value;
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return value;
}

function scalar({ value, aval }: Literal): HostArray {
  const array = allocateHostArray(aval.dtype, []);
  array.data[0] = aval.dtype === "f16" ? roundToF16(value) : value;
  return array;
}

/** The equation that fills the output of `eqn` with a constant. */
export function filled(eqn: Eqn, constant: Literal): Pick<Eqn, "primitive" | "inputs" | "params"> | null {
  const [output] = eqn.outputs;
  if (output === undefined) return null;
  const { shape, placement } = output.aval;
  const place = isServer(placement) ? {} : { placement };
  return { primitive: "broadcast_in_dim", inputs: [constant], params: { shape, broadcast_dimensions: [], ...place } };
}
