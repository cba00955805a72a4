/** The counter-based generator behind random. */
import { invariant } from "../diagnostics/index.ts";
import { avalOf } from "../ir/aval.ts";
import { allocateHostArray } from "../ir/host-array.ts";
import type { Params } from "../ir/jaxpr.ts";
import type * as expr from "../lower/expr.ts";
import type { BinaryFn, Expr } from "../lower/expr.ts";
import { bind } from "../trace/bind.ts";
import { constant, NDArray, type Value } from "../trace/ndarray.ts";
import { define } from "./define.ts";
import {
  commonDType,
  commonShape,
  elementAt,
  elementStep,
  elementwise,
  fullShape,
  requireScalarsLiteral,
} from "./elementwise.ts";
import { given, samplesOf } from "./elementwise-samples.ts";
import type { Operand } from "./lax-types.ts";
import type { UniformPrimitive } from "./primitive.ts";

/** What the cipher needs of words: u32 numbers, or expressions of such. */
interface Words<W> {
  constant(value: number): W;
  add(x: W, y: W): W;
  xor(x: W, y: W): W;
  rotateLeft(x: W, distance: number): W;
}

const rotations = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;
/** Skein's parity constant, 32 bits of it. */
const parity = 0x1bd11bda;

/**
 * Threefry-2x32 with 20 rounds: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
 * section 3.3. A word of the key schedule is added after every four rounds.
 */
function threefry<W>({ constant, add, xor, rotateLeft }: Words<W>, key: readonly [W, W], counter: readonly [W, W]) {
  const schedule = [key[0], key[1], xor(xor(key[0], key[1]), constant(parity))];
  const keyWord = (i: number): W => schedule[i % 3] as W;
  let x0 = add(counter[0], keyWord(0));
  let x1 = add(counter[1], keyWord(1));
  for (let group = 1; group <= 5; group++) {
    for (const distance of rotations[group % 2 === 1 ? 0 : 1]) {
      x0 = add(x0, x1);
      x1 = xor(rotateLeft(x1, distance), x0);
    }
    x0 = add(x0, keyWord(group));
    x1 = add(add(x1, keyWord(group + 1)), constant(group));
  }
  return [x0, x1] as const;
}

/** Kept as i32 bit patterns; storing to a u32 array gives the words. */
const numberWords: Words<number> = {
  constant: (value) => value,
  add: (x, y) => (x + y) | 0,
  xor: (x, y) => x ^ y,
  rotateLeft: (x, distance) => (x << distance) | (x >>> (32 - distance)),
};

function expressionWords(e: typeof expr): Words<Expr> {
  const constant = (value: number): Expr => e.constExpr(value, "u32");
  const apply = (fn: BinaryFn, x: Expr, y: Expr): Expr => e.binaryExpr(fn, x, y);
  return {
    constant,
    add: (x, y) => apply("add", x, y),
    xor: (x, y) => apply("xor", x, y),
    rotateLeft: (x, distance) =>
      apply("or", apply("shift_left", x, constant(distance)), apply("shift_right_logical", x, constant(32 - distance))),
  };
}

const word = [0, 2 ** 32] as const;

const threefryPrimitive: UniformPrimitive<Params> = elementwise<Params>({
  name: "threefry2x32",
  doc: "Two random words from the key (k₀, k₁) and the counter (x₀, x₁): Threefry-2x32-20 of Salmon et al. 2011",
  abstractEval: (inputs) => {
    const output = avalOf(commonDType("threefry2x32", inputs, ["u32"]), commonShape("threefry2x32", inputs));
    return [output, output];
  },
  impl: (inputs) => {
    const shape = fullShape(inputs.map((input) => input.shape));
    const outputs = [allocateHostArray("u32", shape), allocateHostArray("u32", shape)] as const;
    const steps = inputs.map((input) => elementStep(input, outputs[0]));
    const at = (operand: number, i: number): number => inputs[operand]?.data[i * (steps[operand] ?? 0)] as number;
    for (let i = 0; i < outputs[0].data.length; i++) {
      const words = threefry(numberWords, [at(0, i), at(1, i)], [at(2, i), at(3, i)]);
      outputs[0].data[i] = words[0];
      outputs[1].data[i] = words[1];
    }
    return outputs;
  },
  jvp: ({ primals, params }) => ({ outputs: bind(threefryPrimitive, primals, params), tangents: [null, null] }),
  transpose: "not linear",
  lower: ({ inputs, outputs, ctx }) => {
    const words = expressionWords(ctx.expr);
    const [k0, k1, x0, x1] = inputs;
    const [output] = outputs;
    invariant(k0 && k1 && x0 && x1 && output, "threefry2x32 needs four operands");
    return ctx.mapMany(["u32", "u32"], output.shape, (index) =>
      threefry(words, [elementAt(k0, index), elementAt(k1, index)], [elementAt(x0, index), elementAt(x1, index)]),
    );
  },
  samples: [
    ...samplesOf<Params>({ params: {}, dtypes: ["u32"], integers: [word, word, word, word] }),
    {
      name: "Random123's known answers",
      inputs: given("u32", [
        [0, 0xffffffff, 0x13198a2e],
        [0, 0xffffffff, 0x03707344],
        [0, 0xffffffff, 0x243f6a88],
        [0, 0xffffffff, 0x85a308d3],
      ]),
      params: {},
      smooth: false,
    },
  ],
});

export const threefry2x32 = define(
  threefryPrimitive,
  (_, emitAll) =>
    (...words: [k0: Operand, k1: Operand, x0: Operand, x1: Operand]): [Value, Value] => {
      const inputs = words.map((value) => (value instanceof NDArray ? value : constant(value >>> 0, "u32")));
      requireScalarsLiteral("threefry2x32", inputs);
      const [y0, y1] = emitAll(inputs, {});
      invariant(y0 !== undefined && y1 !== undefined, "threefry2x32 has two results");
      return [y0, y1];
    },
);
