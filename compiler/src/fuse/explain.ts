/**
 * What fused kernels cost and why their arrays are in memory: arithmetic, bytes, and for each stored array the kernels
 * that read it. An array that no other kernel read would need no memory; the kernel's reasons say what kept them apart.
 */
import { type AdapterProfile, storageBytes } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Tensor } from "../lower/expr.ts";
import type { Graph } from "../lower/graph.ts";
import type { Names } from "../lower/print-expr.ts";
import { countText } from "./count-text.ts";
import type { FusedProgram, FusedStep, Kernel } from "./kernel.ts";
import { costOfKernel } from "./kernel-cost.ts";
import { boundTensors } from "./kernel-tensors.ts";
import { unfusedCost } from "./unfused-cost.ts";

/** Lines to stand below a kernel. */
export type KernelNotes = (kernel: Kernel, names: Names) => string[];

export interface ExplainContext {
  /** Costs are those on this adapter. */
  readonly profile: AdapterProfile;
  /** The program before fusion. */
  readonly graph: Graph;
  /** How a kernel runs there. */
  readonly schedule: KernelNotes;
  /** Kernels of different text. */
  readonly different: number;
}

export interface Explanation {
  readonly ofKernel: KernelNotes;
  readonly total: readonly string[];
}

interface Timed {
  readonly kernel: Kernel;
  /** How often the loops around it run it. */
  readonly times: number;
}

export function explainProgram(
  program: FusedProgram,
  { profile, graph, schedule, different }: ExplainContext,
): Explanation {
  const kernels = [...kernelsIn(program.steps, 1)];
  const readers = new Map<number, string[]>();
  const addReader = (tensor: Tensor, reader: string): void => {
    const known = readers.get(tensor.id) ?? [];
    readers.set(tensor.id, [...known, reader]);
  };
  for (const { kernel } of kernels) {
    for (const tensor of boundTensors(kernel).loaded) addReader(tensor, kernel.name);
  }
  for (const tensor of new Set(carriedIn(program.steps))) addReader(tensor, "the loop");
  for (const tensor of new Set(program.outputs)) addReader(tensor, "the caller");
  const bytesOf = (tensor: Tensor): number => sizeOf(tensor.shape) * storageBytes(tensor.dtype, profile);

  const ofKernel = (kernel: Kernel, names: Names): string[] => {
    const { flops, bytesMoved } = costOfKernel(kernel, profile);
    const { stored } = boundTensors(kernel);
    return [
      `  # costs ${countText(flops)} FLOPs and ${countText(bytesMoved)} bytes, ${(flops / Math.max(1, bytesMoved)).toFixed(2)} FLOPs a byte`,
      ...stored.map((tensor) => {
        const wanted = counted(readers.get(tensor.id) ?? ["the loop"]);
        return `  # ${names.tensor(tensor)} is ${countText(bytesOf(tensor))} bytes in memory for ${wanted}`;
      }),
      ...schedule(kernel, names).map((line) => `  # ${line}`),
    ];
  };

  const total = kernels.reduce(
    (sum, { kernel, times }) => {
      const { flops, bytesMoved } = costOfKernel(kernel, profile);
      return { runs: sum.runs + times, flops: sum.flops + times * flops, bytes: sum.bytes + times * bytesMoved };
    },
    { runs: 0, flops: 0, bytes: 0 },
  );
  const ends = [...new Set([...program.inputs, ...program.outputs])].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const alone = unfusedCost(graph, profile);
  const saved = alone.bytesMoved - total.bytes;
  const share = `${Math.round((100 * saved) / Math.max(1, alone.bytesMoved))} %`;
  const recomputed = total.flops - alone.flops;
  const arithmetic =
    recomputed > 0 ? `, for ${countText(recomputed)} FLOPs of recomputation` : `, and ${countText(-recomputed)} FLOPs`;
  return {
    ofKernel,
    total: [
      `# ${plural(kernels.length, "kernel")}, ${different} of them different, ${plural(total.runs, "dispatch", "dispatches")}, ${countText(total.flops)} FLOPs, ${countText(total.bytes)} bytes moved`,
      `# inputs and outputs are ${countText(ends)} bytes; what is moved beyond them are arrays between kernels, and arrays that several kernels read`,
      `# each operation by itself would take ${plural(alone.dispatches, "dispatch", "dispatches")}, ${countText(alone.flops)} FLOPs and ${countText(alone.bytesMoved)} bytes: fusion saves ${plural(alone.dispatches - total.runs, "dispatch", "dispatches")} and ${countText(saved)} bytes (${share})${recomputed === 0 ? "" : arithmetic}`,
    ],
  };
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

/** `a, 2 × b`. */
function counted(names: readonly string[]): string {
  const times = new Map<string, number>();
  for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
  return [...times].map(([name, n]) => (n === 1 ? name : `${n} × ${name}`)).join(", ");
}

function plural(n: number, one: string, many = `${one}s`): string {
  return `${countText(n)} ${n === 1 ? one : many}`;
}
