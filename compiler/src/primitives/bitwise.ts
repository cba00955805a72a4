/** Bits of integers, and the logic of bools. */
import type { Params } from "../ir/jaxpr.ts";
import { defineBinary, defineUnary, onIntegers } from "./elementwise.ts";
import { pairs, samplesOf, specialI32, specialU32 } from "./elementwise-samples.ts";

const params: Params = {};

const pairSamples = samplesOf({
  params,
  dtypes: ["i32", "u32", "bool"],
  integers: [
    [-99, 99],
    [-99, 99],
  ],
  edges: { i32: pairs(specialI32), u32: pairs(specialU32), bool: pairs([0, 1]) },
});

export const and = defineBinary({
  name: "and",
  doc: "Bitwise and of integers, logical and of bools. JAX lax.bitwise_and",
  evaluate: { ...onIntegers((x: number, y: number) => x & y), bool: (x, y) => x & y },
  lower: "and",
  derivative: "zero",
  transpose: "not linear",
  samples: pairSamples,
});

export const or = defineBinary({
  name: "or",
  doc: "Bitwise or of integers, logical or of bools. JAX lax.bitwise_or",
  evaluate: { ...onIntegers((x: number, y: number) => x | y), bool: (x, y) => x | y },
  lower: "or",
  derivative: "zero",
  transpose: "not linear",
  samples: pairSamples,
});

export const xor = defineBinary({
  name: "xor",
  doc: "Bitwise exclusive or of integers, logical one of bools. JAX lax.bitwise_xor",
  evaluate: { ...onIntegers((x: number, y: number) => x ^ y), bool: (x, y) => x ^ y },
  lower: "xor",
  derivative: "zero",
  transpose: "not linear",
  samples: pairSamples,
});

export const not = defineUnary({
  name: "not",
  doc: "Bitwise complement of integers, logical negation of bools. JAX lax.bitwise_not",
  evaluate: { ...onIntegers((x) => ~x), bool: (x) => 1 - x },
  lower: "not",
  derivative: "zero",
  transpose: "not linear",
  samples: samplesOf({
    params,
    dtypes: ["i32", "u32", "bool"],
    integers: [[-99, 99]],
    edges: { i32: [specialI32], u32: [specialU32], bool: [[0, 1]] },
  }),
});

/** JavaScript takes shifts modulo 32; here a shift by the width or more (negative ones are large) moves all bits out. */
const isTooFar = (shift: number): boolean => shift >>> 0 >= 32;

const shiftSamples = samplesOf({
  params,
  dtypes: ["i32", "u32"],
  integers: [
    [-99, 99],
    [0, 32],
  ],
  edges: {
    i32: pairs([0, 1, -1, 5, 31, 32, 33, 2 ** 31 - 1, -(2 ** 31)]),
    u32: pairs([0, 1, 5, 31, 32, 33, 2 ** 31, 2 ** 32 - 1]),
  },
});

export const shift_left = defineBinary({
  name: "shift_left",
  doc: "x · 2ʸ; 0 for a shift by 32 or more. JAX lax.shift_left",
  evaluate: onIntegers((x: number, y: number) => (isTooFar(y) ? 0 : x << y)),
  lower: "shift_left",
  derivative: "zero",
  transpose: "not linear",
  samples: shiftSamples,
});

export const shift_right_logical = defineBinary({
  name: "shift_right_logical",
  doc: "x shifted right with zeros coming in; 0 for a shift by 32 or more. JAX lax.shift_right_logical",
  evaluate: onIntegers((x: number, y: number) => (isTooFar(y) ? 0 : x >>> y)),
  lower: "shift_right_logical",
  derivative: "zero",
  transpose: "not linear",
  samples: shiftSamples,
});

export const shift_right_arithmetic = defineBinary({
  name: "shift_right_arithmetic",
  doc: "x shifted right with copies of its highest bit coming in. JAX lax.shift_right_arithmetic",
  evaluate: onIntegers((x: number, y: number) => (x | 0) >> (isTooFar(y) ? 31 : y)),
  // The highest bit of a u32 is a sign only to an i32.
  lower: (e, x, y) => {
    const shifted = e.binaryExpr("shift_right_arithmetic", e.bitcastExpr(x, "i32"), e.bitcastExpr(y, "i32"));
    return e.bitcastExpr(shifted, x.dtype);
  },
  derivative: "zero",
  transpose: "not linear",
  samples: shiftSamples,
});
