/**
 * What a primitive is: all its rules in one declaration. A missing rule is a compile error; "none" is said. Rules reach
 * other operations through `lax` and the lowering vocabulary through `LowerContext`, by type alone.
 */
import type { Aval } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import type { HostArray } from "../ir/host-array.ts";
import type { Jaxpr, Params } from "../ir/jaxpr.ts";
import type { Placement } from "../ir/placement.ts";
import type { Shape } from "../ir/shape.ts";
import type * as expr from "../lower/expr.ts";
import type { Expr, Reducer } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import type { Lax } from "./lax-types.ts";

/**
 * `(primals, tangents of the nonzero inputs) → (outputs, tangents of the nonzero outputs)` of a Jaxpr without constvars.
 * Outputs that `force` asks for have a tangent even if it is zero.
 */
export type JvpJaxpr = (
  jaxpr: Jaxpr,
  nonzero: readonly boolean[],
  force?: readonly boolean[],
) => { readonly jaxpr: Jaxpr; readonly nonzero: readonly boolean[] };

/**
 * Splits a Jaxpr without constvars by what depends on unknown inputs: `known: (known inputs) → (known outputs, residuals)`
 * and `unknown: (residuals, unknown inputs) → (unknown outputs)`. An output that `forceUnknown` names is unknown in any
 * case. A residual that is a known input itself is no result of `known`; `residualInputs` gives its position among the
 * known inputs, null for the others.
 */
export type PartialEvalJaxpr = (
  jaxpr: Jaxpr,
  known: readonly boolean[],
  forceUnknown?: readonly boolean[],
) => {
  readonly known: Jaxpr;
  readonly unknown: Jaxpr;
  readonly knownOutputs: readonly boolean[];
  readonly residualInputs: readonly (number | null)[];
};

/** `(inputs that are not linear, cotangents of all outputs) → (cotangents of the linear inputs)`, zeros made real. */
export type TransposeJaxpr = (jaxpr: Jaxpr, linear: readonly boolean[]) => Jaxpr;

/** A tangent or cotangent; null is a symbolic zero. Values that are not floats have no other. */
export type Tangent = Value | null;

export interface JvpArgs<P> {
  readonly primals: readonly Value[];
  /** At least one is not null. */
  readonly tangents: readonly Tangent[];
  readonly params: P;
  readonly lax: Lax;
  readonly jvpJaxpr: JvpJaxpr;
}

export interface JvpResult {
  readonly outputs: readonly Value[];
  readonly tangents: readonly Tangent[];
}

/** An input that the equation is linear in: only its type is known when transposing. */
export interface Linear {
  readonly kind: "linear";
  readonly aval: Aval;
}

export interface TransposeArgs<P> {
  /** Cotangents of the outputs; at least one is not null. */
  readonly cotangents: readonly Tangent[];
  readonly inputs: readonly (Value | Linear)[];
  readonly params: P;
  readonly lax: Lax;
  readonly transposeJaxpr: TransposeJaxpr;
}

/** A cotangent for each input; null for the inputs that are not linear and for zeros. */
export type TransposeRule<P> = (args: TransposeArgs<P>) => readonly Tangent[];

export interface BatchArgs<P> {
  /** At least one is mapped. Constants never are. */
  readonly inputs: readonly Value[];
  /** The axis of each input that is mapped over, null where it is not. */
  readonly dims: readonly (number | null)[];
  /** Size of the mapped axis. */
  readonly size: number;
  /** The same for a value inside a carried Jaxpr, which may lie at another group. */
  readonly sizeOf: (aval: Aval) => number;
  readonly params: P;
  readonly lax: Lax;
  /**
   * A Jaxpr (without constvars) mapped over the given axes of its inputs (0 or null). Outputs that depend on mapped
   * inputs, and those that `force` asks for, are mapped along axis 0; `mapped` says which.
   */
  readonly batchJaxpr: (
    jaxpr: Jaxpr,
    mapped: readonly boolean[],
    force: readonly boolean[],
  ) => { jaxpr: Jaxpr; mapped: readonly boolean[] };
}

export interface BatchResult {
  readonly outputs: readonly Value[];
  readonly dims: readonly (number | null)[];
}

/** An input or result while lowering: a tensor in memory, a literal, or a node that is yet to be placed. */
export interface Lowered {
  readonly dtype: DType;
  readonly shape: Shape;
  /** The element at `index`, an i32 per dimension. */
  at(index: readonly Expr[]): Expr;
}

export interface LowerContext {
  /** Constructors of expressions: `expr.binaryExpr("add", x, y)`, … */
  readonly expr: typeof expr;
  /** A value given element by element. */
  map(dtype: DType, shape: Shape, body: (index: readonly Expr[]) => Expr): Lowered;
  /** Several values of one shape, computed together. */
  mapMany(dtypes: readonly DType[], shape: Shape, body: (index: readonly Expr[]) => readonly Expr[]): Lowered[];
  /** `out[index] = reducer over inner of body(index, inner)`. */
  reduce(
    reducer: Reducer,
    shape: Shape,
    over: Shape,
    body: (index: readonly Expr[], inner: readonly Expr[]) => Expr,
  ): Lowered;
}

