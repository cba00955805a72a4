import { beforeAll, describe, expect, it } from "vitest";
import { device, type DeviceInfo, jit, type NDArray, np, setDevice } from "./index.ts";

let info: DeviceInfo;

beforeAll(async () => {
  setDevice("software");
  info = await device();
});

function stats() {
  if (info.webgpu === null) throw new Error("no device");
  return info.webgpu.stats;
}

const size = 4096;

describe("donation", () => {
  const sgd = (w: NDArray, g: NDArray): NDArray => np.subtract(w, np.multiply(0.5, g));

  it("takes the memory of the argument for the result, and the argument cannot be used again", async () => {
    const step = jit(sgd, { donateArgnums: 0 });
    const g = np.ones([size]);
    let w: NDArray = np.zeros([size]);
    w = step(w, g);
    await w.data();
    info.webgpu?.resetPeak();
    const before = stats();
    const old = w;
    for (let i = 0; i < 10; i++) w = step(w, g);
    expect((await w.data())[size - 1]).toBe(-5.5);
    expect(stats().peakBytes).toBe(before.liveBytes);
    expect(stats().buffers).toBe(before.buffers);
    expect(() => step(old, g)).toThrow(/FAX1005 .* donated to a jitted function/);
    await expect(old.data()).rejects.toThrow("FAX1005");
  });

  it("spares what something else still needs", async () => {
    const step = jit(sgd, { donateArgnums: [0] });
    const w = np.add(np.zeros([size]), 1);
    const reading = w.data();
    const next = step(w, np.ones([size]));
    expect((await next.data())[0]).toBe(0.5);
    expect((await reading)[0]).toBe(1);
    const twice = np.add(np.zeros([size]), 4);
    expect((await step(twice, twice).data())[7]).toBe(2);
  });

  it("works where an output does not fit, for trees and for numbers", async () => {
    const total = jit((tree: { a: NDArray; b: NDArray }) => np.sum(np.add(tree.a, tree.b)), { donateArgnums: 0 });
    expect(await total({ a: np.ones([8]), b: np.ones([8]) }).item()).toBe(16);
    const scaled = jit((x: number | NDArray) => np.add(x, 1), { donateArgnums: 0 });
    expect(await scaled(2).item()).toBe(3);
    expect(await scaled(5).item()).toBe(6);
  });

  it("names an argument that there is not", () => {
    expect(() => jit(sgd, { donateArgnums: 2 })(np.ones([2]), np.ones([2]))).toThrow(
      /FAX1003 .*names argument 2, and sgd is called with 2/,
    );
  });
});

describe("lower", () => {
  const f = jit((x: NDArray) => {
    const y = np.matmul(x, x);
    return np.sum(np.matmul(np.tanh(y), np.transpose(y)), 0);
  });

  it("knows what a call costs and what it allocates before it runs", async () => {
    const x = np.ones([64, 64]);
    await x.data();
    await np.add(x, 0).data();
    const lowered = f.lower(x);
    expect(lowered.asText()).toContain("dot_general");
    const compiled = await lowered.compile();
    const cost = compiled.costAnalysis();
    expect(cost.flops).toBeGreaterThan(2 * 2 * 64 ** 3);
    expect(cost.bytesAccessed).toBeGreaterThanOrEqual(3 * 4 * 64 * 64);
    expect(cost.dispatches).toBeGreaterThan(0);
    expect(cost.kernels).toBeLessThanOrEqual(cost.dispatches);
    expect(compiled.asText()).toContain("@compute");
    // Once the pipelines are there a call allocates at once, and no finalizer can run in between.
    await f(x).data();
    info.webgpu?.resetPeak();
    const before = stats();
    await f(x).data();
    expect(stats().peakBytes - before.liveBytes).toBe(cost.peakBytes);
    expect(stats().dispatches - before.dispatches).toBe(cost.dispatches);
  });
});
