/** Values for tests: drawn as a sample asks, or as a type allows, and cut or joined along an axis. */
import {
  allocateData,
  allocateHostArray,
  type Aval,
  type DType,
  type HostArray,
  isFloat,
  memberCount,
  type PlacedValue,
  range,
  roundToF16,
  type SampleInput,
  type Shape,
  sizeOf,
  stridesOf,
} from "@fax/compiler";
import type { Random } from "./random.ts";

/**
 * An array for a sample's input. Drawn numbers are spread evenly over the interval, in random order, so that no two are
 * so near each other that a small step makes them change places.
 */
export function drawInput({ dtype, shape, from, to, values }: SampleInput, random: Random): HostArray {
  if (values !== undefined) return hostArrayOf(dtype, shape, values);
  if (dtype === "bool")
    return hostArrayOf(
      dtype,
      shape,
      range(sizeOf(shape)).map(() => random.integer(0, 2)),
    );
  const low = from ?? (isFloat(dtype) ? -1 : dtype === "i32" ? -9 : 0);
  const high = to ?? (isFloat(dtype) ? 1 : 9);
  return hostArrayOf(dtype, shape, spread(dtype, sizeOf(shape), low, high, random));
}

function spread(dtype: DType, size: number, from: number, to: number, random: Random): number[] {
  if (!isFloat(dtype)) return range(size).map(() => random.integer(from, to));
  const cells = random.shuffled(range(size));
  return cells.map((cell) => from + ((to - from) * (cell + random.between(0.3, 0.7))) / size);
}

/** Another value for the same input: what was given comes in another order, what is whole moves by one. */
export function varied(input: SampleInput, index: number, random: Random): HostArray {
  const { dtype, shape, values } = input;
  if (values === undefined || values.length === 0 || index === 0) return drawInput(input, random);
  const turned = values.map((_, i) => values[(i + index) % values.length] as number);
  const moved = dtype === "i32" || dtype === "u32" ? turned.map((value) => value + index) : turned;
  return hostArrayOf(dtype, shape, moved);
}

/** Numbers are rounded, and wrapped, into the dtype. */
export function hostArrayOf(dtype: DType, shape: Shape, values: readonly number[]): HostArray {
  const data = allocateData(dtype, values.length);
  data.set(dtype === "f16" ? values.map(roundToF16) : values);
  return { dtype, shape, data };
}

/** Random numbers around zero for a value of any type: tangents, cotangents, arguments without a domain. */
export function drawDirection(aval: Aval, random: Random): PlacedValue {
  const { dtype, shape, placement } = aval;
  const members = range(memberCount(placement)).map(() =>
    drawInput({ dtype, shape, ...(isFloat(dtype) ? { from: -1, to: 1 } : {}) }, random),
  );
  return { placement, members };
}

/** `value` with `f` applied to each number, given the number at the same place of `other`. */
export function combined(value: PlacedValue, other: PlacedValue, f: (x: number, y: number) => number): PlacedValue {
  const members = value.members.map(({ dtype, shape, data }, m) => {
    const beside = memberOf(other, m);
    return hostArrayOf(
      dtype,
      shape,
      [...data].map((x, i) => f(x, beside.data[i] as number)),
    );
  });
  return { placement: value.placement, members };
}

/** A member's array; a value of a literal is the same for all. */
export function memberOf(value: PlacedValue, member: number): HostArray {
  const array = value.members[member] ?? value.members[0];
  if (array === undefined) throw new RangeError("a value without members");
  return array;
}

/** Arrays of one type joined along a new axis. */
export function stacked(arrays: readonly HostArray[], axis: number): HostArray {
  const [first] = arrays;
  if (first === undefined) throw new RangeError("nothing to stack");
  const { dtype, shape } = first;
  const result = allocateHostArray(dtype, [...shape.slice(0, axis), arrays.length, ...shape.slice(axis)]);
  const inner = sizeOf(shape.slice(axis));
  const outer = sizeOf(shape.slice(0, axis));
  arrays.forEach(({ data }, index) => {
    for (let i = 0; i < outer; i++) {
      result.data.set(data.subarray(i * inner, (i + 1) * inner), (i * arrays.length + index) * inner);
    }
  });
  return result;
}

/** The array at `index` of an axis, which disappears. */
export function sliced({ dtype, shape, data }: HostArray, axis: number, index: number): HostArray {
  const rest = [...shape.slice(0, axis), ...shape.slice(axis + 1)];
  const result = allocateHostArray(dtype, rest);
  const inner = stridesOf(shape)[axis] as number;
  const step = inner * (shape[axis] as number);
  for (let i = 0; i < sizeOf(shape.slice(0, axis)); i++) {
    result.data.set(data.subarray(i * step + index * inner, i * step + (index + 1) * inner), i * inner);
  }
  return result;
}

export function mapMembers(value: PlacedValue, f: (array: HostArray) => HostArray): PlacedValue {
  return { placement: value.placement, members: value.members.map(f) };
}

/** The sum of products over all elements of all members, in double. */
export function innerProduct(a: readonly PlacedValue[], b: readonly PlacedValue[]): { sum: number; scale: number } {
  let [sum, scale] = [0, 0];
  a.forEach((value, i) => {
    const other = b[i];
    if (other === undefined) throw new RangeError("lists of different lengths");
    for (const m of range(Math.max(value.members.length, other.members.length))) {
      const [x, y] = [memberOf(value, m).data, memberOf(other, m).data];
      for (let k = 0; k < x.length; k++) {
        const product = (x[k] as number) * (y[k] as number);
        sum += product;
        scale += Math.abs(product);
      }
    }
  });
  return { sum, scale };
}
