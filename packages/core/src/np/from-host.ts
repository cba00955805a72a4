/** Host data as arrays: nested lists and typed arrays, checked to be rectangular, copied. */
import {
  allocateData,
  constant,
  currentBuilder,
  type DType,
  type HostData,
  hostArray,
  NDArray,
  roundToF16,
  type Shape,
  sizeOf,
  type Value,
} from "@fax/compiler";
import { arrayFromHost } from "../device.ts";
import { fault, formatShape } from "./fault.ts";

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array;

export type NestedList = readonly (number | boolean | TypedArray | NestedList)[];

/** The array of a list or typed array. A list of booleans is bool, any other list f32. */
export function arrayFromNested(
  name: string,
  values: NestedList | TypedArray,
  asked: { readonly dtype?: DType | undefined; readonly shape?: Shape | undefined } = {},
): Value {
  const found = shapeOf(name, values, "");
  const size = sizeOf(found);
  const shape = asked.shape ?? found;
  if (sizeOf(shape) !== size) {
    throw fault("FAX1203", `${name}: ${size} values do not fill the shape ${formatShape(shape)}`);
  }
  const dtype = asked.dtype ?? inferDType(values);
  const data = allocateData(dtype, size);
  const end = fill(name, data, values, found, 0, converter(dtype));
  if (end !== size) throw fault("FAX1201", `${name}: the rows of the list have different lengths`);
  return fromData(dtype, shape, data);
}

/** A host array as a value: a scalar inside a trace becomes a literal, everything else an array of the device. */
export function fromData(dtype: DType, shape: Shape, data: HostData): Value {
  if (shape.length === 0 && currentBuilder() !== null) return constant(data[0] as number, dtype);
  return arrayFromHost(hostArray(dtype, shape, data));
}

/** How a number is stored in a dtype: as NumPy's `astype`, integers drop the fraction. */
export function converter(dtype: DType): (value: number) => number {
  if (dtype === "bool") return (value) => (value === 0 ? 0 : 1);
  if (dtype === "f16") return roundToF16;
  return (value) => value;
}

function inferDType(values: NestedList | TypedArray): DType {
  if (!Array.isArray(values)) return typedDType(values as TypedArray);
  const leaf = firstLeaf(values as NestedList);
  if (typeof leaf === "boolean") return everyLeafIsBoolean(values as NestedList) ? "bool" : "f32";
  return leaf === undefined || typeof leaf === "number" ? "f32" : typedDType(leaf);
}

function typedDType(values: TypedArray): DType {
  if (values instanceof Float32Array || values instanceof Float64Array) return "f32";
  return values instanceof Int8Array || values instanceof Int16Array || values instanceof Int32Array ? "i32" : "u32";
}

function firstLeaf(values: NestedList): number | boolean | TypedArray | undefined {
  const [first] = values;
  return Array.isArray(first) ? firstLeaf(first as NestedList) : (first as number | boolean | TypedArray | undefined);
}

function everyLeafIsBoolean(values: NestedList): boolean {
  return values.every((value) => (Array.isArray(value) ? everyLeafIsBoolean(value) : typeof value === "boolean"));
}

/** The shape along the first elements; `fill` makes sure that the others agree. */
function shapeOf(name: string, values: unknown, path: string): number[] {
  if (isTypedArray(values)) return [values.length];
  if (!Array.isArray(values)) {
    if (typeof values === "number" || typeof values === "boolean") return [];
    throw notData(name, values, path);
  }
  return values.length === 0 ? [0] : [values.length, ...shapeOf(name, values[0], `${path}[0]`)];
}

function fill(
  name: string,
  data: HostData,
  values: unknown,
  shape: Shape,
  offset: number,
  convert: (value: number) => number,
): number {
  const [length, ...rest] = shape;
  if (length === undefined) {
    if (typeof values !== "number" && typeof values !== "boolean") {
      if (Array.isArray(values) || isTypedArray(values)) throw ragged(name);
      throw notData(name, values, "");
    }
    data[offset] = convert(Number(values));
    return offset + 1;
  }
  if (isTypedArray(values)) {
    if (rest.length > 0 || values.length !== length) throw ragged(name);
    for (let i = 0; i < length; i++) data[offset + i] = convert(values[i] as number);
    return offset + length;
  }
  if (!Array.isArray(values) || values.length !== length) throw ragged(name);
  let next = offset;
  for (const value of values) next = fill(name, data, value, rest, next, convert);
  return next;
}

function ragged(name: string): Error {
  return fault("FAX1201", `${name}: the rows of the list have different lengths or depths`, {
    help: "pad the rows to one length",
  });
}

function notData(name: string, value: unknown, path: string): Error {
  const what =
    value instanceof NDArray
      ? "an array inside a list"
      : value === null || value === undefined
        ? String(value)
        : typeof value === "object"
          ? `a ${value.constructor?.name ?? "special object"}`
          : `a ${typeof value}`;
  const help =
    value instanceof NDArray
      ? "np.stack joins arrays of one shape"
      : "an array is made of numbers, booleans, typed arrays and lists of them";
  return fault("FAX1003", `${name}: value${path} is ${what}, not data for an array`, { help });
}

export function isTypedArray(value: unknown): value is TypedArray {
  return (
    ArrayBuffer.isView(value) &&
    !(value instanceof DataView) &&
    !(value instanceof BigInt64Array) &&
    !(value instanceof BigUint64Array)
  );
}
