/**
 * The static memory plan: which buffer holds each tensor of a fused program, known before anything runs.
 *
 * A kernel may read and store tensors of one buffer: when it computes in place (a tensor is stored over one that is read
 * for the last time, at the same element, in the same store stage, and of the same dtype), and when it reads a tensor
 * under two shapes. They share one binding then.
 *
 * What code generation does with it: a tensor that a step names lives in `assignment.get(tensor.id)`. A `copy` step
 * whose two tensors have the same buffer does nothing. Around a loop step the copies of `loops.get(counter.id)` are
 * added: `before` in front of the loop, `after` as the last steps of its body.
 */
import type { BufferRef, BufferSpec } from "../executable.ts";

export interface PlannedCopy {
  readonly from: BufferRef;
  readonly to: BufferRef;
  readonly bytes: number;
}

export interface LoopPlan {
  /** First values of carries that something else still needs, or that lie where the loop cannot write. */
  readonly before: readonly PlannedCopy[];
  /** Results that could be neither computed in place nor alternate between two buffers. */
  readonly after: readonly PlannedCopy[];
}

export interface MemoryPlan {
  /**
   * Bytes are a multiple of 4 and at least 4, also for empty tensors. A buffer that holds any output of the program has
   * the role `output`, unless it is an input's.
   */
  readonly buffers: readonly BufferSpec[];
  /**
   * By `Tensor.id`, for every tensor that a step stores, loads or copies, and for inputs and outputs. An `{ even, odd }`
   * pair only for tensors of a loop's body that no inner loop touches: it goes by the parity of the loop that the
   * tensor's steps stand in directly. A tensor in an arena lies in a buffer that is a part (`within`) of the arena's.
   */
  readonly assignment: ReadonlyMap<number, BufferRef>;
  /** By `LoopCounter.id`, for every loop. */
  readonly loops: ReadonlyMap<number, LoopPlan>;
  /** What all temps and outputs that have buffers of their own take of a device. They exist at once while a call runs. */
  readonly peakBytes: number;
  /** The most bytes of values that are alive at once. */
  readonly peakLowerBound: number;
  /** Decisions with their reasons, for `inspect --stage memory`. */
  readonly reasons: readonly string[];
}
