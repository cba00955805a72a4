/** The one contraction: every matmul, outer product and einsum of two operands. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import { allocateHostArray, type HostArray } from "../ir/host-array.ts";
import { range, type Shape, stridesOf } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { argsort, bumped, checkAxes, pick, remainingAxes } from "./axes.ts";
import { define } from "./define.ts";
import { offsetsOf, rounded } from "./host-strides.ts";
import type { DotDimensionNumbers, Lax } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";
import type { BatchArgs, BatchResult, LowerArgs, Lowered, Tangent, TransposeArgs } from "./primitive.ts";

type DotParams = {
  readonly dimension_numbers: DotDimensionNumbers;
  /** null: the operands' dtype. */
  /** Absent: the operands'. */
  readonly preferred_element_type?: DType;
};

interface DotAxes {
  readonly contract: readonly number[];
  readonly batch: readonly number[];
  /** In order of the operand. */
  readonly free: readonly number[];
}

function axesOf(side: 0 | 1, ndim: number, [contracting, batching]: DotDimensionNumbers): DotAxes {
  const contract = contracting[side];
  const batch = batching[side];
  return { contract, batch, free: remainingAxes(ndim, contract, batch) };
}

/** The result's axes: batch, then what is free on the left, then on the right. */
function resultShape(lhs: Shape, rhs: Shape, numbers: DotDimensionNumbers): number[] {
  const left = axesOf(0, lhs.length, numbers);
  const right = axesOf(1, rhs.length, numbers);
  return [...pick(lhs, left.batch), ...pick(lhs, left.free), ...pick(rhs, right.free)];
}

function checkPairs(what: string, lhs: Aval, rhs: Aval, left: readonly number[], right: readonly number[]): void {
  if (left.length !== right.length) {
    throw new FaxError({
      code: "FAX1203",
      message: `dot_general: ${left.length} ${what} axes of the left operand meet ${right.length} of the right`,
      help: "name equally many axes of both operands",
    });
  }
  left.forEach((axis, i) => {
    const other = right[i] as number;
    if (lhs.shape[axis] === rhs.shape[other]) return;
    throw new FaxError({
      code: "FAX1201",
      message: `dot_general: ${what} axis ${axis} of ${formatAval(lhs, false)} and axis ${other} of ${formatAval(
        rhs,
        false,
      )} have the sizes ${lhs.shape[axis]} and ${rhs.shape[other]}`,
      help: "legal here: equal sizes",
    });
  });
}

function checkTypes(lhs: Aval, rhs: Aval, preferred: DType | undefined): void {
  if (lhs.dtype !== rhs.dtype || lhs.dtype === "bool") {
    throw new FaxError({
      code: "FAX1102",
      message: `dot_general: the operands are ${formatAval(lhs, false)} and ${formatAval(rhs, false)}`,
      help: "legal here: two operands of one dtype, f32, f16, i32 or u32",
    });
  }
  const legal: readonly DType[] = isFloat(lhs.dtype) ? ["f32", "f16"] : [lhs.dtype];
  if (preferred === undefined || legal.includes(preferred)) return;
  throw new FaxError({
    code: "FAX1102",
    message: `dot_general: the operands are of dtype ${lhs.dtype}, the preferred element type is ${preferred}`,
    help: `legal here: ${legal.join(", ")}`,
  });
}

