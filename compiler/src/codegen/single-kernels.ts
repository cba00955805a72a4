/**
 * The kernels of a program one by one, each as a program of its own that runs by whichever schedule: what measuring
 * schedules works on.
 */
import type { AdapterProfile, BufferRef, BufferSpec, Executable, Step, ValueSpec } from "../executable.ts";
import { invariant } from "../diagnostics/index.ts";
import type { FusedProgram, FusedStep, Kernel } from "../fuse/kernel.ts";
import { costOfKernel, type KernelCost } from "../fuse/kernel-cost.ts";
import { boundTensors } from "../fuse/kernel-tensors.ts";
import { bytesOfTensor } from "../fuse/live-bytes.ts";
import type { MemoryPlan } from "../fuse/memory-plan-types.ts";
import { sizeOf } from "../ir/shape.ts";
import type { LoopCounter, Tensor } from "../lower/expr.ts";
import { doesNothing } from "./assemble.ts";
import { type Binding, bindingsOf } from "./bindings.ts";
import { candidateSchedules, generateKernel } from "./generate-kernel.ts";
import { keyOfKernel } from "./kernel-key.ts";
import type { Candidate, Schedule } from "./schedule.ts";

export interface SingleKernel {
  /** What it computes: what `ScheduleChoice` is asked by. */
  readonly key: string;
  readonly name: string;
  /** How often a call of the program runs it, loops counted through. */
  readonly runs: number;
  readonly cost: KernelCost;
  /** The estimate's choice first, the others by their estimated costs. */
  candidates(): readonly Candidate[];
  /** One dispatch. Its inputs are the kernel's buffers; those that it writes are donated, and are its outputs. */
  executable(schedule: Schedule): Executable;
}

/** Equal kernels once; those that stand beside each other in one dispatch are left out, since each keeps its own schedule. */
export function singleKernels(program: FusedProgram, plan: MemoryPlan, profile: AdapterProfile): SingleKernel[] {
  const found = new Map<string, SingleKernel & { runs: number }>();
  const visit = (steps: readonly FusedStep[], loops: readonly LoopCounter[], runs: number): void => {
    for (const step of steps) {
      if (step.kind === "loop") visit(step.body, [...loops, step.counter], runs * step.counter.length);
      if (step.kind !== "kernel" || step.kernel.beside || doesNothing(step.kernel) || runs === 0) continue;
      const { kernel } = step;
      const key = keyOfKernel(kernel, assignment, loops);
      const known = found.get(key);
      if (known) known.runs += runs;
      else found.set(key, singleKernel({ kernel, key, loops, runs }, assignment, profile));
    }
  };
  const assignment = (tensor: Tensor): BufferRef => {
    const buffer = plan.assignment.get(tensor.id);
    invariant(buffer !== undefined, "the memory plan has a buffer for every tensor of a kernel");
    return buffer;
  };
  visit(program.steps, [], 1);
  return [...found.values()];
}

interface Placed {
  readonly kernel: Kernel;
  readonly key: string;
  /** Outermost first. */
  readonly loops: readonly LoopCounter[];
  readonly runs: number;
}

function singleKernel(
  { kernel, key, loops, runs }: Placed,
  assignment: (tensor: Tensor) => BufferRef,
  profile: AdapterProfile,
): SingleKernel & { runs: number } {
  const cost = costOfKernel(kernel, profile);
  return {
    key,
    name: kernel.name,
    runs,
    cost,
    candidates: () => candidateSchedules(kernel, { assignment, profile }),
    executable: (schedule) => {
      const { code, workgroups } = generateKernel(kernel, { assignment, loops, profile, schedule });
      const bindings = bindingsOf(kernel, assignment, profile);
      const stored = new Set(boundTensors(kernel).stored);
      const largest = bindings.map((binding, i) => valueOf(binding, i));
      const written = bindings.flatMap((binding, i) => {
        const tensor = binding.tensors.find((candidate) => stored.has(candidate));
        return tensor ? [{ dtype: tensor.dtype, shape: tensor.shape, buffer: i }] : [];
      });
      const dispatch: Step = {
        kind: "dispatch",
        kernel: 0,
        buffers: bindings.map((_, i) => i),
        workgroups,
        ...cost,
      };
      return {
        buffers: bindings.map((binding, i) => bufferOf(binding, largest[i], profile)),
        kernels: [code],
        // The kernel may ask how often the loops around it have run: here it is their first time.
        steps: [loops.reduce<Step>((body) => ({ kind: "loop", length: 1, body: [body] }), dispatch)],
        inputs: largest,
        outputs: written,
        peakBytes: 0,
        peakLowerBound: 0,
      };
    },
  };
}

/** A binding's buffer as a value: the largest of the tensors that lie in it. */
function valueOf({ tensors }: Binding, buffer: number): ValueSpec {
  const [first, ...others] = tensors;
  invariant(first, "a binding without a tensor");
  const { dtype, shape } = others.reduce((a, b) => (sizeOf(b.shape) > sizeOf(a.shape) ? b : a), first);
  return { dtype, shape, buffer };
}

function bufferOf({ name, access }: Binding, value: ValueSpec | undefined, profile: AdapterProfile): BufferSpec {
  invariant(value, "a value for each binding");
  return { bytes: bytesOfTensor(value, profile), role: "input", donated: access === "read_write", label: name };
}
