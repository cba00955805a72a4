/**
 * Operands as user code gives them, and how several of them come to one dtype and one shape. A number stays a literal
 * of the result's dtype throughout: only values with elements are converted or broadcast.
 */
import {
  Constant,
  constant,
  currentBuilder,
  type DType,
  formatAval,
  isFloat,
  isInteger,
  lax,
  NDArray,
  promoteDTypes,
  range,
  sameShape,
  type Shape,
  startsWith,
  type Value,
  withAmbient,
} from "@fax/compiler";
import { broadcastedShape } from "./axis.ts";
import { fault, formatShape } from "./fault.ts";
import { arrayFromNested, type NestedList, type TypedArray } from "./from-host.ts";

/** What operations take: arrays, numbers, booleans, and (nested) lists of them, as `np.array` takes. */
export type ArrayLike<P extends string = "server"> = NDArray<P> | number | boolean | NestedList | TypedArray;

/** An operation on one operand. The result lies where the operand lies. */
export type Unary = <P extends string = "server">(x: ArrayLike<P>) => NDArray<P>;

/** An operation on two operands at one placement; a number fits any. */
export interface Binary {
  <P extends string = "server">(x: ArrayLike<P>, y: ArrayLike<NoInfer<P>>): NDArray<P>;
  <P extends string = "server">(x: ArrayLike<NoInfer<P>>, y: ArrayLike<P>): NDArray<P>;
}

/** Says to the type checker that a result lies where its operands lie; tracing has made sure of it. */
export function placed<P extends string>(value: Value): NDArray<P> {
  return value as NDArray<P>;
}

/** Numbers become weakly typed constants, lists become arrays. */
export function asValue(name: string, x: ArrayLike<string>): Value {
  if (x instanceof NDArray) return x;
  if (typeof x === "number") return constant(x, "f32", { weak: true });
  if (typeof x === "boolean") return constant(x, "bool");
  return arrayFromNested(name, x);
}

/** The dtype of an operation on all of `values`; weak only if every one of them is. */
export function resultType(values: readonly Value[]): { readonly dtype: DType; readonly weak: boolean } {
  const strong = values.filter((value) => !value.aval.weak);
  if (strong.length === 0) {
    const dtype = values.map((value) => value.aval.dtype).reduce(promoteDTypes, "bool");
    return { dtype, weak: values.length > 0 };
  }
  const start = strong.map((value) => value.aval.dtype).reduce(promoteDTypes);
  const dtype = values.filter((value) => value.aval.weak).reduce(withWeak, start);
  return { dtype, weak: false };
}

/** A weak value bends to `dtype` unless it is of a higher kind: a whole literal fits integers, no float else does. */
function withWeak(dtype: DType, value: Value): DType {
  const own = value.aval.dtype;
  if (isFloat(dtype)) return dtype;
  if (isInteger(dtype)) return !isFloat(own) || isWholeConstant(value) ? dtype : own;
  return own;
}

function isWholeConstant(value: Value): boolean {
  return value instanceof Constant && Number.isInteger(value.value);
}

const integerRange = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/** `value` with another dtype; a constant stays one. */
export function convert(name: string, value: Value, dtype: DType, weak = false): Value {
  if (value instanceof Constant) return convertConstant(name, value, dtype, weak);
  return value.aval.dtype === dtype ? value : lax.convert_element_type(value, dtype, { weak });
}

function convertConstant(name: string, value: Constant, dtype: DType, weak: boolean): Constant {
  if (value.aval.dtype === dtype && value.aval.weak === weak) return value;
  if (dtype === "bool") return constant(value.value !== 0, dtype, { weak });
  if (!isInteger(dtype)) return constant(value.value, dtype, { weak });
  const number = Math.trunc(value.value);
  const [low, high] = integerRange[dtype as "i32" | "u32"];
  if (!(number >= low && number <= high)) {
    throw fault("FAX1102", `${name}: the number ${value.value} does not fit the dtype ${dtype} beside it`, {
      help: `${dtype} holds ${low} to ${high}`,
    });
  }
  return constant(number, dtype, { weak });
}

/** All operands in the dtype that `NumPy`'s promotion (without 64-bit types) gives them. */
export function promote(name: string, values: readonly Value[]): Value[] {
  const { dtype, weak } = resultType(values);
  return values.map((value) => convert(name, value, dtype, weak));
}

/** The same, in a float dtype: integers and bools become f32. */
export function promoteToFloat(name: string, values: readonly Value[]): Value[] {
  const { dtype, weak } = resultType(values);
  return values.map((value) => convert(name, value, isFloat(dtype) ? dtype : "f32", weak));
}

/** All operands spread to their common shape; constants fit as they are. */
export function broadcast(name: string, values: readonly Value[]): Value[] {
  const shape = commonShape(name, values);
  return values.map((value) => (value instanceof Constant ? value : spread(value, shape)));
}

export function commonShape(name: string, values: readonly Value[]): number[] {
  const shape = broadcastedShape(values.map((value) => value.aval.shape));
  if (shape === null) {
    const shapes = values.filter((value) => !(value instanceof Constant)).map((value) => formatShape(value.aval.shape));
    throw fault("FAX1201", `${name}: shapes ${shapes.join(" and ")} do not broadcast together`, {
      operands: values,
      help: "sizes must be equal, or one of them 1, counted from the last axis",
    });
  }
  return shape;
}

/** `value` broadcast to `shape`, aligned at the last axis; the shapes must fit. */
export function spread(value: Value, shape: Shape): Value {
  if (sameShape(value.aval.shape, shape)) return value;
  return lax.broadcast_in_dim(value, shape, range(shape.length - value.aval.shape.length, shape.length));
}

/** Runs `body` so that what it makes from nothing (`iota`, filled arrays) lies where `value` lies. */
export function beside<R>(value: Value, body: () => R): R {
  const builder = currentBuilder();
  const { placement } = value.aval;
  return builder === null || startsWith(builder.ambient, placement) ? body() : withAmbient(builder, placement, body);
}

/** An operand with elements: a constant becomes a scalar array that movement operations can take. */
export function withElements(value: Value, shape: Shape = []): Value {
  return value instanceof Constant ? lax.full(shape, value.value, value.aval.dtype) : value;
}

/** Refuses operands whose dtype the operation does not have, with FAX1102. */
export function requireDType(
  name: string,
  values: readonly Value[],
  fits: (dtype: DType) => boolean,
  needs: string,
): void {
  const other = values.find((value) => !fits(value.aval.dtype));
  if (other === undefined) return;
  throw fault("FAX1102", `${name}: an operand is ${formatAval(other.aval, false)}, and ${name} needs ${needs}`, {
    operands: values,
  });
}
