import { describe, expect, it } from "vitest";
import { FaxError, jit, type NDArray, np, random, setDevice, vmap } from "./index.ts";

setDevice("reference");

async function values(x: NDArray<string>): Promise<number[]> {
  return [...(await x.data())];
}

function code(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof FaxError) return error.code;
    throw error;
  }
  return "no error";
}

describe("keys", () => {
  it("come from the lower 32 bits of a seed", async () => {
    expect(await values(random.key(7))).toEqual([0, 7]);
    expect(await values(random.key(-1))).toEqual([0, 2 ** 32 - 1]);
    expect(await values(random.key(2 ** 32 + 5))).toEqual([0, 5]);
    expect(await values(random.key(np.array(7, { dtype: np.int32 })))).toEqual([0, 7]);
    expect(code(() => random.key(0.5))).toBe("FAX1102");
    expect(code(() => random.uniform(np.zeros([2])))).toBe("FAX1203");
  });

  it("split alike eagerly, traced and mapped", async () => {
    const key = random.key(3);
    const eager = await values(random.split(key, 3));
    expect(await values(jit((k: NDArray) => random.split(k, 3))(key))).toEqual(eager);
    expect(await values(jit(() => random.split(random.key(3), 3))())).toEqual(eager);
    const keys = random.split(key, 3);
    const mapped = await values(vmap((k: NDArray) => random.uniform(k, [2]))(keys));
    const apart = await Promise.all([0, 1, 2].map((i) => values(random.uniform(keys.slice(i), [2]))));
    expect(mapped).toEqual(apart.flat());
    expect(random.split(key, [2, 3]).shape).toEqual([2, 3, 2]);
    const folded = jit((k: NDArray, i: NDArray) => random.foldIn(k, i))(key, np.array(9, { dtype: np.int32 }));
    expect(await values(folded)).toEqual(await values(random.foldIn(key, 9)));
  });
});

describe("distributions", () => {
  const key = random.key(0);

  it("have the asked range, shape and dtype", async () => {
    const x = random.uniform(key, [1000], { minval: -2, maxval: 3 });
    const drawn = await values(x);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(-2);
    expect(Math.max(...drawn)).toBeLessThan(3);
    const half = random.uniform(key, [100], { dtype: np.float16 });
    expect(half.dtype).toBe("f16");
    for (const value of await values(half)) expect(Number.isInteger(value * 1024)).toBe(true);
    expect(random.normal(key, [2], { dtype: "float16" }).dtype).toBe("f16");
    expect(random.uniform(key, [0]).shape).toEqual([0]);
    expect(code(() => random.uniform(key, [2], { dtype: np.int32 }))).toBe("FAX1102");
    expect(code(() => random.uniform(key, [2], { minval: np.zeros([3]) }))).toBe("FAX1201");
  });

  it("normal has the moments of a normal distribution", async () => {
    const x = await values(random.normal(key, [20_000]));
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.03);
    expect(x.every(Number.isFinite)).toBe(true);
  });

  it("randint combines two words as JAX does", async () => {
    const [key1, key2] = await Promise.all([0, 1].map((i) => values(random.bits(random.split(key).slice(i), [50]))));
    for (const [low, high] of [
      [0, 10],
      [-3, 1000],
      [5, 5],
    ] as const) {
      const span = BigInt(high > low ? high - low : 1);
      const expected = (key1 as number[]).map((word, i) => {
        const sum = BigInt.asUintN(
          32,
          (BigInt(word) % span) * (2n ** 32n % span) + (BigInt((key2 as number[])[i] as number) % span),
        );
        return low + Number(sum % span);
      });
      expect(await values(random.randint(key, [50], low, high))).toEqual(expected);
    }
    const words = (key2 as number[]).map((word) => (word - 2 ** 31) | 0);
    expect(await values(random.randint(key, [50], -(2 ** 31), 2 ** 31))).toEqual(words);
    expect(random.randint(key, [2], 0, 5, { dtype: np.uint32 }).dtype).toBe("u32");
    expect(code(() => random.randint(key, [2], 0, 1.5))).toBe("FAX1102");
  });

  it("permutation sorts by random keys, stably", async () => {
    for (const length of [0, 1, 2, 7, 40]) {
      const rounds = Math.ceil((3 * Math.log(Math.max(1, length))) / Math.log(2 ** 32 - 1));
      let order = Array.from({ length }, (_, i) => i);
      let current = key;
      for (let round = 0; round < rounds; round++) {
        const sortKeys = await values(random.bits(random.split(current).slice(1), [length]));
        const places = order.map((_, i) => i).sort((a, b) => (sortKeys[a] as number) - (sortKeys[b] as number));
        order = places.map((place) => order[place] as number);
        current = random.split(current).slice(0);
      }
      expect(await values(random.permutation(key, length))).toEqual(order);
    }
    const rows = random.permutation(key, np.reshape(np.arange(6), [3, 2]));
    const order = await values(random.permutation(key, 3));
    expect(await values(rows)).toEqual(order.flatMap((i) => [2 * i, 2 * i + 1]));
  });

  it("draws choices", async () => {
    const ones = await values(random.bernoulli(key, 0.25, [4000]));
    expect(Math.abs(ones.reduce((sum, value) => sum + value, 0) / 4000 - 0.25)).toBeLessThan(0.02);
    expect(random.bernoulli(key, np.array([0.1, 0.9])).dtype).toBe("bool");
    const picked = await values(random.choice(key, 10, [10], { replace: false }));
    expect([...picked].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(code(() => random.choice(key, 3, [4], { replace: false }))).toBe("FAX1203");
    const classes = await values(random.categorical(key, np.log([0.1, 0.9]), { shape: [4000] }));
    expect(Math.abs(classes.reduce((sum, value) => sum + value, 0) / 4000 - 0.9)).toBeLessThan(0.02);
    expect(random.categorical(key, np.zeros([3, 5])).shape).toEqual([3]);
    const waits = await values(random.exponential(key, [4000]));
    expect(Math.abs(waits.reduce((sum, value) => sum + value, 0) / 4000 - 1)).toBeLessThan(0.06);
  });
});
