/** Attention in few kernels: what it computes, on an adapter of either class, is what the reference evaluator computes. */
import { CompiledProgram, type DType, evaluate, type Jaxpr, optimize, type PlacedValue, server } from "@fax/compiler";
import type { AdapterProfile, Executable } from "@fax/compiler/executable";
import { grad, makeJaxpr, np, type NDArray } from "@fax/core";
import { type AttentionOptions, dotProductAttention, softmax } from "@fax/nn";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { arrayDifference, relative } from "../support/compare.ts";
import { TestDevice } from "../support/device.ts";
import { Random } from "../support/random.ts";
import { drawInput, memberOf } from "../support/values.ts";

let device: TestDevice;
beforeAll(async () => {
  device = await TestDevice.open();
});
afterAll(() => device.gpu.destroy());

type Attend = (q: NDArray, k: NDArray, v: NDArray, ...more: NDArray[]) => NDArray;

interface Case {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly attend: Attend;
  readonly dtype?: DType;
  /** At most, forward; 2 unless said. */
  readonly kernels?: number;
  /** Of bools: masks; everything beyond the fourth input. */
  readonly masks?: number;
}

/** [batch, length, heads, width] of the query, and of key and value. */
function shapesOf([batch, queries, heads, width]: number[], keys: number, shared: number): number[][] {
  const own = [batch, keys, shared, width] as number[];
  return [[batch, queries, heads, width] as number[], own, own];
}

const byHeads = (options: AttentionOptions = {}): Attend => {
  return (q, k, v) => dotProductAttention(q, k, v, options);
};

/** [heads, length, width]; scores that are masked are −∞, and rows without a key are NaN. */
const plain =
  (
    change: (scores: NDArray, ...more: NDArray[]) => NDArray,
    drop?: (p: NDArray, ...more: NDArray[]) => NDArray,
  ): Attend =>
  (q, k, v, ...more) => {
    const probabilities = softmax(change(np.einsum("hqd,hkd->hqk", q, k), ...more));
    return np.einsum("hqk,hkd->hqd", drop ? drop(probabilities, ...more) : probabilities, v);
  };

const causal = (scores: NDArray): NDArray => {
  const [, queries, keys] = scores.shape as [number, number, number];
  const sees = np.greaterEqual(np.reshape(np.arange(queries), [queries, 1]), np.arange(keys));
  return np.where(sees, scores, -Infinity);
};

const three = (heads: number, queries: number, keys: number, width: number): number[][] => [
  [heads, queries, width],
  [heads, keys, width],
  [heads, keys, width],
];

const cases: readonly Case[] = [
  ...[1, 3, 64, 257].map((length) => ({
    name: `${length} queries and keys`,
    shapes: three(2, length, length, 16),
    attend: plain((scores) => np.divide(scores, 4)),
  })),
  { name: "few queries, many keys", shapes: three(3, 5, 130, 8), attend: plain((scores) => scores) },
  { name: "odd widths", shapes: three(2, 20, 30, 7), attend: plain((scores) => scores) },
  { name: "wide heads", shapes: three(1, 20, 24, 100), attend: plain((scores) => np.multiply(scores, 0.1)) },
  { name: "causal, with -Infinity", shapes: three(2, 33, 33, 16), attend: plain(causal) },
  {
    name: "keys hidden from the first on",
    shapes: [...three(2, 12, 40, 16), [40]],
    masks: 1,
    attend: plain((scores, mask) => np.where(mask as NDArray, scores, -Infinity)),
  },
  {
    name: "rows without any key",
    shapes: three(2, 12, 16, 8),
    attend: plain((scores) => {
      const rows = np.reshape(np.arange(12), [12, 1]);
      return np.where(np.less(rows, 10), scores, -Infinity);
    }),
  },
  {
    name: "rows without any key, hidden again",
    shapes: three(2, 12, 16, 8),
    attend: plain(
      (scores) => np.where(np.less(np.reshape(np.arange(12), [12, 1]), 10), scores, -Infinity),
      (p) => np.where(np.less(np.reshape(np.arange(12), [12, 1]), 10), p, 0),
    ),
  },
  {
    name: "scores that grow along the keys",
    shapes: three(1, 16, 50, 8),
    attend: plain((scores) => np.add(scores, np.multiply(np.arange(50).astype(np.float32), 3))),
  },
  {
    name: "an additive bias",
    shapes: [...three(2, 16, 24, 8), [2, 16, 24]],
    attend: plain((scores, bias) => np.add(scores, bias as NDArray)),
  },
  {
    name: "dropout by a mask",
    shapes: [...three(2, 16, 24, 8), [2, 16, 24]],
    masks: 1,
    attend: plain(
      (scores) => scores,
      (p, keep) => np.divide(np.multiply(p, (keep as NDArray).astype(np.float32)), 0.75),
    ),
  },
  {
    name: "dropout by a choice",
    shapes: [...three(2, 16, 24, 8), [2, 16, 24]],
    masks: 1,
    attend: plain(
      (scores) => scores,
      (p, keep) => np.where(keep as NDArray, np.divide(p, 0.75), 0),
    ),
  },
  {
    name: "values that are products",
    shapes: [...three(2, 20, 24, 8), [8, 8]],
    kernels: 3,
    attend: (q, k, v, weights) => plain((scores) => scores)(q, k, np.matmul(v, weights as NDArray)),
  },
  { name: "heads last", shapes: shapesOf([2, 18, 3, 16], 18, 3), attend: byHeads() },
  { name: "grouped heads", shapes: shapesOf([2, 10, 6, 8], 20, 2), attend: byHeads({ scale: 0.5 }) },
  { name: "grouped heads, causal", shapes: shapesOf([1, 40, 4, 8], 40, 2), attend: byHeads({ isCausal: true }) },
  {
    name: "one shared head, with a bias",
    shapes: [...shapesOf([2, 10, 4, 8], 12, 1), [4, 10, 12]],
    attend: (q, k, v, bias) => dotProductAttention(q, k, v, { bias }),
  },
  {
    name: "a mask of keys",
    shapes: [...shapesOf([2, 10, 4, 8], 12, 2), [2, 1, 1, 12]],
    masks: 1,
    attend: (q, k, v, mask) => dotProductAttention(q, k, v, { mask }),
  },
  { name: "f16", shapes: shapesOf([1, 17, 2, 8], 20, 2), dtype: "f16", attend: byHeads() },
  {
    name: "f16 throughout",
    shapes: three(2, 17, 20, 8),
    dtype: "f16",
    attend: plain((scores) => np.multiply(scores, 0.25)),
  },
];

