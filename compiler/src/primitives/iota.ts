/** The one array primitive without operands. */
import { FaxError, InternalError } from "../diagnostics/index.ts";
import { avalOf } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import type { Shape } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { checkAxesOf, checkCounts } from "./axes.ts";
import { define } from "./define.ts";
import { buildArray } from "./host-strides.ts";

type IotaParams = { readonly dtype: DType; readonly shape: Shape; readonly dimension: number };

/** The index along `dimension`, as an array of `shape`. */
export const iota = define<IotaParams, (dtype: DType, shape: Shape, dimension: number) => Value>(
  {
    name: "iota",
    kind: "array",
    doc: "out[i] = i at `dimension`. [JAX lax.broadcasted_iota]",
    abstractEval: (_inputs, { dtype, shape, dimension }) => {
      checkCounts("iota", "shape", shape, shape.length, 0);
      checkAxesOf("iota", [dimension], shape.length, `the shape [${shape.join(", ")}] has ${shape.length} axes`);
      if (dtype === "bool") {
        throw new FaxError({
          code: "FAX1102",
          message: "iota: the dtype is bool, an index needs a number",
          help: "legal here: f32, f16, i32, u32",
        });
      }
      return [avalOf(dtype, [...shape])];
    },
    impl: (_inputs, { dtype, shape, dimension }) => [buildArray(dtype, shape, (index) => index[dimension] as number)],
    jvp: ({ params: { dtype, shape, dimension }, lax }) => ({
      outputs: [lax.iota(dtype, shape, dimension)],
      tangents: [null],
    }),
    transpose: "not linear",
    batch: () => {
      throw new InternalError("iota has no operand that could be mapped");
    },
    lower: ({ params: { dtype, shape, dimension }, ctx }) => [
      ctx.map(dtype, shape, (index) => ctx.expr.castExpr(index[dimension] as Expr, dtype)),
    ],
    samples: [
      { name: "vector", inputs: [], params: { dtype: "i32", shape: [5], dimension: 0 } },
      { name: "columns", inputs: [], params: { dtype: "f32", shape: [2, 3], dimension: 1 } },
      { name: "rows in f16", inputs: [], params: { dtype: "f16", shape: [3, 1], dimension: 0 } },
      { name: "empty", inputs: [], params: { dtype: "u32", shape: [0], dimension: 0 } },
    ],
  },
  (bind) => (dtype, shape, dimension) => bind([], { dtype, shape: [...shape], dimension }),
);
