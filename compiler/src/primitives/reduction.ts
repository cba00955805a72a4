/** Reductions over axes, which disappear. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import { allocateHostArray, type HostArray } from "../ir/host-array.ts";
import { type Shape, sizeOf, stridesOf } from "../ir/shape.ts";
import type { Reducer } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { bumped, checkAxes, pick, remainingAxes } from "./axes.ts";
import { onlyDim } from "./batching.ts";
import { define } from "./define.ts";
import { offsetsOf, rounded } from "./host-strides.ts";
import type { Lax } from "./lax-types.ts";
import { linearJvp, linearTranspose } from "./linear-rules.ts";
import type { BatchArgs, BatchResult, JvpArgs, JvpResult, LowerArgs, Lowered, Sample } from "./primitive.ts";
import type { UniformPrimitive } from "./primitive.ts";

type ReduceParams = { readonly axes: readonly number[] };

/** Folds one row: elements of `data` at `base + inner[i]`, accumulated in double (integers modulo 2³²). */
type Fold = (data: ArrayLike<number>, base: number, inner: Int32Array, dtype: DType) => number;

interface Reduction {
  readonly name: string;
  readonly reducer: Reducer;
  readonly doc: string;
  readonly dtypes: readonly DType[];
  readonly fold: Fold;
  readonly jvp: (args: JvpArgs<ReduceParams>) => JvpResult;
  readonly transpose: UniformPrimitive<ReduceParams>["transpose"];
  readonly samples: readonly Sample<ReduceParams>[];
}

const numeric: readonly DType[] = ["f32", "f16", "i32", "u32"];

function defineReduction(reduction: Reduction): (x: Value, axes: readonly number[]) => Value {
  const { name, doc, reducer, fold, jvp, transpose, samples } = reduction;
  return define<ReduceParams, (x: Value, axes: readonly number[]) => Value>(
    {
      name,
      kind: "array",
      doc,
      abstractEval: (inputs, { axes }) => {
        const [x] = inputs as readonly [Aval];
        checkAxes(name, axes, x);
        checkDType(name, x, reduction.dtypes);
        return [avalOf(x.dtype, pick(x.shape, remainingAxes(x.shape.length, axes)), { weak: x.weak })];
      },
      impl: (inputs, { axes }) => {
        const [x] = inputs as readonly [HostArray];
        return [foldAxes(x, axes, x.dtype, fold)];
      },
      jvp,
      transpose,
      batch: ({ inputs, dims, params, lax }) => batchReduction(name, inputs, dims, params.axes, lax),
      lower: (args) => [lowerReduction(reducer, args)],
      samples,
    },
    (bind) => (x, axes) => bind([x], { axes: [...axes] }),
  );
}

function checkDType(name: string, x: Aval, legal: readonly DType[]): void {
  if (legal.includes(x.dtype)) return;
  const wantsBool = legal.includes("bool");
  throw new FaxError({
    code: "FAX1102",
    message: `${name}: the operand is ${formatAval(x, false)}, it takes ${legal.join(", ")}`,
    help: wantsBool
      ? "compare first, as in x != 0"
      : "convert first, as in x.astype(np.int32), or use np.any or np.all",
  });
}

function foldAxes(x: HostArray, axes: readonly number[], dtype: DType, fold: Fold): HostArray {
  const keptAxes = remainingAxes(x.shape.length, axes);
  const sorted = [...axes].sort((a, b) => a - b);
  const strides = stridesOf(x.shape);
  const shape = pick(x.shape, keptAxes);
  const kept = offsetsOf(shape, pick(strides, keptAxes));
  const inner = offsetsOf(pick(x.shape, sorted), pick(strides, sorted));
  const out = allocateHostArray(dtype, shape);
  for (let i = 0; i < kept.length; i++) out.data[i] = rounded(dtype, fold(x.data, kept[i] as number, inner, x.dtype));
  return out;
}