/** Products are exact in double for f16 and summed there; the sum is rounded once. */
function evaluate(lhs: HostArray, rhs: HostArray, { dimension_numbers, preferred_element_type }: DotParams): HostArray {
  const dtype = preferred_element_type ?? lhs.dtype;
  const out = allocateHostArray(dtype, resultShape(lhs.shape, rhs.shape, dimension_numbers));
  const offsets = (x: HostArray, axes: readonly number[]) =>
    offsetsOf(pick(x.shape, axes), pick(stridesOf(x.shape), axes));
  const left = axesOf(0, lhs.shape.length, dimension_numbers);
  const right = axesOf(1, rhs.shape.length, dimension_numbers);
  const [leftBatch, leftFree, leftInner] = [left.batch, left.free, left.contract].map((axes) => offsets(lhs, axes)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const [rightBatch, rightFree, rightInner] = [right.batch, right.free, right.contract].map((axes) =>
    offsets(rhs, axes),
  ) as [Int32Array, Int32Array, Int32Array];
  const count = leftInner.length;
  const float = isFloat(dtype);
  let position = 0;
  for (let b = 0; b < leftBatch.length; b++) {
    for (let i = 0; i < leftFree.length; i++) {
      const leftBase = (leftBatch[b] as number) + (leftFree[i] as number);
      for (let j = 0; j < rightFree.length; j++) {
        const rightBase = (rightBatch[b] as number) + (rightFree[j] as number);
        let sum = 0;
        for (let k = 0; k < count; k++) {
          const x = lhs.data[leftBase + (leftInner[k] as number)] as number;
          const y = rhs.data[rightBase + (rightInner[k] as number)] as number;
          if (float) sum += x * y;
          else sum = (sum + Math.imul(x, y)) | 0;
        }
        out.data[position++] = rounded(dtype, sum);
      }
    }
  }
  return out;
}

/** The cotangent of one side, as a contraction of the result's cotangent with the other side. */
function transposeSide(
  side: 0 | 1,
  cotangent: Value,
  linear: Aval,
  known: Value,
  { lax, params: { dimension_numbers } }: TransposeArgs<DotParams>,
): Value {
  const own = axesOf(side, linear.shape.length, dimension_numbers);
  const other = axesOf(side === 0 ? 1 : 0, known.ndim, dimension_numbers);
  const batchCount = own.batch.length;
  const otherFrom = side === 0 ? batchCount + own.free.length : batchCount;
  const otherInResult = range(otherFrom, otherFrom + other.free.length);
  // The operands of a contraction have one dtype; a preferred element type may have made the result another.
  const partner = known.dtype === cotangent.dtype ? known : lax.convert_element_type(known, cotangent.dtype);
  const product = lax.dot_general(cotangent, partner, [
    [otherInResult, other.free],
    [range(batchCount), other.batch],
  ]);
  // It has the batch axes, what is free of the own side, and the contracting axes in the order of the other side.
  const contract = argsort(other.contract).map((i) => own.contract[i] as number);
  const permutation = argsort([...own.batch, ...own.free, ...contract]);
  const restored = permutation.every((axis, i) => axis === i) ? product : lax.transpose(product, permutation);
  return restored.dtype === linear.dtype ? restored : lax.convert_element_type(restored, linear.dtype);
}

/**
 * With both operands mapped the axis becomes a batch axis; with one, a free axis of that operand: a larger contraction
 * of the same kind.
 */
function batchDot({ inputs, dims, params, lax }: BatchArgs<DotParams>): BatchResult {
  const [lhs, rhs] = inputs as readonly [Value, Value];
  const [lhsDim = null, rhsDim = null] = dims;
  const [[lhsContract, rhsContract], [lhsBatch, rhsBatch]] = params.dimension_numbers;
  const shift = (axes: readonly number[], dim: number | null) => (dim === null ? axes : bumped(axes, dim));
  const contract = [shift(lhsContract, lhsDim), shift(rhsContract, rhsDim)] as const;
  const batch = [shift(lhsBatch, lhsDim), shift(rhsBatch, rhsDim)] as const;
  if (lhsDim !== null && rhsDim !== null) {
    const numbers: DotDimensionNumbers = [
      contract,
      [
        [lhsDim, ...batch[0]],
        [rhsDim, ...batch[1]],
      ],
    ];
    return { outputs: [lax.dot_general(lhs, rhs, numbers, params.preferred_element_type)], dims: [0] };
  }
  const numbers: DotDimensionNumbers = [contract, batch];
  const output = lax.dot_general(lhs, rhs, numbers, params.preferred_element_type);
  const lhsFree = axesOf(0, lhs.ndim, numbers).free;
  const position =
    lhsDim !== null
      ? lhsFree.indexOf(lhsDim)
      : lhsFree.length + axesOf(1, rhs.ndim, numbers).free.indexOf(rhsDim as number);
  return { outputs: [output], dims: [batch[0].length + position] };
}

/** One reduction over the contracting axes; f16 is multiplied and summed in f32. */
function lowerDot({ inputs, params: { dimension_numbers }, outputs, ctx }: LowerArgs<DotParams>): readonly Lowered[] {
  const [lhs, rhs] = inputs as readonly [Lowered, Lowered];
  const [output] = outputs as readonly [Aval];
  const { binaryExpr, castExpr } = ctx.expr;
  const left = axesOf(0, lhs.shape.length, dimension_numbers);
  const right = axesOf(1, rhs.shape.length, dimension_numbers);
  const accumulated: DType = isFloat(lhs.dtype) ? "f32" : lhs.dtype;
  const product = (index: readonly Expr[], inner: readonly Expr[]): Expr => {
    const batch = index.slice(0, left.batch.length);
    const element = (x: Lowered, axes: DotAxes, free: readonly Expr[]): Expr => {
      const full: Expr[] = [];
      axes.batch.forEach((axis, i) => (full[axis] = batch[i] as Expr));
      axes.free.forEach((axis, i) => (full[axis] = free[i] as Expr));
      axes.contract.forEach((axis, i) => (full[axis] = inner[i] as Expr));
      return castExpr(x.at(full), accumulated);
    };
    const split = batch.length + left.free.length;
    return binaryExpr(
      "mul",
      element(lhs, left, index.slice(batch.length, split)),
      element(rhs, right, index.slice(split)),
    );
  };
  if (left.contract.length === 0) {
    return [ctx.map(output.dtype, output.shape, (index) => castExpr(product(index, []), output.dtype))];
  }
  const sum = ctx.reduce("sum", output.shape, pick(lhs.shape, left.contract), product);
  if (output.dtype === accumulated) return [sum];
  return [ctx.map(output.dtype, output.shape, (index) => castExpr(sum.at(index), output.dtype))];
}

const plain = (dimension_numbers: DotDimensionNumbers): DotParams => ({ dimension_numbers });
const matmul: DotDimensionNumbers = [
  [[1], [0]],
  [[], []],
];

/** `Σ lhs · rhs` over the contracting axes; batch axes lead, then the free ones of each side. */
export const dot_general = define<DotParams, Lax["dot_general"]>(
  {
    name: "dot_general",
    kind: "array",
    doc: "out[b, i, j] = Σₖ lhs[b, i, k] · rhs[b, j, k], summed in f32 or better. [JAX lax.dot_general]",
    abstractEval: (inputs, { dimension_numbers, preferred_element_type }) => {
      const [lhs, rhs] = inputs as readonly [Aval, Aval];
      checkTypes(lhs, rhs, preferred_element_type);
      const [[lhsContract, rhsContract], [lhsBatch, rhsBatch]] = dimension_numbers;
      checkAxes("dot_general", [...lhsContract, ...lhsBatch], lhs, "axis of the left operand");
      checkAxes("dot_general", [...rhsContract, ...rhsBatch], rhs, "axis of the right operand");
      checkPairs("contracting", lhs, rhs, lhsContract, rhsContract);
      checkPairs("batch", lhs, rhs, lhsBatch, rhsBatch);
      const dtype = preferred_element_type ?? lhs.dtype;
      return [avalOf(dtype, resultShape(lhs.shape, rhs.shape, dimension_numbers), { weak: lhs.weak && rhs.weak })];
    },
    impl: (inputs, params) => {
      const [lhs, rhs] = inputs as readonly [HostArray, HostArray];
      return [evaluate(lhs, rhs, params)];
    },
    jvp: ({ primals, tangents, params: { dimension_numbers, preferred_element_type }, lax }) => {
      const [lhs, rhs] = primals as readonly [Value, Value];
      const [dLhs = null, dRhs = null] = tangents;
      const dot = (x: Value, y: Value) => lax.dot_general(x, y, dimension_numbers, preferred_element_type);
      const left: Tangent = dLhs && dot(dLhs, rhs);
      const right: Tangent = dRhs && dot(lhs, dRhs);
      return { outputs: [dot(lhs, rhs)], tangents: [left && right ? lax.add(left, right) : (left ?? right)] };
    },
    transpose: (args) => {
      const [lhs, rhs] = args.inputs;
      const ct = args.cotangents[0] ?? null;
      if (ct === null || lhs === undefined || rhs === undefined) return [null, null];
      return [
        isLinear(lhs) && !isLinear(rhs) ? transposeSide(0, ct, lhs.aval, rhs, args) : null,
        isLinear(rhs) && !isLinear(lhs) ? transposeSide(1, ct, rhs.aval, lhs, args) : null,
      ];
    },
    batch: batchDot,
    lower: lowerDot,
    samples: [
      {
        name: "matrix · matrix",
        inputs: [
          { dtype: "f32", shape: [3, 4] },
          { dtype: "f32", shape: [4, 5] },
        ],
        params: plain(matmul),
      },
      {
        name: "vector · vector",
        inputs: [
          { dtype: "f32", shape: [6] },
          { dtype: "f32", shape: [6] },
        ],
        params: plain([
          [[0], [0]],
          [[], []],
        ]),
      },
      {
        name: "matrix · vector",
        inputs: [
          { dtype: "f32", shape: [3, 4] },
          { dtype: "f32", shape: [4] },
        ],
        params: plain(matmul),
      },
      {
        name: "outer product",
        inputs: [
          { dtype: "f32", shape: [3] },
          { dtype: "f32", shape: [2] },
        ],
        params: plain([
          [[], []],
          [[], []],
        ]),
      },
      {
        name: "scalars",
        inputs: [
          { dtype: "f32", shape: [] },
          { dtype: "f32", shape: [] },
        ],
        params: plain([
          [[], []],
          [[], []],
        ]),
      },
      {
        name: "batch axis that does not lead",
        inputs: [
          { dtype: "f32", shape: [3, 2, 4] },
          { dtype: "f32", shape: [4, 5, 2] },
        ],
        params: plain([
          [[2], [0]],
          [[1], [2]],
        ]),
      },
      {
        name: "two contracting and two batch axes, crossed",
        inputs: [
          { dtype: "f32", shape: [2, 3, 4, 2, 3] },
          { dtype: "f32", shape: [3, 2, 2, 4, 2] },
        ],
        params: plain([
          [
            [1, 2],
            [0, 3],
          ],
          [
            [0, 3],
            [4, 2],
          ],
        ]),
      },
      {
        name: "contracting axes in another order",
        inputs: [
          { dtype: "f32", shape: [3, 4, 2] },
          { dtype: "f32", shape: [4, 3] },
        ],
        params: plain([
          [
            [0, 1],
            [1, 0],
          ],
          [[], []],
        ]),
      },
      {
        name: "nothing to sum",
        inputs: [
          { dtype: "f32", shape: [2, 0] },
          { dtype: "f32", shape: [0, 3] },
        ],
        params: plain(matmul),
      },
      {
        name: "empty result",
        inputs: [
          { dtype: "f32", shape: [0, 2] },
          { dtype: "f32", shape: [2, 3] },
        ],
        params: plain(matmul),
      },
      {
        name: "axes of size 1",
        inputs: [
          { dtype: "f32", shape: [1, 1] },
          { dtype: "f32", shape: [1, 3] },
        ],
        params: plain(matmul),
      },
      {
        name: "f16",
        inputs: [
          { dtype: "f16", shape: [3, 4] },
          { dtype: "f16", shape: [4, 2] },
        ],
        params: plain(matmul),
        smooth: false,
      },
      {
        name: "f16 into f32",
        inputs: [
          { dtype: "f16", shape: [3, 4] },
          { dtype: "f16", shape: [4, 2] },
        ],
        params: { dimension_numbers: matmul, preferred_element_type: "f32" },
        smooth: false,
      },
      {
        name: "i32",
        inputs: [
          { dtype: "i32", shape: [2, 3], from: -9, to: 9 },
          { dtype: "i32", shape: [3, 2], from: -9, to: 9 },
        ],
        params: plain(matmul),
      },
    ],
  },
  (bind) =>
    (lhs, rhs, dimension_numbers, preferred_element_type = null) =>
      bind([lhs, rhs], {
        dimension_numbers: copied(dimension_numbers),
        ...(preferred_element_type === null ? {} : { preferred_element_type }),
      }),
);

function copied([[lc, rc], [lb, rb]]: DotDimensionNumbers): DotDimensionNumbers {
  return [
    [[...lc], [...rc]],
    [[...lb], [...rb]],
  ];
}
