import { jit, type NDArray, np, setDevice } from "@fax/core";
import { describe, expect, it } from "vitest";
import { adam, applyUpdates, sgd } from "./index.ts";

setDevice("reference");

async function values(x: NDArray<string>): Promise<number[]> {
  return [...(await x.data())];
}

/** Numbers that are equal to so many decimals. */
function near(expected: readonly number[]): unknown[] {
  return expected.map((value): unknown => expect.closeTo(value, 6));
}

const params = { w: np.array([1, 2]), b: [np.array(3)] };
const grads = { w: np.array([0.5, -1]), b: [np.array(2)] };

describe("sgd", () => {
  it("steps against the gradient", async () => {
    const optimizer = sgd(0.1);
    const { updates } = optimizer.update(grads, optimizer.init(params));
    const next = applyUpdates(params, updates);
    expect(await values(next.w)).toEqual(near([0.95, 2.1]));
    expect(await values(next.b[0] as NDArray)).toEqual(near([2.8]));
  });

  it("keeps momentum", async () => {
    for (const [nesterov, expected] of [
      [false, [-0.05, -0.095]],
      [true, [-0.095, -0.1355]],
    ] as const) {
      const optimizer = sgd(0.1, { momentum: 0.9, nesterov });
      const first = optimizer.update(grads, optimizer.init(params));
      const second = optimizer.update(grads, first.state);
      expect(await values(first.updates.w.slice(0))).toEqual(near([expected[0]]));
      expect(await values(second.updates.w.slice(0))).toEqual(near([expected[1]]));
    }
  });

  it("takes a traced learning rate", async () => {
    const step = jit((rate: number | NDArray, p: typeof params, g: typeof params) => {
      const optimizer = sgd(rate);
      return applyUpdates(p, optimizer.update(g, optimizer.init(p)).updates);
    });
    expect(await values(step(0.1, params, grads).w)).toEqual(near([0.95, 2.1]));
    expect(await values(step(np.array(1), params, grads).w)).toEqual(near([0.5, 3]));
  });

  it("keeps the parameters' dtype", () => {
    const half = np.array([1], { dtype: np.float16 });
    const optimizer = sgd(0.1, { momentum: 0.9 });
    const { updates, state } = optimizer.update(half, optimizer.init(half));
    expect([updates.dtype, state.trace?.dtype, applyUpdates(half, updates).dtype]).toEqual(["f16", "f16", "f16"]);
  });
});

describe("adam", () => {
  it("steps by the learning rate at first, whatever the gradient's size", async () => {
    const optimizer = adam(0.01);
    const first = optimizer.update(grads, optimizer.init(params));
    expect(await values(first.updates.w)).toEqual(near([-0.01, 0.01]));
    expect([...(await first.state.count.data())]).toEqual([1]);
  });

  it("follows the algorithm", async () => {
    const optimizer = adam(0.1, { b1: 0.8, b2: 0.9, eps: 1e-3 });
    let state = optimizer.init(np.array([0]));
    let [m, v] = [0, 0];
    const step = jit((g: NDArray, s: typeof state) => optimizer.update(g, s));
    for (const [t, g] of [1, -2, 0.5].entries()) {
      const result = step(np.array([g]), state);
      m = 0.8 * m + 0.2 * g;
      v = 0.9 * v + 0.1 * g * g;
      const expected = (-0.1 * (m / (1 - 0.8 ** (t + 1)))) / (Math.sqrt(v / (1 - 0.9 ** (t + 1))) + 1e-3);
      expect(await values(result.updates)).toEqual(near([expected]));
      state = result.state;
    }
  });
});
