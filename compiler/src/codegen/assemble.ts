/**
 * Fused program + memory plan + adapter → executable. Kernels of equal text are one kernel; a kernel without rows is no
 * step; copies between one buffer and itself are none.
 */
import { invariant } from "../diagnostics/index.ts";
import {
  type AdapterProfile,
  type BufferRef,
  type Executable,
  type KernelCode,
  type Step,
  storageBytes,
  type ValueSpec,
} from "../executable.ts";
import { costOfKernel } from "../fuse/kernel-cost.ts";
import type { FusedProgram, FusedStep, Kernel } from "../fuse/kernel.ts";
import type { MemoryPlan, PlannedCopy } from "../fuse/memory-plan-types.ts";
import { sizeOf } from "../ir/shape.ts";
import type { LoopCounter, Tensor } from "../lower/expr.ts";
import { typeText } from "../lower/print-expr.ts";
import { bindingsOf } from "./bindings.ts";
import { candidateSchedules, generateKernel } from "./generate-kernel.ts";
import { keyOfKernel } from "./kernel-key.ts";
import type { Schedule } from "./schedule.ts";
import type { ScheduleChoice } from "./schedule-choice.ts";
import { sizeOfAxes } from "./space.ts";

/**
 * Throws FAX2003 for an array that the adapter cannot bind. `choose` may know better schedules than are estimated;
 * `onKernel` is told of each kernel as soon as it is there.
 */
export function generateExecutable(
  program: FusedProgram,
  plan: MemoryPlan,
  profile: AdapterProfile,
  options: GenerateExecutableOptions = {},
): Executable {
  return assemble(program, plan, profile, options).executable;
}

export interface Assembled {
  readonly executable: Executable;
  /** How each kernel that runs does so, those of equal text alike. */
  readonly schedules: ReadonlyMap<Kernel, Schedule>;
}

/** The executable, and what there is to say of it. */
export function assemble(
  program: FusedProgram,
  plan: MemoryPlan,
  profile: AdapterProfile,
  { choose = () => null, onKernel = () => undefined }: GenerateExecutableOptions = {},
): Assembled {
  const assembler = new Assembler(plan, profile, choose, onKernel);
  const steps = assembler.steps(program.steps, []);
  const executable: Executable = {
    buffers: plan.buffers,
    kernels: assembler.kernels,
    steps,
    inputs: program.inputs.map((tensor) => assembler.value(tensor)),
    outputs: program.outputs.map((tensor) => assembler.value(tensor)),
    peakBytes: plan.peakBytes,
    peakLowerBound: plan.peakLowerBound,
  };
  return { executable, schedules: assembler.schedules };
}

interface Dispatched {
  readonly dispatch: Extract<Step, { kind: "dispatch" }>;
  readonly schedule: Schedule;
}

export interface GenerateExecutableOptions {
  readonly choose?: ScheduleChoice | undefined;
  readonly onKernel?: ((kernel: KernelCode) => void) | undefined;
}

class Assembler {
  readonly kernels: KernelCode[] = [];
  readonly schedules = new Map<Kernel, Schedule>();
  private readonly kernelIndices = new Map<string, number>();
  /** Of each kernel that was met, by what it computes. */
  private readonly known = new Map<string, Dispatched>();
  private readonly plan: MemoryPlan;
  private readonly profile: AdapterProfile;
  private readonly choose: ScheduleChoice;
  private readonly onKernel: (kernel: KernelCode) => void;

  constructor(
    plan: MemoryPlan,
    profile: AdapterProfile,
    choose: ScheduleChoice,
    onKernel: (kernel: KernelCode) => void,
  ) {
    this.plan = plan;
    this.profile = profile;
    this.choose = choose;
    this.onKernel = onKernel;
  }

  private add(code: KernelCode): number {
    this.onKernel(code);
    const index = this.kernels.push(code) - 1;
    this.kernelIndices.set(code.source, index);
    return index;
  }

  private bufferOf(tensor: Tensor): BufferRef {
    const buffer = this.plan.assignment.get(tensor.id);
    invariant(buffer !== undefined, `the memory plan has no buffer for ${typeText(tensor)}`);
    return buffer;
  }

  value(tensor: Tensor): ValueSpec {
    const buffer = this.bufferOf(tensor);
    invariant(typeof buffer === "number", "an input or output that alternates between buffers");
    return { dtype: tensor.dtype, shape: tensor.shape, buffer };
  }

  steps(steps: readonly FusedStep[], loops: readonly LoopCounter[]): Step[] {
    return steps.flatMap((step): Step[] => {
      switch (step.kind) {
        case "kernel":
          return this.dispatch(step.kernel, loops);
        case "copy": {
          const bytes = sizeOf(step.from.shape) * storageBytes(step.from.dtype, this.profile);
          return copySteps({ from: this.bufferOf(step.from), to: this.bufferOf(step.to), bytes });
        }
        case "loop": {
          if (step.counter.length === 0) return this.loopCopies(step.counter).before.flatMap(copySteps);
          const { before, after } = this.loopCopies(step.counter);
          const body = [...this.steps(step.body, [...loops, step.counter]), ...after.flatMap(copySteps)];
          const { length } = step.counter;
          return [...before.flatMap(copySteps), ...(body.length > 0 ? [{ kind: "loop", length, body } as const] : [])];
        }
        default:
          return step satisfies never;
      }
    });
  }

  private loopCopies(counter: LoopCounter): { before: readonly PlannedCopy[]; after: readonly PlannedCopy[] } {
    const copies = this.plan.loops.get(counter.id);
    invariant(copies, "a loop that the memory plan does not know");
    return copies;
  }

  private dispatch(kernel: Kernel, loops: readonly LoopCounter[]): Step[] {
    if (!kernel.beside && doesNothing(kernel)) return [];
    const assignment = (tensor: Tensor): BufferRef => this.bufferOf(tensor);
    const key = keyOfKernel(kernel, assignment, loops);
    const known = this.known.get(key);
    if (known) {
      const buffers = bindingsOf(kernel, assignment, this.profile).map(({ buffer }) => buffer);
      this.schedules.set(kernel, known.schedule);
      return [{ ...known.dispatch, buffers }];
    }
    const { profile } = this;
    const chosen = kernel.beside ? null : this.choose(key, () => candidateSchedules(kernel, { assignment, profile }));
    const given = chosen === null ? {} : { schedule: chosen };
    const { code, buffers, workgroups, schedule } = generateKernel(kernel, { assignment, loops, profile, ...given });
    this.schedules.set(kernel, schedule);
    const index = this.kernelIndices.get(code.source) ?? this.add(code);
    const cost = costOfKernel(kernel, profile);
    const dispatch = { kind: "dispatch", kernel: index, buffers, workgroups, ...cost } as const;
    this.known.set(key, { dispatch, schedule });
    return [dispatch];
  }
}

export function doesNothing({ rows, stages }: Kernel): boolean {
  const storesNothing = stages.every(
    (stage) => stage.kind === "reduce" || stage.stores.length === 0 || sizeOfAxes(stage.axes) === 0,
  );
  return storesNothing || sizeOfAxes(rows) === 0;
}

function copySteps({ from, to, bytes }: PlannedCopy): Step[] {
  if (sameBuffer(from, to) || bytes === 0) return [];
  return [{ kind: "copy", from, to, bytes: Math.ceil(bytes / 4) * 4 }];
}

function sameBuffer(a: BufferRef, b: BufferRef): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.even === b.even && a.odd === b.odd;
}
