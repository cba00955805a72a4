/** Comparisons, and the classification of floats. They give bools, so that no derivative passes them. */
import type { Params } from "../ir/jaxpr.ts";
import type * as expr from "../lower/expr.ts";
import type { BinaryFn, Expr } from "../lower/expr.ts";
import { defineBinary, defineUnary, onAll, onFloats } from "./elementwise.ts";
import { pairs, samplesOf, specialFloats, specialI32, specialU32 } from "./elementwise-samples.ts";

const params: Params = {};

const samples = samplesOf({
  params,
  dtypes: ["f32", "f16", "i32", "u32", "bool"],
  floats: [
    [-2, 2],
    [-2, 2],
  ],
  integers: [
    [-3, 4],
    [-3, 4],
  ],
  edges: {
    f32: pairs(specialFloats),
    f16: pairs(specialFloats),
    i32: pairs(specialI32),
    u32: pairs(specialU32),
    bool: pairs([0, 1]),
  },
});

function comparison(name: string, doc: string, evaluate: (x: number, y: number) => boolean, lower: BinarySpecLower) {
  return defineBinary({
    name,
    doc,
    result: "bool",
    evaluate: onAll((x: number, y: number) => Number(evaluate(x, y))),
    lower,
    derivative: "zero",
    transpose: "not linear",
    samples,
  });
}

type BinarySpecLower = BinaryFn | ((e: typeof expr, x: Expr, y: Expr) => Expr);

/** Bools are ordered as 0 and 1. */
function ordered(fn: BinaryFn): BinarySpecLower {
  return (e, x, y) =>
    x.dtype === "bool" ? e.binaryExpr(fn, e.castExpr(x, "u32"), e.castExpr(y, "u32")) : e.binaryExpr(fn, x, y);
}

export const eq = comparison("eq", "x = y; false if either is NaN. JAX lax.eq", (x, y) => x === y, "eq");
export const ne = comparison("ne", "x ≠ y; true if either is NaN. JAX lax.ne", (x, y) => x !== y, "ne");
export const lt = comparison("lt", "x < y; false if either is NaN. JAX lax.lt", (x, y) => x < y, ordered("lt"));
export const le = comparison("le", "x ≤ y; false if either is NaN. JAX lax.le", (x, y) => x <= y, ordered("le"));
export const gt = comparison("gt", "x > y; false if either is NaN. JAX lax.gt", (x, y) => x > y, ordered("gt"));
export const ge = comparison("ge", "x ≥ y; false if either is NaN. JAX lax.ge", (x, y) => x >= y, ordered("ge"));

export const is_finite = defineUnary({
  name: "is_finite",
  doc: "Whether x is neither infinite nor NaN. JAX lax.is_finite",
  result: "bool",
  evaluate: onFloats((x) => Number(Number.isFinite(x))),
  lower: "is_finite",
  derivative: "zero",
  transpose: "not linear",
  samples: samplesOf({
    params,
    dtypes: ["f32", "f16"],
    floats: [[-2, 2]],
    edges: { f32: [[...specialFloats, 3e38, -3e38]], f16: [specialFloats] },
  }),
});
