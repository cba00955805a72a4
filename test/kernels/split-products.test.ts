/** Products of few long sums, which are computed in parts: against sums in JavaScript's own numbers. */
import { jit, np, type NDArray, setDevice } from "@fax/core";
import { softmax } from "@fax/nn";
import { beforeAll, describe, expect, it } from "vitest";
import { uniform } from "../bench/rows/row.ts";

beforeAll(() => setDevice("software"));

interface Case {
  readonly batch: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** Dispatches of a call. */
  readonly kernels: number;
}

/** `tanh(x @ y + bias)`, rows first. */
function expected({ batch, m, k, n }: Case, x: ArrayLike<number>, y: ArrayLike<number>, bias: ArrayLike<number>) {
  return Array.from({ length: batch * m * n }, (_, at) => {
    const [b, row, column] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
    let sum = bias[column] as number;
    for (let i = 0; i < k; i++) sum += (x[(b * m + row) * k + i] as number) * (y[(b * k + i) * n + column] as number);
    return Math.tanh(sum);
  });
}

describe("products of few long sums", () => {
  it.each<Case>([
    { batch: 1, m: 8, k: 2048, n: 8, kernels: 2 },
    { batch: 1, m: 16, k: 4096, n: 24, kernels: 2 },
    // A prime: the last part ends beyond the sum.
    { batch: 1, m: 8, k: 2053, n: 8, kernels: 2 },
    { batch: 3, m: 5, k: 1536, n: 12, kernels: 2 },
    // Short sums, and many results, stay whole.
    { batch: 1, m: 8, k: 1000, n: 8, kernels: 1 },
    { batch: 1, m: 128, k: 2048, n: 128, kernels: 1 },
  ])("$batch × ($m × $k × $n)", async (size) => {
    const { batch, m, k, n, kernels } = size;
    const [x, y, bias] = [uniform(1, [batch, m, k]), uniform(2, [batch, k, n], k ** -0.5), uniform(3, [n])];
    const layer = jit((u: NDArray, v: NDArray, b: NDArray) => np.tanh(np.add(np.matmul(u, v), b)));
    const given = [x, y, bias].map(({ data, shape }) => np.array(data, { shape })) as [NDArray, NDArray, NDArray];
    expect((await layer.lower(...given).compile()).costAnalysis().dispatches).toBe(kernels);
    const found = await layer(...given).data();
    const apart = expected(size, x.data, y.data, bias.data).map((want, at) => Math.abs(want - (found[at] as number)));
    expect(Math.max(...apart)).toBeLessThan(1e-5);
  });

  it("attention of few queries goes along its keys in one piece", async () => {
    const attend = jit((q: NDArray, keys: NDArray, values: NDArray) =>
      np.matmul(softmax(np.matmul(q, np.transpose(keys))), values),
    );
    const [q, keys] = [np.ones([8, 16]), np.ones([4096, 16])];
    const { kernels } = (await attend.lower(q, keys, keys).compile()).executable;
    expect(kernels.filter(({ name }) => name.includes("partial"))).toEqual([]);
  });
});
