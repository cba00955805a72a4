/** Roots and powers. */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Params } from "../ir/jaxpr.ts";
import type { Expr } from "../lower/expr.ts";
import { Constant, type Value } from "../trace/ndarray.ts";
import { define } from "./define.ts";
import { defineBinary, defineUnary, onFloats, onIntegers, unary } from "./elementwise.ts";
import { given, samplesOf, specialFloats, specialI32 } from "./elementwise-samples.ts";
import type { UniformPrimitive } from "./primitive.ts";

export const sqrt = defineUnary({
  name: "sqrt",
  doc: "√x; NaN below 0. JAX lax.sqrt",
  evaluate: onFloats(Math.sqrt),
  lower: "sqrt",
  derivative: ({ t, y, lax }) => lax.mul(t, lax.div(0.5, y)),
  transpose: "not linear",
  samples: samplesOf({ params: {}, dtypes: ["f32", "f16"], floats: [[0.3, 3]], edges: { f32: [specialFloats] } }),
});

export const rsqrt = defineUnary({
  name: "rsqrt",
  doc: "1/√x; ∞ at 0, NaN below. JAX lax.rsqrt",
  evaluate: onFloats((x) => 1 / Math.sqrt(x)),
  lower: "rsqrt",
  derivative: ({ t, x, y, lax }) => lax.mul(t, lax.mul(lax.div(y, x), -0.5)),
  transpose: "not linear",
  samples: samplesOf({ params: {}, dtypes: ["f32", "f16"], floats: [[0.3, 3]], edges: { f32: [specialFloats] } }),
});

export const pow = defineBinary({
  name: "pow",
  doc: "xʸ; NaN for x < 0 unless y is whole. The derivative in y is 0 at x = 0. JAX lax.pow",
  evaluate: onFloats(power),
  lower: "pow",
  derivative: [
    ({ t, x, y, lax }) => {
      if (y instanceof Constant) return y.value === 0 ? null : lax.mul(t, lax.mul(lax.pow(x, y.value - 1), y.value));
      // y·xʸ⁻¹, but 0 at y = 0 whatever x is.
      const isZero = lax.eq(y, 0);
      const reduced = lax.pow(x, lax.select(isZero, 1, lax.sub(y, 1)));
      return lax.mul(t, lax.select(isZero, 0, lax.mul(y, reduced)));
    },
    ({ t, x, z, lax }) => {
      // ln x·xʸ, with ln 0 replaced by 0: 0ʸ does not change with y > 0.
      if (x instanceof Constant) return lax.mul(t, lax.mul(z, x.value === 0 ? 0 : Math.log(x.value)));
      return lax.mul(t, lax.mul(lax.log(lax.select(lax.eq(x, 0), 1, x)), z));
    },
  ],
  transpose: "not linear",
  samples: samplesOf({
    params: {},
    dtypes: ["f32", "f16"],
    floats: [
      [0.5, 2],
      [-1.5, 2],
    ],
    edges: {
      f32: [
        [NaN, 1, NaN, -1, 2, 0.5, 0, 0, 0, -2, -2, -2, Infinity, -Infinity, 2, 1, -1],
        [0, NaN, 1, Infinity, Infinity, Infinity, 0, 2, -1, 2, 3, 0.5, -1, 3, -Infinity, Infinity, 4],
      ],
    },
  }),
});

/** IEEE 754's pow: unlike JavaScript's, it gives 1 for 1ʸ with any y, and for (−1) to ±∞. */
function power(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return x ** y;
}

interface IntegerPowParams extends Params {
  readonly y: number;
}

const wholePower = unary<IntegerPowParams>({
  name: "integer_pow",
  doc: "xʸ for a whole number y, by repeated multiplication; integers wrap. JAX lax.integer_pow",
  evaluate: {
    ...onFloats((x: number, { y }: IntegerPowParams) => x ** y),
    ...onIntegers((x: number, { y }: IntegerPowParams) => wrappingPower(x, y)),
  },
  lower: (e, x, { y }) => {
    if (y < 0) return e.binaryExpr("div", e.constExpr(1, x.dtype), repeatedProduct(-y));
    return y === 0 ? e.constExpr(1, x.dtype) : repeatedProduct(y);

    function repeatedProduct(exponent: number): Expr {
      const half = exponent > 1 ? repeatedProduct(Math.floor(exponent / 2)) : x;
      if (exponent === 1) return x;
      const square = e.binaryExpr("mul", half, half);
      return exponent % 2 === 0 ? square : e.binaryExpr("mul", square, x);
    }
  },
  derivative: ({ t, x, params: { y }, lax }) =>
    y === 0 ? null : y === 1 ? t : lax.mul(t, lax.mul(lax.integer_pow(x, y - 1), y)),
  transpose: "not linear",
  samples: [
    ...[2, 3, -1, -2, 7].flatMap((y) =>
      samplesOf<IntegerPowParams>({
        params: { y },
        dtypes: ["f32", "f16"],
        floats: [[0.5, 1.5]],
        smooth: [[-1.5, -0.5, 0.75, 2]],
        edges: { f32: [specialFloats] },
      }).map((sample) => ({ ...sample, name: `power ${y}, ${sample.name}` })),
    ),
    { name: "power 0", inputs: given("f32", [specialFloats]), params: { y: 0 }, smooth: false },
    { name: "power 1", inputs: given("f32", [[-1, 0, 2]]), params: { y: 1 } },
    { name: "power 5 of i32", inputs: given("i32", [specialI32]), params: { y: 5 }, smooth: false },
    { name: "power 3 of u32", inputs: given("u32", [[0, 1, 7, 2 ** 32 - 1]]), params: { y: 3 }, smooth: false },
  ],
});

const integerPowPrimitive: UniformPrimitive<IntegerPowParams> = {
  ...wholePower,
  abstractEval: (inputs, params) => {
    const outputs = wholePower.abstractEval(inputs, params);
    const ofFloats = outputs.every(({ dtype }) => isFloat(dtype));
    if (Number.isInteger(params.y) && (params.y >= 0 || ofFloats)) return outputs;
    throw new FaxError({
      code: "FAX1203",
      message: `integer_pow: the exponent is ${params.y}, but it must be a whole number${
        ofFloats ? "" : " that is not negative, since the operand is an integer"
      }`,
      help: "pow takes any exponent of floats",
    });
  },
};

export const integer_pow = define(
  integerPowPrimitive,
  (emit) =>
    (x: Value, y: number): Value =>
      y === 1 ? x : emit([x], { y }),
);

function wrappingPower(x: number, y: number): number {
  invariant(y >= 0, "integer_pow of an integer to a negative power");
  let result = 1;
  for (let base = x, rest = y; rest > 0; rest = Math.floor(rest / 2), base = Math.imul(base, base)) {
    if (rest % 2 === 1) result = Math.imul(result, base);
  }
  return result;
}
