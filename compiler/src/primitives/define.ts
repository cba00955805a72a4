/** Declares a primitive: registers its rules under its name and gives the operation that user code and rules call. */
import { FaxError, InternalError, invariant } from "../diagnostics/index.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import type { Params } from "../ir/jaxpr.ts";
import { bind } from "../trace/bind.ts";
import { currentBuilder } from "../trace/builder.ts";
import { Constant, constant, NDArray, type Value } from "../trace/ndarray.ts";
import { userLocation } from "../trace/source.ts";
import type { Operand } from "./lax-types.ts";
import type { Primitive } from "./primitive.ts";

const registry = new Map<string, Primitive>();

/** Every primitive that is declared, in order of declaration. */
export function allPrimitives(): readonly Primitive[] {
  return [...registry.values()];
}

export function findPrimitive(name: string): Primitive | undefined {
  return registry.get(name);
}

export function primitiveOf(name: string): Primitive {
  const primitive = registry.get(name);
  if (primitive === undefined) throw new InternalError(`no primitive is named ${name}`);
  return primitive;
}

/**
 * Registers `primitive`; `operation` gives the function that emits it, under JAX's signature.
 *
 *     export const rev = define(revPrimitive, (bind) => (x: Value, dimensions: readonly number[]) =>
 *       bind([x], { dimensions: [...dimensions] })[0]);
 */
export function define<P extends Params, Operation>(
  primitive: Primitive<P>,
  operation: (bindOne: (inputs: readonly Value[], params: P) => Value, bindAll: BindAll<P>) => Operation,
): Operation {
  invariant(!registry.has(primitive.name), `the primitive ${primitive.name} is declared twice`);
  // The registry forgets the type of the params: an equation's params are those of its own primitive.
  registry.set(primitive.name, primitive as Primitive);
  const bindAll: BindAll<P> = (inputs, params) => bind(primitive, inputs, params);
  return operation((inputs, params) => {
    const [output] = bindAll(inputs, params);
    invariant(output !== undefined, `${primitive.name} has no result`);
    return output;
  }, bindAll);
}

type BindAll<P> = (inputs: readonly Value[], params: P) => Value[];

/**
 * Operands of one dtype: numbers and weak constants take it from the first array among them (f32 if there is none).
 * A number beside a weak value is itself weak.
 *
 * @throws FAX1102 if a number has no exact value in an integer or bool dtype
 */
export function operands(...values: readonly Operand[]): Value[] {
  const anchor =
    values.find((value) => value instanceof NDArray && !(value instanceof Constant)) ??
    values.find((value) => value instanceof NDArray);
  const { dtype, weak } = anchor instanceof NDArray ? anchor.aval : { dtype: "f32" as const, weak: true };
  return values.map((value) => {
    if (!(value instanceof NDArray)) return constant(valueIn(dtype, value), dtype, { weak });
    const adapts = value instanceof Constant && value.aval.weak && value.dtype !== dtype;
    return adapts ? constant(valueIn(dtype, value.value), dtype, { weak }) : value;
  });
}

/** A number as an element of `dtype`; whole numbers wrap into the range of an integer dtype. */
function valueIn(dtype: DType, value: number): number {
  if (isFloat(dtype)) return value;
  if (dtype === "bool" ? value !== 0 && value !== 1 : !Number.isInteger(value)) {
    throw new FaxError({
      code: "FAX1102",
      message: `constant: the number ${value} stands beside an array of dtype ${dtype}, which does not have it`,
      source: currentBuilder()?.source ?? userLocation(),
      help: dtype === "bool" ? "0 and 1 are legal" : "whole numbers are legal; convert the array to f32 for others",
    });
  }
  return dtype === "i32" ? value | 0 : dtype === "u32" ? value >>> 0 : value;
}
