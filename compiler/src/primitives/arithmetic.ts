/** Signs, sums, products, quotients, remainders and extremes. Integers wrap. */
import { InternalError, invariant } from "../diagnostics/index.ts";
import type { Params } from "../ir/jaxpr.ts";
import { constant, type Value } from "../trace/ndarray.ts";
import { defineBinary, defineUnary, onFloats, onIntegers, onNumbers } from "./elementwise.ts";
import { pairs, samplesOf, specialFloats, specialI32, specialU32 } from "./elementwise-samples.ts";
import type { Lax } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";
import type { Linear, TransposeArgs } from "./primitive.ts";

const numbers = ["f32", "f16", "i32", "u32"] as const;
const params: Params = {};

/** Two operands of any size and sign. */
const samplesOfTwo = samplesOf({
  params,
  dtypes: numbers,
  floats: [
    [-2, 2],
    [-2, 2],
  ],
  integers: [
    [-9, 9],
    [-9, 9],
  ],
  edges: { f32: pairs(specialFloats), i32: pairs(specialI32), u32: pairs(specialU32) },
});

function cotangentOf({ cotangents: [ct] }: TransposeArgs<Params>): Value {
  invariant(ct, "a transpose rule needs a cotangent");
  return ct;
}

export const neg = defineUnary({
  name: "neg",
  doc: "−x; integers wrap. JAX lax.neg",
  evaluate: onNumbers((x) => -x),
  lower: (e, x) => (x.dtype === "u32" ? e.binaryExpr("sub", e.constExpr(0, "u32"), x) : e.unaryExpr("neg", x)),
  derivative: ({ t, lax }) => lax.neg(t),
  transpose: (args) => [args.lax.neg(cotangentOf(args))],
  samples: samplesOf({
    params,
    dtypes: numbers,
    floats: [[-2, 2]],
    integers: [[-9, 9]],
    edges: { f32: [specialFloats], i32: [specialI32], u32: [specialU32] },
  }),
});

export const abs = defineUnary({
  name: "abs",
  doc: "|x|; the least i32 is its own. Derivative sign(x). JAX lax.abs",
  evaluate: onNumbers(Math.abs),
  lower: (e, x) => (x.dtype === "u32" ? x : e.unaryExpr("abs", x)),
  derivative: ({ x, t, lax }) => lax.mul(t, lax.sign(x)),
  transpose: "not linear",
  samples: samplesOf({
    params,
    dtypes: numbers,
    floats: [[-2, -0.1]],
    integers: [[-9, 9]],
    smooth: [[-3, 2, 0.5, -0.25]],
    edges: { f32: [specialFloats], i32: [specialI32], u32: [specialU32] },
  }),
});

export const sign = defineUnary({
  name: "sign",
  doc: "−1, 0 or 1 as x is below, at or above 0; NaN and −0 stay. JAX lax.sign",
  evaluate: onNumbers(Math.sign),
  lower: (e, x) =>
    x.dtype === "u32" ? e.castExpr(e.binaryExpr("ne", x, e.constExpr(0, "u32")), "u32") : e.unaryExpr("sign", x),
  derivative: "zero",
  transpose: "not linear",
  samples: samplesOf({
    params,
    dtypes: numbers,
    floats: [[0.2, 2]],
    integers: [[-2, 3]],
    smooth: [[-3, 2, 0.5, -0.25]],
    edges: { f32: [specialFloats], i32: [specialI32], u32: [specialU32] },
  }),
});

export const add = defineBinary({
  name: "add",
  doc: "x + y; integers wrap. JAX lax.add",
  evaluate: onNumbers((x, y) => x + y),
  lower: "add",
  derivative: [({ t }) => t, ({ t }) => t],
  transpose: (args) => {
    const ct = cotangentOf(args);
    return args.inputs.map((input) => (isLinear(input) ? ct : null));
  },
  samples: samplesOfTwo,
});

export const sub = defineBinary({
  name: "sub",
  doc: "x − y; integers wrap. JAX lax.sub",
  evaluate: onNumbers((x, y) => x - y),
  lower: "sub",
  derivative: [({ t }) => t, ({ t, lax }) => lax.neg(t)],
  transpose: (args) => {
    const ct = cotangentOf(args);
    const [x, y] = args.inputs;
    return [isLinear(x) ? ct : null, isLinear(y) ? args.lax.neg(ct) : null];
  },
  samples: samplesOfTwo,
});

export const mul = defineBinary({
  name: "mul",
  doc: "x · y; integers wrap. JAX lax.mul",
  evaluate: { ...onFloats((x: number, y: number) => x * y), ...onIntegers(Math.imul) },
  lower: "mul",
  derivative: [({ t, y, lax }) => lax.mul(t, y), ({ t, x, lax }) => lax.mul(x, t)],
  transpose: (args) => {
    const ct = cotangentOf(args);
    const [x, y] = args.inputs;
    if (isLinear(x)) return [args.lax.mul(ct, knownFactor("mul", y)), null];
    return [null, args.lax.mul(knownFactor("mul", x), ct)];
  },
  samples: samplesOfTwo,
});

