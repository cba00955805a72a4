/**
 * Fused kernels: what runs in one dispatch, before any device language. For each point of `rows` (all points in
 * parallel, in any order) the stages run in order; `reduced` expressions name results of earlier stages of the same row.
 */
import type { Axis, Expr, LoopCounter, Reducer, Tensor } from "../lower/expr.ts";

export interface Reduction {
  /** What `reduced` expressions of later stages name; unique within the kernel. */
  readonly id: number;
  readonly reducer: Reducer;
  /** Over the kernel's rows and the stage's axes. */
  readonly body: Expr;
}

/**
 * A sum of products that is computed at each point of a stage and nowhere stored: a score of attention. One factor is the same
 * along the stage's axes, the other for all rows that are no batch.
 */
export interface InnerSum {
  /** What `reduced` expressions of the stage's bodies name. */
  readonly id: number;
  readonly axes: readonly Axis[];
  readonly body: Expr;
}

export interface ReduceStage {
  readonly kind: "reduce";
  readonly axes: readonly Axis[];
  /** Only in kernels with columns. */
  readonly inner?: readonly InnerSum[];
  /** Siblings: they share the loop over `axes`. */
  readonly reductions: readonly Reduction[];
}

export interface Store {
  readonly tensor: Tensor;
  readonly index: readonly Expr[];
  readonly value: Expr;
}

/**
 * Stores for each point of `axes` within the row; no axes: once a row. At each point all values are evaluated before
 * any is stored: the memory plan may have given a stored tensor the buffer of one that is read at the same element.
 */
export interface StoreStage {
  readonly kind: "store";
  readonly axes: readonly Axis[];
  /** Only the kernel's first row stores these: single values that every row may compute. */
  readonly once: boolean;
  readonly stores: readonly Store[];
}

export interface Kernel {
  /** A readable name from the operations it holds, as in `dot_general_add_tanh`. */
  readonly name: string;
  readonly rows: readonly Axis[];
  /**
   * Those of the rows along which nothing changes but one factor of each product and what is stored: reductions that are no
   * products are the same for all of them. Only kernels in which products follow reductions of the rows have any.
   */
  readonly columns?: readonly Axis[];
  readonly stages: readonly (ReduceStage | StoreStage)[];
  /** Why these operations are together: one line each, for `inspect --stage fused`. */
  readonly reasons: readonly string[];
  /**
   * Kernels that run in the same dispatch, in workgroups of their own: none of them all reads or stores what another stores.
   * They have none beside themselves.
   */
  readonly beside?: readonly Kernel[];
}

/** The kernel and those beside it. */
export function partsOf(kernel: Kernel): readonly Kernel[] {
  return [kernel, ...(kernel.beside ?? [])];
}

export type FusedStep =
  | { readonly kind: "kernel"; readonly kernel: Kernel }
  /** The same bytes under another tensor (a reshape that had to be kept, an input that is an output). */
  | { readonly kind: "copy"; readonly from: Tensor; readonly to: Tensor }
  | {
      readonly kind: "loop";
      readonly counter: LoopCounter;
      readonly body: readonly FusedStep[];
      readonly carries: readonly {
        readonly init: Tensor;
        readonly input: Tensor;
        readonly result: Tensor;
        readonly final: Tensor;
      }[];
      /** Tensors that the body's kernels write row by row, and that are whole after the loop. */
      readonly stacked: readonly Tensor[];
    };

/**
 * Tensors that lie in one buffer, each from a position on, with gaps between them that hold anything. What treats all of them
 * alike reads and stores the arena's own tensor.
 */
export interface Arena {
  readonly tensor: Tensor;
  /** In the order of their offsets, which are in elements. */
  readonly members: readonly { readonly tensor: Tensor; readonly offset: number }[];
}

export interface FusedProgram {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly steps: readonly FusedStep[];
  readonly arenas: readonly Arena[];
}
