/** What the adapter can do at best, measured with kernels written by hand in the same run. */
import type { AdapterProfile } from "@fax/compiler/executable";
import { bestOf, better, compile, dispatcher, never, storage } from "./hand-kernels.ts";
import { bestMatmul } from "./matmul-search.ts";
import { matmulVariants, type MatmulVariant, type MatmulElement } from "./matmul-variants.ts";
import { type Clock, clocks, type Sample } from "./measure.ts";
import type { Row } from "./rows/row.ts";

export interface Floor {
  /** Bytes per millisecond, read and written, of the best copy. */
  readonly copy: Readonly<Record<Clock, number>>;
  /** Floating point operations per millisecond of the best product found, by element and size. */
  readonly matmul: readonly {
    readonly element: MatmulElement;
    readonly size: number;
    readonly rate: Readonly<Record<Clock, number>>;
  }[];
  /** Milliseconds of a dispatch among many, and of one whose result is read back. */
  readonly dispatch: Sample;
  readonly roundTrip: Sample;
}

const copyElements = 8 * 2 ** 20;

export async function measureFloor(device: GPUDevice, profile: AdapterProfile, quick: boolean): Promise<Floor> {
  const copy = await bestCopy(device);
  const sizes = quick ? [512] : [512, 1024];
  const elements: MatmulElement[] = profile.features.includes("shader-f16") ? ["f32", "f16"] : ["f32"];
  const matmul = [];
  for (const element of elements) {
    for (const size of sizes) {
      const { sample } = await bestMatmul(device, profile, {
        element,
        size,
        variants: likelyVariants(profile, element),
      });
      matmul.push({ element, size, rate: perMs(2 * size ** 3, sample) });
    }
  }
  return { copy: perMs(2 * 4 * copyElements, copy), matmul, ...(await callCosts(device)) };
}

const perMs = (amount: number, sample: Sample): Record<Clock, number> => ({
  wall: amount / sample.wall,
  cpu: amount / sample.cpu,
});

/** Milliseconds that no program for the row can go below. */
export function floorOf(row: Row, floor: Floor, clock: Clock): number {
  if (row.mode === "readback") return floor.roundTrip[clock];
  const element = row.needs === "shader-f16" ? "f16" : "f32";
  const rates = floor.matmul.filter((entry) => entry.element === element).map(({ rate }) => rate[clock]);
  const least = Math.max(row.bytes / floor.copy[clock], row.flops / Math.max(...rates));
  return row.mode === "chained" ? Math.max(least, floor.dispatch[clock]) : least;
}

async function bestCopy(device: GPUDevice): Promise<Sample> {
  const bytes = 4 * copyElements;
  const [from, to] = [storage(device, bytes), storage(device, bytes)];
  const vectors = copyElements / 4;
  let best = never;
  for (const perThread of [1, 4]) {
    for (const workgroup of [64, 256]) {
      const threads = vectors / perThread;
      const across = Math.min(32768, threads / workgroup);
      const lines = Array.from({ length: perThread }, (_, i) => `dst[base + ${i}u] = src[base + ${i}u];`).join(" ");
      const code = `@group(0) @binding(0) var<storage> src: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> dst: array<vec4f>;
@compute @workgroup_size(${workgroup}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let base = (id.y * ${across * workgroup}u + id.x) * ${perThread}u;
  ${lines}
}`;
      const run = await dispatcher(device, {
        code,
        buffers: [from, to],
        workgroups: [across, threads / workgroup / across, 1],
      });
      best = better(best, await bestOf(run, 6));
    }
  }
  const byCommand = async (calls: number): Promise<void> => {
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < calls; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  };
  await byCommand(1);
  best = better(best, await bestOf(byCommand, 6));
  from.destroy();
  to.destroy();
  return best;
}

/** Dispatches that depend on each other in one pass; and one that is submitted together with the copy of its result. */
async function callCosts(device: GPUDevice): Promise<Pick<Floor, "dispatch" | "roundTrip">> {
  const buffer = storage(device, 256);
  const staging = device.createBuffer({ size: 256, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = x[id.x] * 0.5 + 1.0; }`;
  const { pipeline, group } = await compile(device, { code, buffers: [buffer], workgroups: [1, 1, 1] });
  const encode = (calls: number, after: (encoder: GPUCommandEncoder) => void): void => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < calls; i++) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    after(encoder);
    device.queue.submit([encoder.finish()]);
  };
  const dispatches = async (calls: number): Promise<void> => {
    encode(calls, () => undefined);
    await device.queue.onSubmittedWorkDone();
  };
  const roundTrips = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i++) {
      encode(1, (encoder) => encoder.copyBufferToBuffer(buffer, 0, staging, 0, 256));
      await staging.mapAsync(GPUMapMode.READ);
      new Float32Array(staging.getMappedRange()).slice();
      staging.unmap();
    }
  };
  const costs = { dispatch: await bestOf(dispatches, 10), roundTrip: await bestOf(roundTrips, 10) };
  buffer.destroy();
  staging.destroy();
  return costs;
}

/** Those that have been best on adapters of the class; the search script looks at all. */
function likelyVariants(profile: AdapterProfile, element: MatmulElement): readonly MatmulVariant[] {
  return matmulVariants(profile).filter((variant) => variant.likely(profile, element));
}

export function describeFloor({ copy, matmul, dispatch, roundTrip }: Floor): string[] {
  return clocks.map((clock) => {
    const products = matmul.map(({ element, size, rate }) => `${element} ${size}: ${(rate[clock] / 1e6).toFixed(2)}`);
    return `${clock}: copy ${(copy[clock] / 1e6).toFixed(2)} GB/s; matmul GFLOP/s ${products.join(", ")}; dispatch ${(dispatch[clock] * 1000).toFixed(0)} µs; round trip ${(roundTrip[clock] * 1000).toFixed(0)} µs`;
  });
}