type NamedReduction = "reduce_sum" | "reduce_prod" | "reduce_max" | "reduce_min" | "reduce_and" | "reduce_or";

/** The mapped axis stays where it is; the reduced ones count around it. */
function batchReduction(
  name: string,
  inputs: readonly Value[],
  dims: readonly (number | null)[],
  axes: readonly number[],
  lax: Lax,
): BatchResult {
  const [x] = inputs as readonly [Value];
  const dim = onlyDim(dims);
  const shifted = bumped(axes, dim);
  const output = lax[name as NamedReduction](x, shifted);
  return { outputs: [output], dims: [dim - shifted.filter((axis) => axis < dim).length] };
}

/** The full index of an operand, from that of the kept axes and that of the reduced ones. */
function operandIndex<T>(ndim: number, axes: readonly number[], kept: readonly T[], inner: readonly T[]): T[] {
  const index: T[] = [];
  let nextKept = 0;
  let nextInner = 0;
  for (let axis = 0; axis < ndim; axis++) {
    index.push((axes.includes(axis) ? inner[nextInner++] : kept[nextKept++]) as T);
  }
  return index;
}

function lowerReduction(reducer: Reducer, { inputs, params, outputs, ctx }: LowerArgs<ReduceParams>): Lowered {
  const [x] = inputs as readonly [Lowered];
  const [output] = outputs as readonly [Aval];
  const { axes } = params;
  if (axes.length === 0) return x;
  const sorted = [...axes].sort((a, b) => a - b);
  const accumulated: DType = x.dtype === "f16" && (reducer === "sum" || reducer === "prod") ? "f32" : x.dtype;
  const reduced = ctx.reduce(reducer, output.shape, pick(x.shape, sorted), (index, inner) =>
    ctx.expr.castExpr(x.at(operandIndex(x.shape.length, sorted, index, inner)), accumulated),
  );
  if (accumulated === x.dtype) return reduced;
  return ctx.map(x.dtype, output.shape, (index) => ctx.expr.castExpr(reduced.at(index), x.dtype));
}

/** A value of the reduced shape, repeated along the axes that the reduction removed. */
function spread(lax: Lax, x: Value, shape: Shape, axes: readonly number[]): Value {
  return lax.broadcast_in_dim(x, shape, remainingAxes(shape.length, axes));
}

/** The gradient of an extreme is shared equally by all elements that attain it. */
function extremeJvp(name: "reduce_max" | "reduce_min"): (args: JvpArgs<ReduceParams>) => JvpResult {
  return ({ primals, tangents, params: { axes }, lax }) => {
    const [x] = primals as readonly [Value];
    const [tangent] = tangents as readonly [Value];
    const output = lax[name](x, axes);
    const attained = lax.convert_element_type(lax.eq(x, spread(lax, output, x.shape, axes)), tangent.dtype);
    const count = lax.reduce_sum(attained, axes);
    return { outputs: [output], tangents: [lax.div(lax.reduce_sum(lax.mul(tangent, attained), axes), count)] };
  };
}

/**
 * A balanced tree of products, so that an element which is 0 has its derivative without any division:
 * d(ab) = da·b + a·db at every node.
 */
