/** Runs hand-made kernels on a device, each tensor in a buffer of its own unless said otherwise. */
import { type BufferHandle, openDevice, type WebGPUDevice } from "@fax/runtime-webgpu";
import { afterAll, beforeAll } from "vitest";
import type { AdapterProfile, BufferSpec, Executable, ValueSpec } from "../executable.ts";
import type { FusedProgram, Kernel } from "../fuse/kernel.ts";
import { bytesOfTensor } from "../fuse/live-bytes.ts";
import type { MemoryPlan } from "../fuse/memory-plan-types.ts";
import type { DType } from "../ir/dtype.ts";
import { type HostData, hostArray } from "../ir/host-array.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Tensor } from "../lower/expr.ts";
import { generateExecutable } from "./assemble.ts";
import { bindingsOf } from "./bindings.ts";
import type { GeneratedKernel } from "./generate-kernel.ts";

/** The software adapter, open while the tests of a file run. */
export function softwareDevice(): () => WebGPUDevice {
  let device: WebGPUDevice | null = null;
  beforeAll(async () => {
    const opened = await openDevice("software");
    if (opened.device === null) throw new Error(opened.reason);
    device = opened.device;
  });
  afterAll(() => device?.destroy());
  return () => {
    if (device === null) throw new Error("the device opens when the tests begin");
    return device;
  };
}

/** A plan in which every tensor has a buffer, and those that `aliases` names have that of another. */
export function plainPlan(
  program: FusedProgram,
  kernels: readonly Kernel[],
  profile: AdapterProfile,
  aliases: ReadonlyMap<Tensor, Tensor> = new Map(),
): MemoryPlan {
  const tensors = new Set<Tensor>([...program.inputs, ...program.outputs]);
  for (const kernel of kernels) {
    for (const binding of bindingsOf(kernel, (tensor) => tensor.id, profile)) {
      for (const tensor of binding.tensors) tensors.add(tensor);
    }
  }
  const buffers: BufferSpec[] = [];
  const assignment = new Map<number, number>();
  for (const tensor of tensors) {
    if (aliases.has(tensor)) continue;
    const role = program.inputs.includes(tensor) ? "input" : program.outputs.includes(tensor) ? "output" : "temp";
    assignment.set(tensor.id, buffers.length);
    buffers.push({ bytes: bytesOfTensor(tensor, profile), role, label: `t${tensor.id}` });
  }
  for (const [tensor, other] of aliases) assignment.set(tensor.id, assignment.get(other.id) ?? 0);
  return { buffers, assignment, loops: new Map(), peakBytes: 0, peakLowerBound: 0, reasons: [] };
}

export function programOf(
  kernels: readonly Kernel[],
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): FusedProgram {
  return { inputs, outputs, arenas: [], steps: kernels.map((kernel) => ({ kind: "kernel", kernel })) };
}

/** The executable of a list of kernels, and the outputs' elements. */
export async function runKernels(
  device: WebGPUDevice,
  kernels: readonly Kernel[],
  inputs: readonly (readonly [Tensor, ArrayLike<number>])[],
  outputs: readonly Tensor[],
  profile: AdapterProfile = device.profile,
): Promise<{ executable: Executable; results: HostData[] }> {
  const program = programOf(
    kernels,
    inputs.map(([tensor]) => tensor),
    outputs,
  );
  const executable = generateExecutable(program, plainPlan(program, kernels, profile), profile);
  return {
    executable,
    results: await runExecutable(
      device,
      executable,
      inputs.map(([, data]) => data),
    ),
  };
}

/** The executable of one kernel that is generated already. */
export function executableOf(
  { code, buffers, workgroups }: GeneratedKernel,
  { inputs, outputs }: Pick<FusedProgram, "inputs" | "outputs">,
  plan: MemoryPlan,
): Executable {
  const value = ({ id, dtype, shape }: Tensor): ValueSpec => {
    const buffer = plan.assignment.get(id);
    if (typeof buffer !== "number") throw new Error(`tensor ${id} has no buffer of its own`);
    return { dtype, shape, buffer };
  };
  return {
    buffers: plan.buffers,
    kernels: [code],
    steps: [{ kind: "dispatch", kernel: 0, buffers, workgroups, flops: 0, bytesMoved: 0 }],
    inputs: inputs.map(value),
    outputs: outputs.map(value),
    peakBytes: 0,
    peakLowerBound: 0,
  };
}

export async function runExecutable(
  device: WebGPUDevice,
  executable: Executable,
  data: readonly ArrayLike<number>[],
): Promise<HostData[]> {
  const handles = executable.inputs.map(({ dtype, shape }, i) =>
    device.upload(hostArray(dtype, shape, typed(dtype, data[i] ?? []))),
  );
  const results = device.execute(executable, handles);
  const read = await Promise.all(
    executable.outputs.map(({ dtype, shape }, i) => device.read(results[i] as BufferHandle, dtype, sizeOf(shape))),
  );
  for (const handle of [...handles, ...results]) device.release(handle);
  return read;
}

function typed(dtype: DType, data: ArrayLike<number>): HostData {
  switch (dtype) {
    case "f32":
    case "f16":
      return Float32Array.from(data);
    case "i32":
      return Int32Array.from(data);
    case "u32":
      return Uint32Array.from(data);
    case "bool":
      return Uint8Array.from(data);
    default:
      return dtype satisfies never;
  }
}
