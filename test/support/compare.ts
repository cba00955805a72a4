/** Are two arrays the same? The answer is a sentence that says where they differ, or null. */
import {
  type HostArray,
  type Jaxpr,
  memberCount,
  type Placement,
  type PlacedValue,
  range,
  sameShape,
  stridesOf,
} from "@fax/compiler";
import { memberOf } from "./values.ts";

/**
 * How far numbers may lie apart. Without it they are equal bit for bit, but that one NaN is as good as another. With it,
 * NaN and infinities are still exact, and so is the sign of a zero of which no distance is allowed.
 */
export type Tolerance = (expected: number, position: number) => number;

export function relative(tolerance: number, absolute = tolerance): Tolerance {
  return (expected) => absolute + tolerance * Math.abs(expected);
}

/** The tolerance for each output and member of a program, from what it is expected to give on certain inputs. */
export type Allowance = (
  jaxpr: Jaxpr,
  inputs: readonly PlacedValue[],
  expected: readonly PlacedValue[],
) => (output: number, member: number) => Tolerance | undefined;

export const nothing: Allowance = () => () => undefined;

export function everywhere(tolerance: Tolerance): Allowance {
  return () => () => tolerance;
}

export function arrayDifference(actual: HostArray, expected: HostArray, tolerance?: Tolerance): string | null {
  if (actual.dtype !== expected.dtype || !sameShape(actual.shape, expected.shape)) {
    return `the type is ${typeOf(actual)}, expected ${typeOf(expected)}`;
  }
  for (let i = 0; i < expected.data.length; i++) {
    const [x, y] = [actual.data[i] as number, expected.data[i] as number];
    if (Object.is(x, y) || (tolerance !== undefined && near(x, y, tolerance(y, i)))) continue;
    return `at [${indexOf(i, expected).join(",")}] it is ${show(x)}, expected ${show(y)}${excess(x, y, tolerance?.(y, i))}`;
  }
  return null;
}

function near(x: number, y: number, tolerance: number): boolean {
  if (x === 0 && y === 0) return tolerance > 0;
  return Number.isFinite(x) && Number.isFinite(y) && Math.abs(x - y) <= tolerance;
}

export function valueDifference(
  actual: PlacedValue,
  expected: PlacedValue,
  placement: Placement,
  tolerance: (member: number) => Tolerance | undefined = () => undefined,
): string | null {
  for (const member of range(memberCount(placement))) {
    const difference = arrayDifference(memberOf(actual, member), memberOf(expected, member), tolerance(member));
    if (difference !== null) return placement.groups.length === 0 ? difference : `member ${member}: ${difference}`;
  }
  return null;
}

function typeOf({ dtype, shape }: HostArray): string {
  return `${dtype}[${shape.join(",")}]`;
}

function indexOf(position: number, { shape }: HostArray): number[] {
  return stridesOf(shape).map((stride, axis) => Math.floor(position / stride) % (shape[axis] as number));
}

function show(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function excess(x: number, y: number, tolerance: number | undefined): string {
  const distance = Math.abs(x - y);
  return tolerance === undefined || !Number.isFinite(distance)
    ? ""
    : ` (they differ by ${distance.toExponential(2)}, ${tolerance.toExponential(2)} is allowed)`;
}