function productJvp({ primals, tangents, params: { axes }, lax }: JvpArgs<ReduceParams>): JvpResult {
  const [x] = primals as readonly [Value];
  const [tangent] = tangents as readonly [Value];
  const output = lax.reduce_prod(x, axes);
  const kept = remainingAxes(x.ndim, axes);
  const keptShape = pick(x.shape, kept);
  let count = sizeOf(pick(x.shape, axes));
  if (count === 0) return { outputs: [output], tangents: [null] };
  const rows = (value: Value): Value => lax.reshape(lax.transpose(value, [...axes, ...kept]), [count, ...keptShape]);
  let factors = { value: rows(x), tangent: rows(tangent) };
  const part = (from: number, to: number) => {
    const start = [from, ...keptShape.map(() => 0)];
    const limit = [to, ...keptShape];
    return { value: lax.slice(factors.value, start, limit), tangent: lax.slice(factors.tangent, start, limit) };
  };
  while (count > 1) {
    const half = Math.floor(count / 2);
    const a = part(0, half);
    const b = part(half, 2 * half);
    const product = {
      value: lax.mul(a.value, b.value),
      tangent: lax.add(lax.mul(a.tangent, b.value), lax.mul(b.tangent, a.value)),
    };
    if (count % 2 === 1) {
      const rest = part(2 * half, count);
      factors = {
        value: lax.concatenate([product.value, rest.value], 0),
        tangent: lax.concatenate([product.tangent, rest.tangent], 0),
      };
    } else factors = product;
    count = count - half;
  }
  return { outputs: [output], tangents: [lax.reshape(factors.tangent, keptShape)] };
}

const zeroTangent =
  (name: NamedReduction) =>
  ({ primals, params, lax }: JvpArgs<ReduceParams>): JvpResult => ({
    outputs: [lax[name](primals[0] as Value, params.axes)],
    tangents: [null],
  });

/** Keeps the extreme so far; NaN wins over everything. */
function foldExtreme(better: (a: number, b: number) => boolean, empty: (dtype: DType) => number): Fold {
  return (data, base, inner, dtype) => {
    let best = empty(dtype);
    for (let i = 0; i < inner.length; i++) {
      const value = data[base + (inner[i] as number)] as number;
      if (i === 0 || better(value, best) || Number.isNaN(value)) best = value;
      if (Number.isNaN(best)) return NaN;
    }
    return best;
  };
}

function lowest(dtype: DType): number {
  return isFloat(dtype) ? -Infinity : dtype === "i32" ? -(2 ** 31) : 0;
}

function highest(dtype: DType): number {
  return isFloat(dtype) ? Infinity : dtype === "i32" ? 2 ** 31 - 1 : 2 ** 32 - 1;
}

const floatAndIntegerSamples: readonly Sample<ReduceParams>[] = [
  { name: "rows", inputs: [{ dtype: "f32", shape: [3, 5] }], params: { axes: [1] } },
  { name: "outer and inner axis", inputs: [{ dtype: "f32", shape: [2, 3, 4] }], params: { axes: [2, 0] } },
  { name: "everything", inputs: [{ dtype: "f32", shape: [7, 3] }], params: { axes: [0, 1] } },
  { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: { axes: [] } },
  { name: "axis of size 1", inputs: [{ dtype: "f32", shape: [4, 1] }], params: { axes: [1] } },
  { name: "empty axis", inputs: [{ dtype: "f32", shape: [2, 0] }], params: { axes: [1] } },
  { name: "empty result", inputs: [{ dtype: "f32", shape: [0, 3] }], params: { axes: [1] } },
  { name: "f16", inputs: [{ dtype: "f16", shape: [4, 6] }], params: { axes: [0] }, smooth: false },
  { name: "i32", inputs: [{ dtype: "i32", shape: [4, 6], from: -9, to: 9 }], params: { axes: [1] } },
  { name: "u32", inputs: [{ dtype: "u32", shape: [5, 2], from: 0, to: 9 }], params: { axes: [0] } },
  { name: "empty i32", inputs: [{ dtype: "i32", shape: [0] }], params: { axes: [0] } },
];

/** Floats in f32 or better, rounded once: `out = Σ x` over `axes`. */
export const reduce_sum = defineReduction({
  name: "reduce_sum",
  reducer: "sum",
  doc: "Σ x over `axes`, accumulated in f32 or better; 0 over nothing. [JAX lax.reduce_sum]",
  dtypes: numeric,
  fold: (data, base, inner, dtype) => {
    let sum = 0;
    if (isFloat(dtype)) for (let i = 0; i < inner.length; i++) sum += data[base + (inner[i] as number)] as number;
    else for (let i = 0; i < inner.length; i++) sum = (sum + (data[base + (inner[i] as number)] as number)) | 0;
    return sum;
  },
  jvp: linearJvp((lax, x, { axes }) => lax.reduce_sum(x, axes)),
  transpose: linearTranspose((lax, ct, input, { axes }) => spread(lax, ct, input.shape, axes)),
  samples: floatAndIntegerSamples,
});

