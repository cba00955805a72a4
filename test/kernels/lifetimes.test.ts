/** What a device holds during a training loop in which nobody disposes of anything, and what a call submits. */
import { device, type DeviceInfo, grad, jit, type NDArray, np, setDevice } from "@fax/core";
import { beforeAll, describe, expect, it } from "vitest";

let info: DeviceInfo;

beforeAll(async () => {
  setDevice("software");
  info = await device();
});

const loss = (w: NDArray, x: NDArray): NDArray => np.mean(np.square(np.subtract(np.matmul(x, w), 1)));
const step = jit((w: NDArray, x: NDArray, rate: number | NDArray) =>
  np.subtract(w, np.multiply(rate, grad(loss)(w, x))),
);

describe("a jitted call", () => {
  it("is one submit, whatever it holds, and a new learning rate compiles nothing", async () => {
    const w = np.zeros([16, 4]);
    const x = np.ones([32, 16]);
    await step(w, x, 0.1).data();
    const before = info.webgpu?.stats;
    await step(w, x, 0.2).data();
    const after = info.webgpu?.stats;
    expect((after?.submits ?? 0) - (before?.submits ?? 0)).toBe(1);
    expect(after?.pipelines).toBe(before?.pipelines);
  });

  it("computes what the reference evaluator computes", async () => {
    const w = await step(np.zeros([2, 1]), np.ones([3, 2]), 0.5).tolist();
    expect(w).toEqual([[1], [1]]);
  });
});

describe("10,000 steps that dispose of nothing", () => {
  it.each([
    ["awaiting now and then", 50],
    ["without ever awaiting", Number.POSITIVE_INFINITY],
  ])("%s: memory stays flat", { timeout: 240_000 }, async (_, every) => {
    const x = np.ones([8, 1024]);
    let w: NDArray = np.zeros([1024, 4]);
    const run = async (steps: number): Promise<void> => {
      for (let i = 0; i < steps; i++) {
        w = step(w, x, 1e-4);
        if (i % every === every - 1) await w.data();
      }
      await w.data();
    };
    await run(2_000);
    const [bytes, rss] = [info.webgpu?.stats.liveBytes ?? 0, process.memoryUsage().rss];
    await run(8_000);
    const stats = info.webgpu?.stats;
    // 8,000 weights of 16 KiB would be 128 MiB.
    expect((stats?.liveBytes ?? 0) - bytes).toBeLessThan(64 * 2 ** 20);
    expect(stats?.peakBytes).toBeLessThan(160 * 2 ** 20);
    expect(process.memoryUsage().rss - rss).toBeLessThan(160 * 2 ** 20);
  });
});
