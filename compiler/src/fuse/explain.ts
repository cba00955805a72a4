/**
 * What fused kernels cost and why their arrays are in memory: arithmetic, bytes, and for each stored array the kernels
 * that read it. An array that no other kernel read would need no memory; the kernel's reasons say what kept them apart.
 */
import { type AdapterProfile, storageBytes } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Tensor } from "../lower/expr.ts";
import type { Names } from "../lower/print-expr.ts";
import type { FusedProgram, FusedStep, Kernel } from "./kernel.ts";
import { costOfKernel } from "./kernel-cost.ts";
import { boundTensors } from "./kernel-tensors.ts";

/** Lines to stand below a kernel. */
export type KernelNotes = (kernel: Kernel, names: Names) => string[];

export interface Explanation {
  readonly ofKernel: KernelNotes;
  readonly total: readonly string[];
}

interface Timed {
  readonly kernel: Kernel;
  /** How often the loops around it run it. */
  readonly times: number;
}

export function explainProgram(program: FusedProgram, profile: AdapterProfile): Explanation {
  const kernels = [...kernelsIn(program.steps, 1)];
  const readers = new Map<number, string[]>();
  const addReader = (tensor: Tensor, reader: string): void => {
    const known = readers.get(tensor.id) ?? [];
    if (!known.includes(reader)) readers.set(tensor.id, [...known, reader]);
  };
  for (const { kernel } of kernels) {
    for (const tensor of boundTensors(kernel).loaded) addReader(tensor, kernel.name);
  }
  for (const tensor of carriedIn(program.steps)) addReader(tensor, "the loop");
  for (const tensor of program.outputs) addReader(tensor, "the caller");
  const bytesOf = (tensor: Tensor): number => sizeOf(tensor.shape) * storageBytes(tensor.dtype, profile);

  const ofKernel = (kernel: Kernel, names: Names): string[] => {
    const { flops, bytesMoved } = costOfKernel(kernel, profile);
    const { stored } = boundTensors(kernel);
    return [
      `  # costs ${count(flops)} FLOPs and ${count(bytesMoved)} bytes, ${(flops / Math.max(1, bytesMoved)).toFixed(2)} FLOPs a byte`,
      ...stored.map((tensor) => {
        const wanted = readers.get(tensor.id)?.join(", ") ?? "the loop";
        return `  # ${names.tensor(tensor)} is ${count(bytesOf(tensor))} bytes in memory for ${wanted}`;
      }),
    ];
  };

  const total = kernels.reduce(
    (sum, { kernel, times }) => {
      const { flops, bytesMoved } = costOfKernel(kernel, profile);
      return { runs: sum.runs + times, flops: sum.flops + times * flops, bytes: sum.bytes + times * bytesMoved };
    },
    { runs: 0, flops: 0, bytes: 0 },
  );
  const line = `# ${kernels.length} kernels, ${count(total.runs)} dispatches, ${count(total.flops)} FLOPs, ${count(total.bytes)} bytes moved`;
  return { ofKernel, total: [line] };
}

function* kernelsIn(steps: readonly FusedStep[], times: number): Generator<Timed> {
  for (const step of steps) {
    if (step.kind === "kernel") yield { kernel: step.kernel, times };
    else if (step.kind === "loop") yield* kernelsIn(step.body, times * step.counter.length);
  }
}

/** What loops take and give from one iteration to the next. */
function carriedIn(steps: readonly FusedStep[]): Tensor[] {
  return steps.flatMap((step) =>
    step.kind === "loop"
      ? [...step.carries.flatMap(({ init, result }) => [init, result]), ...step.stacked, ...carriedIn(step.body)]
      : [],
  );
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
