/** WGSL written by hand, run as plainly as WebGPU allows: what floors are measured with. */
import { Naps } from "../../runtime-webgpu/src/naps.ts";
import { type Sample, timed } from "./measure.ts";

/** The better of two by each clock. */
export const better = (a: Sample, b: Sample): Sample => ({
  wall: Math.min(a.wall, b.wall),
  cpu: Math.min(a.cpu, b.cpu),
});

export const never: Sample = { wall: Infinity, cpu: Infinity };

export function storage(device: GPUDevice, size: number): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  return device.createBuffer({ size, usage });
}

const naps = new WeakMap<GPUDevice, Naps>();

/** Whoever waits for the device leaves it the cores that it computes on, as fax does. */
export function leaveCoresTo(device: GPUDevice): void {
  naps.set(device, new Naps());
}

export async function waitFor<T>(device: GPUDevice, promise: Promise<T>): Promise<T> {
  naps.get(device)?.begin();
  try {
    return await promise;
  } finally {
    naps.get(device)?.end();
  }
}

export interface HandKernel {
  readonly code: string;
  /** Bindings from 0. */
  readonly buffers: readonly GPUBuffer[];
  readonly workgroups: readonly [number, number, number];
}

export async function compile(
  device: GPUDevice,
  { code, buffers }: HandKernel,
): Promise<{ readonly pipeline: GPUComputePipeline; readonly group: GPUBindGroup }> {
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  return { pipeline, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
}

/** Compiles, and runs once; the result runs it as often as it is told, each time in a submit of its own, and waits. */
export async function dispatcher(device: GPUDevice, kernel: HandKernel): Promise<(calls: number) => Promise<void>> {
  const { pipeline, group } = await compile(device, kernel);
  const run = async (calls: number): Promise<void> => {
    for (let i = 0; i < calls; i++) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...kernel.workgroups);
      pass.end();
      device.queue.submit([encoder.finish()]);
    }
    await waitFor(device, device.queue.onSubmittedWorkDone());
  };
  await run(1);
  return run;
}

/** The shortest of some batches: a floor is what can be reached, not what is usual. */
export async function bestOf(run: (calls: number) => Promise<void>, times: number): Promise<Sample> {
  const once = await timed(1, run);
  const calls = Math.max(1, Math.min(100, Math.floor(20 / once.wall)));
  let best = once;
  for (let i = 0; i < times; i++) best = better(best, await timed(calls, run));
  return best;
}

/** The bytes of a buffer on the host. */
export async function bytesFrom(device: GPUDevice, buffer: GPUBuffer): Promise<ArrayBuffer> {
  const staging = device.createBuffer({ size: buffer.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = staging.getMappedRange().slice(0);
  staging.destroy();
  return bytes;
}
