/** A choice between two values, element by element. */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { avalOf } from "../ir/aval.ts";
import { type DType, dtypes } from "../ir/dtype.ts";
import { allocateHostArray } from "../ir/host-array.ts";
import type { Params } from "../ir/jaxpr.ts";
import { bind } from "../trace/bind.ts";
import { constant, NDArray, type Value } from "../trace/ndarray.ts";
import { define } from "./define.ts";
import {
  commonDType,
  commonShape,
  elementStep,
  elementwise,
  elementwiseOperands,
  fullShape,
  lowerElements,
  requireScalarsLiteral,
} from "./elementwise.ts";
import type { Operand } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";
import type { Sample, UniformPrimitive } from "./primitive.ts";

const selectPrimitive: UniformPrimitive<Params> = elementwise<Params>({
  name: "select",
  doc: "x where the condition holds, else y; linear in both. JAX lax.select",
  abstractEval: (inputs) => {
    const [which, ...cases] = inputs;
    invariant(which !== undefined && cases.length === 2, "select needs a condition and two cases");
    if (which.dtype !== "bool") {
      throw new FaxError({
        code: "FAX1102",
        message: `select: the condition has the dtype ${which.dtype}, but it must be bool`,
        help: "compare it, as in ne(condition, 0)",
      });
    }
    const dtype = commonDType("select", cases, dtypes);
    return [avalOf(dtype, commonShape("select", inputs), { weak: cases.every((input) => input.weak) })];
  },
  impl: ([which, x, y]) => {
    invariant(which !== undefined && x !== undefined && y !== undefined, "select needs three operands");
    const output = allocateHostArray(x.dtype, fullShape([which.shape, x.shape, y.shape]));
    const [whichStep, xStep, yStep] = [elementStep(which, output), elementStep(x, output), elementStep(y, output)];
    for (let i = 0; i < output.data.length; i++) {
      output.data[i] = (which.data[i * whichStep] ? x.data[i * xStep] : y.data[i * yStep]) as number;
    }
    return [output];
  },
  jvp: ({ primals, tangents: [, tx, ty], params, lax }) => {
    const [which] = primals;
    const outputs = bind(selectPrimitive, primals, params);
    invariant(which !== undefined, "select needs three operands");
    return { outputs, tangents: [tx || ty ? lax.select(which, tx ?? 0, ty ?? 0) : null] };
  },
  transpose: ({ cotangents: [ct], inputs: [which, x, y], lax }) => {
    invariant(ct && which instanceof NDArray, "select is linear in its cases alone");
    return [null, isLinear(x) ? lax.select(which, ct, 0) : null, isLinear(y) ? lax.select(which, 0, ct) : null];
  },
  lower: ({ inputs, outputs, ctx }) =>
    lowerElements(inputs, outputs, ctx, ([which, x, y]) => {
      invariant(which !== undefined && x !== undefined && y !== undefined, "select needs three operands");
      return ctx.expr.selectExpr(which, x, y);
    }),
  samples: samples(),
});

export const select = define(selectPrimitive, (emit) => (which: Operand, onTrue: Operand, onFalse: Operand): Value => {
  const condition = which instanceof NDArray ? which : constant(which !== 0, "bool");
  const cases = elementwiseOperands("select", onTrue, onFalse);
  requireScalarsLiteral("select", [condition, ...cases]);
  return emit([condition, ...cases], {});
});

function samples(): Sample<Params>[] {
  const shapes = [
    ["a matrix", [3, 5]],
    ["a scalar", []],
    ["an empty array", [0, 3]],
  ] as const;
  const random = dtypes.flatMap((dtype: DType) =>
    shapes.map(([name, shape]): Sample<Params> => ({
      name: `${name} of ${dtype}`,
      inputs: [
        { dtype: "bool", shape },
        { dtype, shape, from: 0, to: 9 },
        { dtype, shape, from: 0, to: 9 },
      ],
      params: {},
      smooth: dtype === "f32",
    })),
  );
  const edges: Sample<Params> = {
    name: "edges of f32",
    inputs: [
      { dtype: "bool", shape: [4], values: [1, 0, 1, 0] },
      { dtype: "f32", shape: [4], values: [NaN, NaN, -0, 1] },
      { dtype: "f32", shape: [4], values: [1, -Infinity, NaN, NaN] },
    ],
    params: {},
    smooth: false,
  };
  return [...random, edges];
}
