/** Samples of elementwise primitives: the same shapes and dtypes for all, in the domain of each. */
import { type DType, isFloat } from "../ir/dtype.ts";
import type { Params } from "../ir/jaxpr.ts";
import type { Shape } from "../ir/shape.ts";
import type { Sample, SampleInput } from "./primitive.ts";

type Range = readonly [from: number, to: number];

export interface SamplesOptions<P> {
  readonly params: P;
  readonly dtypes: readonly DType[];
  /** Where floats are drawn from, for each operand: an interval on which the function is smooth. */
  readonly floats?: readonly Range[];
  /** Where integers are drawn from, for each operand. */
  readonly integers?: readonly Range[];
  /** Values at the edges of the domain, for each operand, by dtype. */
  readonly edges?: Readonly<Partial<Record<DType, readonly (readonly number[])[]>>>;
  /** More smooth values for f32, for each operand. */
  readonly smooth?: readonly (readonly number[])[];
}

/** The ordinary case, a scalar and an empty array of every legal dtype, and the edges. */
export function samplesOf<P extends Params>(options: SamplesOptions<P>): Sample<P>[] {
  const { params, dtypes, edges = {}, smooth } = options;
  const random = dtypes.flatMap((dtype) =>
    shapes.map(([name, shape]): Sample<P> => ({
      name: `${name} of ${dtype}`,
      inputs: rangesFor(options, dtype).map(([from, to]) => ({ dtype, shape, from, to })),
      params,
      smooth: dtype === "f32",
    })),
  );
  const atEdges = dtypes.flatMap((dtype): Sample<P>[] => {
    const values = edges[dtype];
    return values ? [{ name: `edges of ${dtype}`, inputs: given(dtype, values), params, smooth: false }] : [];
  });
  const more: Sample<P>[] = smooth ? [{ name: "smooth values of f32", inputs: given("f32", smooth), params }] : [];
  return [...random, ...more, ...atEdges];
}

/** All pairs of the given values, as two operands. */
export function pairs(values: readonly number[]): readonly [readonly number[], readonly number[]] {
  return [values.flatMap((x) => values.map(() => x)), values.flatMap(() => values)];
}

/** Inputs of rank 1 with the given values. */
export function given(dtype: DType, values: readonly (readonly number[])[]): SampleInput[] {
  return values.map((list) => ({ dtype, shape: [list.length], values: list }));
}

const shapes: readonly (readonly [name: string, Shape])[] = [
  ["a matrix", [3, 5]],
  ["a scalar", []],
  ["an empty array", [0, 3]],
];

function rangesFor<P>({ floats = [], integers = [] }: SamplesOptions<P>, dtype: DType): readonly Range[] {
  if (isFloat(dtype)) return floats;
  const ranges = integers.length > 0 ? integers : floats;
  if (dtype === "bool") return ranges.map(() => [0, 2]);
  return dtype === "u32" ? ranges.map(([from, to]) => [Math.max(0, from), to]) : ranges;
}

/** Floats that are not numbers, not finite, or zero with a sign, among ordinary ones. */
export const specialFloats: readonly number[] = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 2.5, -2.5, 0.5, -0.5];
/** Extreme integers among ordinary ones. */
export const specialI32: readonly number[] = [0, 1, -1, 7, -7, 2 ** 31 - 1, -(2 ** 31)];
export const specialU32: readonly number[] = [0, 1, 7, 2 ** 31, 2 ** 31 + 5, 2 ** 32 - 1];
