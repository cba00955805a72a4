/** Schedules measured on a device. Which is the fastest is nobody's business here: that the right ones are tried and kept is. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CompiledProgram, type Executable, optimize, planned, type SingleKernel, singleKernels } from "@fax/compiler";
import { cacheVariable, type WebGPUDevice } from "@fax/runtime-webgpu";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bench, Contest } from "./contest.ts";
import { webgpuBackend } from "./device.ts";
import { device, jit, lax, makeJaxpr, type NDArray, np, setDevice } from "./index.ts";
import { keptSchedule } from "./kept-schedules.ts";
import type { WebGPUBackend } from "./webgpu-backend.ts";

let folder: string;
let backend: WebGPUBackend;
let gpu: WebGPUDevice;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fax-test-"));
  process.env[cacheVariable] = folder;
  setDevice("software");
  await device();
  backend = (await webgpuBackend()) as WebGPUBackend;
  gpu = backend.device;
});

afterAll(() => {
  rmSync(folder, { recursive: true });
  process.env[cacheVariable] = "off";
});

const layer = (x: NDArray, w: NDArray): NDArray => np.tanh(np.matmul(x, w));

/** Two of its kernels write what they read, one of them inside a loop. */
const walk = (x: NDArray, w: NDArray): NDArray =>
  np.sum(lax.scan((carry, _) => [layer(carry, w), np.sum(carry)] as const, x, np.zeros([3]))[0], 0);

function kernelsOf(f: typeof layer): SingleKernel[] {
  const program = new CompiledProgram(optimize(makeJaxpr(f)(np.zeros([12, 16]), np.zeros([16, 16])).jaxpr));
  const { program: fused, plan } = planned(program.jaxpr, gpu.profile);
  return singleKernels(fused, plan, gpu.profile);
}

const far = Number.POSITIVE_INFINITY;

test("the legal schedules of every kernel run, and give the same", async () => {
  const kernels = kernelsOf(walk);
  expect(kernels.map(({ runs }) => runs)).toContain(3);
  for (const kernel of kernels) {
    const contest = new Contest(kernel, gpu);
    await contest.estimate();
    const { legal, tried, wrong, estimated, best } = await contest.run(6, far);
    expect({ name: kernel.name, tried, wrong }).toEqual({ name: kernel.name, tried: Math.min(6, legal), wrong: 0 });
    expect(legal).toBeGreaterThan(1);
    expect(best.ms).toBeLessThanOrEqual(estimated.ms);
  }
});

/** With `+ 1.0` in the place of what it stores by all schedules but the first. */
function spoilt(kernel: SingleKernel): SingleKernel {
  const [first] = kernel.candidates();
  return {
    ...kernel,
    executable: (schedule): Executable => {
      const executable = kernel.executable(schedule);
      if (schedule === first?.schedule || JSON.stringify(schedule) === JSON.stringify(first?.schedule))
        return executable;
      const kernels = executable.kernels.map((code) => ({
        ...code,
        source: code.source.replace(/tanh\(/g, "1.0 + tanh("),
      }));
      return { ...executable, kernels };
    },
  };
}

test("a schedule that gives other results, or that the device refuses, is never the best", async () => {
  const [kernel] = kernelsOf(layer) as [SingleKernel];
  const broken = { ...kernel, executable: (s: Parameters<SingleKernel["executable"]>[0]) => brokenBut(kernel, s) };
  for (const faulty of [spoilt(kernel), broken]) {
    const contest = new Contest(faulty, gpu);
    await contest.estimate();
    const { tried, wrong, best, estimated } = await contest.run(4, far);
    expect({ tried, wrong }).toEqual({ tried: 4, wrong: 3 });
    expect(best).toBe(estimated);
  }
});

function brokenBut(kernel: SingleKernel, schedule: Parameters<SingleKernel["executable"]>[0]): Executable {
  const executable = kernel.executable(schedule);
  if (JSON.stringify(schedule) === JSON.stringify(kernel.candidates()[0]?.schedule)) return executable;
  return { ...executable, kernels: executable.kernels.map((code) => ({ ...code, source: `${code.source}\nno WGSL` })) };
}

test("nothing is tried after the deadline; a device without timestamps is timed from outside", async () => {
  const [kernel] = kernelsOf(layer) as [SingleKernel];
  const late = new Contest(kernel, gpu);
  expect(await late.estimate()).toBeGreaterThan(0);
  expect((await late.run(4, 0)).tried).toBe(0);
  const withoutClock: Bench = {
    upload: (data) => gpu.upload(data),
    execute: (executable, inputs) => gpu.execute(executable, inputs),
    read: (handle, dtype, size) => gpu.read(handle, dtype, size),
    release: (handle) => gpu.release(handle),
    idle: () => gpu.idle(),
    startProfile: () => Promise.resolve(null),
  };
  const contest = new Contest(kernel, withoutClock);
  await contest.estimate();
  const { estimated, tried } = await contest.run(2, far);
  expect(tried).toBe(2);
  expect(estimated.ms).toBeGreaterThan(0);
});

test("what is kept is what compiles afterwards, and computes the same", async () => {
  const x = np.array(
    [...Array(12 * 16).keys()].map((i) => Math.sin(i)),
    { shape: [12, 16] },
  );
  const w = np.array(
    [...Array(16 * 16).keys()].map((i) => Math.cos(i)),
    { shape: [16, 16] },
  );
  const f = jit(layer);
  const before = await f(x, w).data();
  const text = async (): Promise<string> => (await f.lower(x, w).compile()).asText();
  const estimated = await text();
  const [kernel] = kernelsOf(layer) as [SingleKernel];
  const [first, , third] = kernel.candidates();
  if (first === undefined || third === undefined) throw new Error("the kernel has no three schedules");
  const measured = keptSchedule(kernel, { ...third, ms: 1 }, { ...first, ms: 2 });
  backend.schedules = backend.schedules.update([measured], []);
  expect(estimated).not.toContain("kept by fax tune");
  expect(await text()).toContain("// kept by fax tune: 1 ms on this adapter");
  const after = await f(x, w).data();
  expect(after.length).toBe(before.length);
  for (const [i, value] of after.entries()) expect(value).toBeCloseTo(before[i] ?? NaN, 5);
  expect(JSON.parse(readFileSync(backend.schedules.path as string, "utf8"))).toMatchObject({
    format: "fax-schedules",
    adapter: { name: gpu.name },
    kernels: [{ kernel: kernel.name, ms: 1, insteadMs: 2 }],
  });
});

test("tune measures a program's kernels, keeps the faster schedules and forgets what is slower", async () => {
  const x = np.zeros([12, 16]);
  const w = np.zeros([16, 16]);
  const progress: string[] = [];
  const report = await jit(layer)
    .lower(x, w)
    .tune({ candidates: 3, onProgress: ({ kernel, done, total }) => progress.push(`${kernel} ${done} of ${total}`) });
  expect(report).toMatchObject({ device: gpu.name, file: backend.schedules.path });
  expect(progress).toEqual(report.kernels.map(({ kernel }, i) => `${kernel} ${i} of ${report.kernels.length}`));
  const faster = report.kernels.filter(({ best, estimated }) => best.schedule !== estimated.schedule);
  const text = (await jit(layer).lower(x, w).compile()).asText();
  expect(text.split("// kept by fax tune").length - 1).toBe(faster.length);
});
