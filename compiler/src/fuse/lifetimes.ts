/**
 * When each tensor of a fused program is alive. Steps have times in program order; a loop takes one at its start (first
 * values are read), those of its body, and one at its end (results are read). A tensor that a loop reads and does not
 * define lives until the loop's end. At time t reading happens at 2t + 1 and writing at 2t, so that what a step reads
 * and what it writes overlap. An arena is alive while anything in it is.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Tensor } from "../lower/expr.ts";
import { boundTensors } from "./kernel-tensors.ts";
import type { Arena, FusedProgram, FusedStep, Kernel } from "./kernel.ts";

export interface Lifetime {
  readonly tensor: Tensor;
  readonly start: number;
  readonly end: number;
  /** What computes it; null for inputs and for values of loops. */
  readonly kernel: Kernel | null;
  /** The loops around its definition, outermost first. */
  readonly loops: readonly LoopSpan[];
  /** Whether it is read or defined anywhere but directly in the body that it belongs to. */
  readonly crossesLoops: boolean;
}

export type LoopStep = Extract<FusedStep, { kind: "loop" }>;

export interface LoopSpan {
  readonly step: LoopStep;
  readonly start: number;
  end: number;
}

export interface TimedKernel {
  readonly kernel: Kernel;
  readonly time: number;
}

export interface Timeline {
  readonly lifetimes: ReadonlyMap<number, Lifetime>;
  readonly kernels: readonly TimedKernel[];
  /** Inner loops before the loops around them. */
  readonly loops: readonly LoopSpan[];
  readonly copies: readonly { readonly from: Tensor; readonly to: Tensor }[];
}

interface Draft {
  readonly tensor: Tensor;
  start: number;
  end: number;
  kernel: Kernel | null;
  readonly loops: readonly LoopSpan[];
  crossesLoops: boolean;
}

/** The time of the step that reads or writes at a moment of a lifetime. */
export function timeOf(moment: number): number {
  return Math.floor(moment / 2);
}

export function kernelAt(time: number, { kernels }: Timeline): Kernel | undefined {
  return kernels.find((timed) => timed.time === time)?.kernel;
}

export function timelineOf(program: FusedProgram): Timeline {
  const drafts = new Map<number, Draft>();
  const kernels: TimedKernel[] = [];
  const loops: LoopSpan[] = [];
  const copies: { from: Tensor; to: Tensor }[] = [];
  let time = 0;

  const members = new Map(program.arenas.map((arena) => [arena.tensor.id, arena.members.map(({ tensor }) => tensor)]));
  /** With what lies in an arena instead of the arena. */
  const apart = (tensors: readonly Tensor[]): Tensor[] => tensors.flatMap((t) => members.get(t.id) ?? [t]);
  const define = (tensor: Tensor, at: number, around: readonly LoopSpan[], kernel: Kernel | null): void => {
    if (drafts.has(tensor.id)) return;
    drafts.set(tensor.id, { tensor, start: 2 * at, end: 2 * at + 1, kernel, loops: around, crossesLoops: false });
  };
  /** Loops end later than what is read in them: extended when the end is known. */
  const pending: { draft: Draft; loop: LoopSpan }[] = [];
  const read = (tensor: Tensor, at: number, around: readonly LoopSpan[]): void => {
    const draft = drafts.get(tensor.id);
    invariant(draft, `tensor ${tensor.id} is read before it is defined`);
    const entered = around[draft.loops.length];
    if (entered === undefined) {
      draft.end = Math.max(draft.end, 2 * at + 1);
    } else {
      draft.crossesLoops = true;
      pending.push({ draft, loop: entered });
    }
  };

  const walk = (steps: readonly FusedStep[], around: readonly LoopSpan[]): void => {
    for (const step of steps) {
      const at = time++;
      if (step.kind === "copy") {
        read(step.from, at, around);
        define(step.to, at, around, null);
        copies.push(step);
      } else if (step.kind === "kernel") {
        const { loaded, stored } = boundTensors(step.kernel);
        for (const tensor of apart(loaded)) read(tensor, at, around);
        for (const tensor of apart(stored)) define(tensor, at, around, step.kernel);
        kernels.push({ kernel: step.kernel, time: at });
      } else {
        const span: LoopSpan = { step, start: at, end: at };
        const inside = [...around, span];
        for (const tensor of step.stacked) define(tensor, at, around, null);
        for (const { init, input } of step.carries) {
          read(init, at, around);
          define(input, at, inside, null);
        }
        walk(step.body, inside);
        span.end = time++;
        for (const { result, final } of step.carries) {
          read(result, span.end, inside);
          define(final, span.end, around, null);
          const draft = drafts.get(final.id);
          if (draft) draft.crossesLoops = true;
        }
        loops.push(span);
      }
    }
  };

  for (const tensor of program.inputs) define(tensor, time, [], null);
  time++;
  walk(program.steps, []);
  for (const tensor of program.outputs) {
    define(tensor, time, [], null);
    read(tensor, time, []);
  }
  for (const { draft, loop } of pending) draft.end = Math.max(draft.end, 2 * loop.end + 1);
  for (const { tensor, members: inside } of program.arenas) drafts.set(tensor.id, spanOf(tensor, inside, drafts));
  return { lifetimes: drafts, kernels, loops, copies };
}

function spanOf(tensor: Tensor, members: Arena["members"], drafts: ReadonlyMap<number, Draft>): Draft {
  const inside = members.map((member) => drafts.get(member.tensor.id));
  const [first] = inside;
  invariant(first, "an arena whose members are never alive");
  const start = Math.min(...inside.map((draft) => draft?.start ?? Infinity));
  const end = Math.max(...inside.map((draft) => draft?.end ?? -Infinity));
  return { tensor, start, end, kernel: first.kernel, loops: [], crossesLoops: true };
}