export const div = defineBinary({
  name: "div",
  doc: "x / y; integers truncate towards 0, and by 0 give −1 (all bits). JAX lax.div",
  evaluate: {
    ...onFloats((x: number, y: number) => x / y),
    ...onIntegers((x: number, y: number) => (y === 0 ? -1 : Math.trunc(x / y))),
  },
  lower: "div",
  derivative: [
    ({ t, y, lax }) => lax.div(t, y),
    // ∂(x/y)/∂y = −(x/y)/y
    ({ t, y, z, lax }) => lax.mul(t, lax.neg(lax.div(z, y))),
  ],
  transpose: (args) => {
    const [x, y] = args.inputs;
    if (!isLinear(x)) throw new InternalError("div is not linear in its divisor");
    return [args.lax.div(cotangentOf(args), knownFactor("div", y)), null];
  },
  samples: samplesOf({
    params,
    dtypes: numbers,
    floats: [
      [-2, 2],
      [0.5, 2],
    ],
    integers: [
      [-40, 40],
      [1, 9],
    ],
    edges: { f32: pairs(specialFloats), i32: pairs(specialI32), u32: pairs(specialU32) },
  }),
});

export const rem = defineBinary({
  name: "rem",
  doc: "x − y·trunc(x/y), with the sign of x as C's fmod; integers by 0 give x. JAX lax.rem",
  evaluate: {
    ...onFloats((x: number, y: number) => x % y),
    ...onIntegers((x: number, y: number) => (y === 0 ? x : x % y)),
  },
  lower: "rem",
  derivative: [
    ({ t }) => t,
    ({ t, x, y, lax }) => {
      const quotient = lax.div(x, y);
      return lax.mul(t, lax.neg(lax.mul(lax.sign(quotient), lax.floor(lax.abs(quotient)))));
    },
  ],
  transpose: "not linear",
  samples: samplesOf({
    params,
    dtypes: numbers,
    // The quotient stays between 2.3 and 2.9, away from its jumps.
    floats: [
      [5, 5.4],
      [1.9, 2.1],
    ],
    integers: [
      [-40, 40],
      [1, 9],
    ],
    smooth: [
      [-5, 5, -5.25, 0.5],
      [2.125, -2.125, -2.125, 2],
    ],
    edges: {
      f32: [
        [NaN, 1, Infinity, 1, -1, 0, -0, 5],
        [1, NaN, 1, Infinity, 0, 2, 2, -3],
      ],
      i32: pairs(specialI32),
      u32: pairs(specialU32),
    },
  }),
});

export const max = defineBinary({
  name: "max",
  doc: "The greater of x and y, NaN if either is; or for bools. Equal operands share the derivative. JAX lax.max",
  evaluate: { ...onNumbers(Math.max), bool: Math.max },
  lower: (e, x, y) => e.binaryExpr(x.dtype === "bool" ? "or" : "max", x, y),
  derivative: [
    ({ t, x, y, lax }) => lax.mul(t, shareOf(lax, lax.gt(x, y), x, y, t)),
    ({ t, x, y, lax }) => lax.mul(t, shareOf(lax, lax.gt(y, x), x, y, t)),
  ],
  transpose: "not linear",
  samples: extremeSamples(),
});

export const min = defineBinary({
  name: "min",
  doc: "The lesser of x and y, NaN if either is; and for bools. Equal operands share the derivative. JAX lax.min",
  evaluate: { ...onNumbers(Math.min), bool: Math.min },
  lower: (e, x, y) => e.binaryExpr(x.dtype === "bool" ? "and" : "min", x, y),
  derivative: [
    ({ t, x, y, lax }) => lax.mul(t, shareOf(lax, lax.lt(x, y), x, y, t)),
    ({ t, x, y, lax }) => lax.mul(t, shareOf(lax, lax.lt(y, x), x, y, t)),
  ],
  transpose: "not linear",
  samples: extremeSamples(),
});

/** 1 where the operand is chosen, ½ where both are equal, else 0. */
function shareOf(lax: Lax, chosen: Value, x: Value, y: Value, { dtype }: Value): Value {
  const ifTied = lax.select(lax.eq(x, y), constant(0.5, dtype), constant(0, dtype));
  return lax.select(chosen, constant(1, dtype), ifTied);
}

function extremeSamples() {
  // No pairs of zeros of unlike sign: either may come out.
  const ordered = [NaN, Infinity, -Infinity, 0, 1, -1, 2.5];
  return samplesOf({
    params,
    dtypes: [...numbers, "bool"],
    floats: [
      [-1, 0.4],
      [0.5, 2],
    ],
    integers: [
      [-9, 9],
      [-9, 9],
    ],
    smooth: [
      [1, -2, 3, 0.5, -1, 2],
      [0.5, -1, 2, 1, -2, 2.5],
    ],
    edges: { f32: pairs(ordered), i32: pairs(specialI32), u32: pairs(specialU32) },
  });
}

function knownFactor(name: string, input: Value | Linear | undefined): Value {
  if (input === undefined || isLinear(input)) throw new InternalError(`${name} of two linear operands`);
  return input;
}
