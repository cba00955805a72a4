/** What a call costs without any library: the floor of rows that compute next to nothing, timed in turns with them. */
import { compile, storage, waitFor } from "./hand-kernels.ts";
import type { Contender } from "./measure.ts";
import type { Row } from "./rows/row.ts";

/** The same without a library. */
export interface ByHand extends Contender {
  destroy(): void;
}

export const byHand = "by hand";

/** Dispatches that depend on each other in one pass; for `readback` each is submitted with the copy of its result. */
export async function bareCall(device: GPUDevice, mode: Row["mode"]): Promise<ByHand> {
  const buffer = storage(device, 256);
  const staging = device.createBuffer({ size: 256, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = x[id.x] * 0.5 + 1.0; }`;
  const { pipeline, group } = await compile(device, { code, buffers: [buffer], workgroups: [1, 1, 1] });
  const submit = (dispatches: number, copy: boolean): void => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(1);
    pass.end();
    if (copy) encoder.copyBufferToBuffer(buffer, 0, staging, 0, 256);
    device.queue.submit([encoder.finish()]);
  };
  const run = async (calls: number): Promise<void> => {
    if (mode !== "readback") {
      submit(calls, false);
      await waitFor(device, device.queue.onSubmittedWorkDone());
      return;
    }
    for (let i = 0; i < calls; i++) {
      submit(1, true);
      await waitFor(device, staging.mapAsync(GPUMapMode.READ));
      new Float32Array(staging.getMappedRange()).slice();
      staging.unmap();
    }
  };
  await run(1);
  return {
    name: byHand,
    mostCalls: mode === "readback" ? 64 : 1000,
    run,
    destroy() {
      buffer.destroy();
      staging.destroy();
    },
  };
}