export const reduce_prod = defineReduction({
  name: "reduce_prod",
  reducer: "prod",
  doc: "Π x over `axes`, accumulated in f32 or better; 1 over nothing. [JAX lax.reduce_prod]",
  dtypes: numeric,
  fold: (data, base, inner, dtype) => {
    let product = 1;
    if (isFloat(dtype)) for (let i = 0; i < inner.length; i++) product *= data[base + (inner[i] as number)] as number;
    else {
      for (let i = 0; i < inner.length; i++) product = Math.imul(product, data[base + (inner[i] as number)] as number);
    }
    return product;
  },
  jvp: productJvp,
  transpose: "not linear",
  samples: [
    ...floatAndIntegerSamples,
    {
      name: "zeros among the factors",
      inputs: [{ dtype: "f32", shape: [3, 3], values: [0, 2, 3, 0, 0, 4, 1.5, 2, -1] }],
      params: { axes: [1] },
    },
  ],
});

const extremeSamples: readonly Sample<ReduceParams>[] = [
  ...floatAndIntegerSamples,
  {
    name: "ties",
    inputs: [{ dtype: "f32", shape: [2, 3], values: [1, 1, 0, -2, -2, -2] }],
    params: { axes: [1] },
    smooth: false,
  },
  {
    name: "NaN",
    inputs: [{ dtype: "f32", shape: [2, 3], values: [1, NaN, 2, -Infinity, 3, Infinity] }],
    params: { axes: [1] },
    smooth: false,
  },
];

export const reduce_max = defineReduction({
  name: "reduce_max",
  reducer: "max",
  doc: "max x over `axes`; NaN if any is NaN; −∞ (the lowest integer) over nothing. [JAX lax.reduce_max]",
  dtypes: numeric,
  fold: foldExtreme((a, b) => a > b, lowest),
  jvp: extremeJvp("reduce_max"),
  transpose: "not linear",
  samples: extremeSamples,
});

export const reduce_min = defineReduction({
  name: "reduce_min",
  reducer: "min",
  doc: "min x over `axes`; NaN if any is NaN; +∞ (the highest integer) over nothing. [JAX lax.reduce_min]",
  dtypes: numeric,
  fold: foldExtreme((a, b) => a < b, highest),
  jvp: extremeJvp("reduce_min"),
  transpose: "not linear",
  samples: extremeSamples,
});

const boolSamples: readonly Sample<ReduceParams>[] = [
  { name: "rows", inputs: [{ dtype: "bool", shape: [5, 3] }], params: { axes: [1] } },
  { name: "everything", inputs: [{ dtype: "bool", shape: [2, 2], values: [1, 1, 1, 1] }], params: { axes: [0, 1] } },
  { name: "empty axis", inputs: [{ dtype: "bool", shape: [2, 0] }], params: { axes: [1] } },
  { name: "scalar", inputs: [{ dtype: "bool", shape: [] }], params: { axes: [] } },
];

export const reduce_and = defineReduction({
  name: "reduce_and",
  reducer: "and",
  doc: "Whether all are true over `axes`; true over nothing. [JAX lax.reduce_and]",
  dtypes: ["bool"],
  fold: (data, base, inner) => Number(inner.every((offset) => data[base + offset] !== 0)),
  jvp: zeroTangent("reduce_and"),
  transpose: "not linear",
  samples: boolSamples,
});

export const reduce_or = defineReduction({
  name: "reduce_or",
  reducer: "or",
  doc: "Whether any is true over `axes`; false over nothing. [JAX lax.reduce_or]",
  dtypes: ["bool"],
  fold: (data, base, inner) => Number(inner.some((offset) => data[base + offset] !== 0)),
  jvp: zeroTangent("reduce_or"),
  transpose: "not linear",
  samples: boolSamples,
});

