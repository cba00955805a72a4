import type { Executable } from "@fax/compiler/executable";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WebGPUDevice } from "./device.ts";
import type { BufferHandle } from "./handle.ts";
import { openDevice } from "./open.ts";
import { nextTurn } from "./reclaim.ts";

/** Were nothing freed, all values would take 312 MiB. */
const steps = 2500;
const size = 32_768;
const bytes = 4 * size;
const mebibyte = 2 ** 20;
/** On two busy cores a dispatch of a software adapter takes milliseconds. */
const timeout = 240_000;

let device: WebGPUDevice;

beforeAll(async () => {
  const opened = await openDevice("software");
  if (opened.device === null) throw new Error(opened.reason);
  device = opened.device;
});

afterAll(() => device.destroy());

/** y = x + 1, through a temporary. */
const increment: Executable = {
  buffers: [
    { bytes, role: "input", label: "x" },
    { bytes, role: "temp", label: "t" },
    { bytes, role: "output", label: "y" },
  ],
  kernels: [
    {
      name: "half",
      language: "wgsl",
      entryPoint: "main",
      features: [],
      counters: 0,
      bindings: [{ access: "read" }, { access: "read_write" }],
      source: `@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] + 0.5; }`,
    },
  ],
  steps: [
    {
      kind: "dispatch",
      kernel: 0,
      buffers: [0, 1],
      workgroups: [size / 256, 1, 1],
      flops: size,
      bytesMoved: 2 * bytes,
    },
    {
      kind: "dispatch",
      kernel: 0,
      buffers: [1, 2],
      workgroups: [size / 256, 1, 1],
      flops: size,
      bytesMoved: 2 * bytes,
    },
  ],
  inputs: [{ dtype: "f32", shape: [size], buffer: 0 }],
  outputs: [{ dtype: "f32", shape: [size], buffer: 2 }],
  peakBytes: 2 * bytes,
  peakLowerBound: 2 * bytes,
};

/** What a front end has in the user's hands: the value lives as long as this object. */
class Value {
  readonly handle: BufferHandle;

  constructor(handle: BufferHandle) {
    this.handle = handle;
    device.trackOwner(this, handle);
  }

  next(): Value {
    const [handle] = device.execute(increment, [this.handle]);
    if (handle === undefined) throw new Error("no output");
    return new Value(handle);
  }

  async first(): Promise<number> {
    return (await device.read(this.handle, "f32", 1))[0] as number;
  }
}

function zeros(): Value {
  return new Value(device.upload({ dtype: "f32", shape: [size], data: new Float32Array(size) }));
}

function deviceBytes(): number {
  return device.stats.liveBytes + device.stats.poolBytes;
}

test("a loop that awaits its steps and disposes of nothing keeps memory flat", { timeout }, async () => {
  let x = zeros();
  let most = 0;
  let rss = 0;
  for (let step = 1; step <= steps; step++) {
    x = x.next();
    if (step % 4 === 0) await x.first();
    most = Math.max(most, deviceBytes());
    if (step === steps / 5) rss = process.memoryUsage.rss();
  }
  expect(await x.first()).toBe(steps);
  expect(most).toBeLessThan(100 * mebibyte);
  expect(process.memoryUsage.rss() - rss).toBeLessThan(64 * mebibyte);
});

test("a loop without any await keeps device memory flat and computes the same", { timeout }, async () => {
  await device.idle();
  const before = process.memoryUsage.rss();
  let x = zeros();
  let most = 0;
  for (let step = 0; step < steps; step++) {
    x = x.next();
    most = Math.max(most, deviceBytes());
  }
  const watch = setInterval(() => (most = Math.max(most, deviceBytes())), 1);
  expect(await x.first()).toBe(steps);
  clearInterval(watch);
  expect(most).toBeLessThan(150 * mebibyte);
  expect(process.memoryUsage.rss() - before).toBeLessThan(150 * mebibyte);
});

test("a released value's memory is used again at once", async () => {
  await device.idle();
  const before = device.stats;
  let x = zeros();
  for (let step = 0; step < 100; step++) {
    const next = x.next();
    device.release(x.handle);
    x = next;
  }
  expect(device.stats.liveBytes - before.liveBytes).toBeLessThanOrEqual(2 * bytes);
  device.release(x.handle);
  await nextTurn();
});
