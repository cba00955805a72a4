/** What a loop of tiny jitted calls costs the host once it is warm: nothing new on the device, nothing kept on the heap. */
import { device, type DeviceInfo, jit, type NDArray, np, setDevice } from "@fax/core";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeAll, expect, it } from "vitest";

let info: DeviceInfo;

beforeAll(async () => {
  setDevice("software");
  info = await device();
});

const affine = jit((x: NDArray, scale: number) => np.add(np.multiply(x, scale), 1));

function stats() {
  if (info.webgpu === null) throw new Error("no device");
  return info.webgpu.stats;
}

it("100,000 calls create no buffer and no bind group, share submits, and leave the heap flat", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let x: NDArray = np.ones([8]);
  const run = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i++) {
      const next = affine(x, i % 2 === 0 ? 0.5 : 0.25);
      x.dispose();
      x = next;
      if (i % 1000 === 999) await x.data();
    }
  };
  await run(5_000);
  collect();
  const [before, heap] = [stats(), process.memoryUsage().heapUsed];
  await run(100_000);
  collect();
  const after = stats();
  expect(after.buffers).toBe(before.buffers);
  expect(after.bindGroups).toBe(before.bindGroups);
  expect(after.dispatches - before.dispatches).toBe(100_000);
  expect(after.submits - before.submits).toBeLessThan(100_000 / 20);
  expect(process.memoryUsage().heapUsed - heap).toBeLessThan(2 * 2 ** 20);
}, 240_000);

it("10,000 calls with readback create no buffer and no bind group, are one submit each, and leave the heap flat", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const x = np.ones([8]);
  const run = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i++) {
      const y = affine(x, i % 2 === 0 ? 0.5 : 0.25);
      await y.data();
      y.dispose();
    }
  };
  await run(2_000);
  collect();
  const [before, heap] = [stats(), process.memoryUsage().heapUsed];
  await run(10_000);
  collect();
  const after = stats();
  expect(after.buffers).toBe(before.buffers);
  expect(after.bindGroups).toBe(before.bindGroups);
  expect(after.submits - before.submits).toBe(10_000);
  expect(process.memoryUsage().heapUsed - heap).toBeLessThan(2 * 2 ** 20);
}, 240_000);

it("a loop that disposes of nothing meets the same buffers and bind groups again", async () => {
  let x: NDArray = np.ones([8]);
  const run = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i++) x = affine(x, 0.5);
    await x.data();
  };
  await run(20_000);
  const before = stats();
  await run(20_000);
  const after = stats();
  expect(after.buffers - before.buffers).toBeLessThan(200);
  expect(after.bindGroups - before.bindGroups).toBeLessThan(2_000);
}, 120_000);