export interface LowerArgs<P> {
  readonly inputs: readonly Lowered[];
  readonly params: P;
  readonly outputs: readonly Aval[];
  readonly ctx: LowerContext;
}

/** An input of a sample: random values in [from, to) with a fixed seed, or the values given. Bools are drawn as 0 or 1. */
export interface SampleInput {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly from?: number;
  readonly to?: number;
  readonly values?: readonly number[];
}

/** Inputs that drive the generic tests. Give the ordinary case, edge shapes (scalars, empty arrays), other dtypes. */
export interface Sample<P> {
  readonly name: string;
  readonly inputs: readonly SampleInput[];
  readonly params: P;
  /** Whether derivatives can be compared with finite differences here; true unless said. */
  readonly smooth?: boolean;
}

interface Common<P extends Params> {
  readonly name: string;
  /** The mathematics in one line, and its source: it becomes a row of the documentation's table. */
  readonly doc: string;
  abstractEval(inputs: readonly Aval[], params: P): readonly Aval[];
  jvp(args: JvpArgs<P>): JvpResult;
  transpose: TransposeRule<P> | "not linear";
  readonly samples: readonly Sample<P>[];
}

/** Acts on each member by itself; its rules never see a placement. */
export interface UniformPrimitive<P extends Params = Params> extends Common<P> {
  readonly kind: "elementwise" | "array";
  impl(inputs: readonly HostArray[], params: P): readonly HostArray[];
  batch(args: BatchArgs<P>): BatchResult;
  lower(args: LowerArgs<P>): readonly Lowered[];
}

/** A value as the reference evaluator holds it: one array for each member, in order; one at the server. */
export interface PlacedValue {
  readonly placement: Placement;
  readonly members: readonly HostArray[];
}

/**
 * Moves values between placements. Under vmap the mapped axis of a member's value stays where it is.
 */
export interface CommunicationPrimitive<P extends Params = Params> extends Common<P> {
  readonly kind: "communication";
  impl(inputs: readonly PlacedValue[], params: P): readonly PlacedValue[];
  batch(args: BatchArgs<P>): BatchResult;
  /** The group's axis made real: inputs and results at the group are mapped along `dims`, null if all members are equal. */
  erase(args: {
    readonly inputs: readonly Value[];
    readonly dims: readonly (number | null)[];
    readonly size: number;
    readonly params: P;
    readonly lax: Lax;
  }): BatchResult;
}

export interface PartialEvalArgs<P> {
  /** What is known now; null for the inputs that come later. */
  readonly inputs: readonly (Value | null)[];
  readonly avals: readonly Aval[];
  readonly params: P;
  readonly lax: Lax;
  readonly partialEvalJaxpr: PartialEvalJaxpr;
}

/** Carries Jaxprs whose avals hold placements like all others. */
export interface ControlPrimitive<P extends Params = Params> extends Common<P> {
  readonly kind: "control";
  impl(
    inputs: readonly PlacedValue[],
    params: P,
    evaluate: (jaxpr: Jaxpr, inputs: readonly PlacedValue[]) => readonly PlacedValue[],
  ): readonly PlacedValue[];
  batch(args: BatchArgs<P>): BatchResult;
  /**
   * Splits one equation: the part on known inputs is staged now; `finish` stages the rest once the unknown inputs exist,
   * from them and from what the first part left.
   */
  partialEval(args: PartialEvalArgs<P>): {
    /** Known results, null for those that depend on unknown inputs. */
    readonly outputs: readonly (Value | null)[];
    readonly residuals: readonly Value[];
    finish(residuals: readonly Value[], unknown: readonly (Value | null)[]): readonly (Value | null)[];
  };
  /** The equation without the outputs that nobody uses: new parameters, and the inputs and outputs that remain. */
  prune(
    params: P,
    used: readonly boolean[],
  ): { readonly params: P; readonly inputs: readonly boolean[]; readonly outputs: readonly boolean[] };
  lower(args: LowerControlArgs<P>): readonly Lowered[];
}

export interface LowerControlArgs<P> extends LowerArgs<P> {
  /** Adds a loop node; see `LoopNode`. */
  loop(args: {
    readonly length: number;
    readonly carries: readonly Lowered[];
    readonly stacked: readonly Aval[];
    /** Lowers one iteration: gives the new carries, and the elements for the stacked outputs. */
    readonly body: (
      counter: Expr,
      carries: readonly Lowered[],
    ) => { readonly carries: readonly Lowered[]; readonly elements: readonly Lowered[] };
    /** Where iteration t's elements go. */
    readonly position: (counter: Expr) => Expr;
  }): { readonly carries: readonly Lowered[]; readonly stacked: readonly Lowered[] };
  /** Lowers a Jaxpr (without constvars, placements erased) on the given inputs. */
  lowerJaxpr(jaxpr: Jaxpr, inputs: readonly Lowered[]): readonly Lowered[];
}

export type Primitive<P extends Params = Params> =
  UniformPrimitive<P> | CommunicationPrimitive<P> | ControlPrimitive<P>;