function inputsOf({ shapes, dtype = "f32", masks = 0 }: Case, seed: number): PlacedValue[] {
  const random = new Random(seed);
  return shapes.map((shape, i) => {
    const type = i >= shapes.length - masks ? "bool" : dtype;
    const range = type === "bool" ? {} : { from: -2, to: 2 };
    return { placement: server, members: [drawInput({ dtype: type, shape: [...shape], ...range }, random)] };
  });
}

function traced(fn: (...args: never[]) => unknown, inputs: readonly PlacedValue[]): Jaxpr {
  const args = inputs.map((input) => {
    const { shape, dtype } = memberOf(input, 0);
    return np.zeros([...shape], { dtype });
  });
  return makeJaxpr(fn)(...args).jaxpr;
}

/** Of what a weight on each result gives: by query, key and value. */
function gradientOf(attend: Attend): (...args: NDArray[]) => unknown {
  return (...args) => {
    const [q, k, v, ...more] = args as [NDArray, NDArray, NDArray, ...NDArray[]];
    const loss = (...qkv: NDArray[]): NDArray => {
      const result = attend(qkv[0] as NDArray, qkv[1] as NDArray, qkv[2] as NDArray, ...more).astype(np.float32);
      const weights = np.sin(np.reshape(np.arange(result.size).astype(np.float32), [...result.shape]));
      return np.sum(np.multiply(result, weights));
    };
    return grad(loss, [0, 1, 2])(q, k, v);
  };
}

async function difference(jaxpr: Jaxpr, inputs: PlacedValue[], profile: AdapterProfile, tolerance: number) {
  const expected = evaluate(jaxpr, inputs);
  const results = await device.run(jaxpr, inputs, { profile });
  return results.flatMap((result, i) => {
    const found = arrayDifference(memberOf(result, 0), memberOf(expected[i] as PlacedValue, 0), relative(tolerance));
    return found === null ? [] : [`result ${i}: ${found}`];
  });
}

const dispatches = (executable: Executable): number =>
  executable.steps.filter(({ kind }) => kind === "dispatch").length;

describe.each(["cpu", "gpu"] as const)("attention on adapters of class %s", (adapter) => {
  it.each(cases)("$name", { timeout: 120_000 }, async (drawn) => {
    const profile = { ...device.gpu.profile, class: adapter };
    const inputs = inputsOf(drawn, 11);
    const tolerance = drawn.dtype === "f16" ? 1e-2 : 2e-5;
    const forward = optimize(traced(drawn.attend, inputs));
    expect(dispatches(new CompiledProgram(forward).executable(profile))).toBeLessThanOrEqual(drawn.kernels ?? 2);
    expect(await difference(forward, inputs, profile, tolerance)).toEqual([]);
    const backward = optimize(traced(gradientOf(drawn.attend), inputs));
    expect(await difference(backward, inputs, profile, 10 * tolerance)).toEqual([]);
  });
});

/** Scores that can be bound are kept, for gradients and on software adapters: here the arguments can be bound and no more. */
describe.each(["cpu", "gpu"] as const)("attention on adapters of class %s that cannot bind the scores", (adapter) => {
  it.each(cases)("$name", { timeout: 120_000 }, async (drawn) => {
    const inputs = inputsOf(drawn, 12);
    const largest = Math.max(...drawn.shapes.map((shape) => 4 * shape.reduce((size, extent) => size * extent, 1)));
    const limits = { ...device.gpu.profile.limits, maxStorageBufferBindingSize: largest };
    const profile: AdapterProfile = { ...device.gpu.profile, class: adapter, limits };
    const tolerance = drawn.dtype === "f16" ? 1e-2 : 2e-5;
    const forward = optimize(traced(drawn.attend, inputs));
    expect(await difference(forward, inputs, profile, tolerance)).toEqual([]);
    const backward = optimize(traced(gradientOf(drawn.attend), inputs));
    expect(await difference(backward, inputs, profile, 10 * tolerance)).toEqual([]);
  });
});