function defineArgReduction(
  name: "argmax" | "argmin",
  doc: string,
  better: (a: number, b: number) => boolean,
): (x: Value, axis: number) => Value {
  return define<ReduceParams, (x: Value, axis: number) => Value>(
    {
      name,
      kind: "array",
      doc,
      abstractEval: (inputs, { axes }) => {
        const [x] = inputs as readonly [Aval];
        checkAxes(name, axes, x);
        checkDType(name, x, numeric);
        if (axes.some((axis) => x.shape[axis] === 0)) {
          throw new FaxError({
            code: "FAX1203",
            message: `${name}: axis ${axes[0]} of ${formatAval(x, false)} is empty, it needs at least one element`,
            help: "legal here: an axis of size ≥ 1",
          });
        }
        return [avalOf("i32", pick(x.shape, remainingAxes(x.shape.length, axes)))];
      },
      impl: (inputs, { axes }) => {
        const [x] = inputs as readonly [HostArray];
        const fold: Fold = (data, base, inner) => {
          let best = 0;
          for (let i = 0; i < inner.length; i++) {
            const value = data[base + (inner[i] as number)] as number;
            if (Number.isNaN(value)) return i;
            if (better(value, data[base + (inner[best] as number)] as number)) best = i;
          }
          return best;
        };
        return [foldAxes(x, axes, "i32", fold)];
      },
      jvp: ({ primals, params, lax }) => ({
        outputs: [lax[name](primals[0] as Value, params.axes[0] as number)],
        tangents: [null],
      }),
      transpose: "not linear",
      batch: ({ inputs, dims, params, lax }: BatchArgs<ReduceParams>) => {
        const dim = onlyDim(dims);
        const axis = bumped(params.axes, dim)[0] as number;
        return { outputs: [lax[name](inputs[0] as Value, axis)], dims: [axis < dim ? dim - 1 : dim] };
      },
      lower: ({ inputs, params: { axes }, outputs, ctx }) => {
        const [x] = inputs as readonly [Lowered];
        const [output] = outputs as readonly [Aval];
        return [
          ctx.reduce(name, output.shape, pick(x.shape, axes), (index, inner) =>
            x.at(operandIndex(x.shape.length, axes, index, inner)),
          ),
        ];
      },
      samples: [
        { name: "rows", inputs: [{ dtype: "f32", shape: [3, 5] }], params: { axes: [1] } },
        { name: "columns", inputs: [{ dtype: "f32", shape: [4, 3] }], params: { axes: [0] } },
        { name: "axis of size 1", inputs: [{ dtype: "f32", shape: [2, 1] }], params: { axes: [1] } },
        { name: "f16", inputs: [{ dtype: "f16", shape: [3, 4] }], params: { axes: [1] } },
        { name: "i32", inputs: [{ dtype: "i32", shape: [6], from: -5, to: 5 }], params: { axes: [0] } },
        { name: "empty result", inputs: [{ dtype: "f32", shape: [0, 3] }], params: { axes: [1] } },
        {
          name: "ties and NaN",
          inputs: [{ dtype: "f32", shape: [3, 4], values: [2, 5, 5, 2, 1, NaN, 9, NaN, 0, -0, -0, 0] }],
          params: { axes: [1] },
        },
      ],
    },
    (bind) => (x, axis) => bind([x], { axes: [axis] }),
  );
}

export const argmax = defineArgReduction(
  "argmax",
  "The i32 position of the first largest element along the axis, NaN being the largest. [JAX lax.argmax]",
  (a, b) => a > b,
);

export const argmin = defineArgReduction(
  "argmin",
  "The i32 position of the first smallest element along the axis, NaN being the smallest. [JAX lax.argmin]",
  (a, b) => a < b,
);
