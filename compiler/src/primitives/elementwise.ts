/**
 * How elementwise primitives are declared: constructors that complete a description of one element (its value, its
 * partial derivatives, its expression in the loop IR) to all rules of a primitive.
 */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { type Aval, avalOf } from "../ir/aval.ts";
import { type DType, dtypes } from "../ir/dtype.ts";
import { allocateHostArray, type HostArray } from "../ir/host-array.ts";
import type { Params } from "../ir/jaxpr.ts";
import { range, sameShape, type Shape } from "../ir/shape.ts";
import type * as expr from "../lower/expr.ts";
import type { BinaryFn, Expr, UnaryFn } from "../lower/expr.ts";
import { bind } from "../trace/bind.ts";
import { currentBuilder } from "../trace/builder.ts";
import { Constant, type Value } from "../trace/ndarray.ts";
import { userLocation } from "../trace/source.ts";
import { inserted } from "./axes.ts";
import { moveAxis } from "./batching.ts";
import { define, operands } from "./define.ts";
import { rounded } from "./host-strides.ts";
import type { Lax, Operand } from "./lax-types.ts";
import type { LowerContext, Lowered, Sample, Tangent, TransposeRule, UniformPrimitive } from "./primitive.ts";

/**
 * The value of one element, by operand dtype, in double precision: rounding and wrapping happen when it is stored. The
 * dtypes given are the legal ones.
 */
export type Evaluate<F> = Readonly<Partial<Record<DType, F>>>;

export function onFloats<F>(f: F): { readonly f32: F; readonly f16: F } {
  return { f32: f, f16: f };
}

export function onIntegers<F>(f: F): { readonly i32: F; readonly u32: F } {
  return { i32: f, u32: f };
}

export function onNumbers<F>(f: F): Evaluate<F> {
  return { ...onFloats(f), ...onIntegers(f) };
}

export function onAll<F>(f: F): Evaluate<F> {
  return { ...onNumbers(f), bool: f };
}

/** One term of a derivative: the tangent `t` of the operand that it is for, pushed through. */
export interface PartialArgs<P> {
  readonly t: Value;
  readonly params: P;
  readonly lax: Lax;
}

interface Spec<P extends Params> {
  readonly name: string;
  /** The mathematics in one line, and its source. */
  readonly doc: string;
  /** The dtype of the result where it is not the operands'. */
  readonly result?: DType;
  readonly transpose: TransposeRule<P> | "not linear";
  readonly samples: readonly Sample<P>[];
}

export interface UnarySpec<P extends Params> extends Spec<P> {
  readonly evaluate: Evaluate<(x: number, params: P) => number>;
  /** The function of the loop IR, or an expression of such. */
  readonly lower: UnaryFn | ((e: typeof expr, x: Expr, params: P) => Expr);
  /** `y` is the result. */
  readonly derivative: ((args: PartialArgs<P> & { readonly x: Value; readonly y: Value }) => Tangent) | "zero";
}

/** A primitive of one operand. */
export function unary<P extends Params = Params>(spec: UnarySpec<P>): UniformPrimitive<P> {
  const { name, evaluate, lower, derivative } = spec;
  const express = typeof lower === "string" ? (e: typeof expr, x: Expr) => e.unaryExpr(lower, x) : lower;
  const primitive: UniformPrimitive<P> = elementwise<P>({
    ...documented(spec),
    abstractEval: (inputs) => [outputAval(name, inputs, legalDTypes(evaluate), spec.result)],
    impl: ([x], params) => {
      invariant(x !== undefined, `${name} needs an operand`);
      const f = evaluatorFor(name, evaluate, x.dtype);
      const output = allocateHostArray(spec.result ?? x.dtype, x.shape);
      for (let i = 0; i < output.data.length; i++)
        output.data[i] = rounded(output.dtype, f(x.data[i] as number, params));
      return [output];
    },
    jvp: ({ primals, tangents: [t], params, lax }) => {
      const [x] = primals;
      const [y] = bind(primitive, primals, params);
      invariant(x !== undefined && y !== undefined, `${name} needs an operand`);
      return { outputs: [y], tangents: [derivative === "zero" || !t ? null : derivative({ x, y, t, params, lax })] };
    },
    lower: ({ inputs, outputs, params, ctx }) =>
      lowerElements(inputs, outputs, ctx, ([x]) => {
        invariant(x !== undefined, `${name} needs an operand`);
        return express(ctx.expr, x, params);
      }),
  });
  return primitive;
}

type BinaryPartial<P> = (
  args: PartialArgs<P> & { readonly x: Value; readonly y: Value; /** The result. */ readonly z: Value },
) => Tangent;

export interface BinarySpec<P extends Params> extends Spec<P> {
  readonly evaluate: Evaluate<(x: number, y: number) => number>;
  readonly lower: BinaryFn | ((e: typeof expr, x: Expr, y: Expr) => Expr);
  /** The terms of the derivative from x and from y; their sum is the tangent. */
  readonly derivative: readonly [BinaryPartial<P>, BinaryPartial<P>] | "zero";
}

/** A primitive of two operands of one dtype and one shape; either may be a scalar literal. */
export function binary<P extends Params = Params>(spec: BinarySpec<P>): UniformPrimitive<P> {
  const { name, evaluate, lower, derivative } = spec;
  const express = typeof lower === "string" ? (e: typeof expr, x: Expr, y: Expr) => e.binaryExpr(lower, x, y) : lower;
  const primitive: UniformPrimitive<P> = elementwise<P>({
    ...documented(spec),
    abstractEval: (inputs) => [outputAval(name, inputs, legalDTypes(evaluate), spec.result)],
    impl: ([x, y]) => {
      invariant(x !== undefined && y !== undefined, `${name} needs two operands`);
      const f = evaluatorFor(name, evaluate, x.dtype);
      const output = allocateHostArray(spec.result ?? x.dtype, fullShape([x.shape, y.shape]));
      const xStep = elementStep(x, output);
      const yStep = elementStep(y, output);
      for (let i = 0; i < output.data.length; i++) {
        const value = f(x.data[i * xStep] as number, y.data[i * yStep] as number);
        output.data[i] = rounded(output.dtype, value);
      }
      return [output];
    },
    jvp: ({ primals, tangents, params, lax }) => {
      const [x, y] = primals;
      const [z] = bind(primitive, primals, params);
      invariant(x !== undefined && y !== undefined && z !== undefined, `${name} needs two operands`);
      if (derivative === "zero") return { outputs: [z], tangents: [null] };
      const terms = derivative.map((partial, i) => {
        const t = tangents[i];
        return t ? partial({ x, y, z, t, params, lax }) : null;
      });
      return { outputs: [z], tangents: [sumTangents(lax, terms)] };
    },
    lower: ({ inputs, outputs, ctx }) =>
      lowerElements(inputs, outputs, ctx, ([x, y]) => {
        invariant(x !== undefined && y !== undefined, `${name} needs two operands`);
        return express(ctx.expr, x, y);
      }),
  });
  return primitive;
}

/** Declares a primitive of one operand without params. */
export function defineUnary(spec: UnarySpec<Params>): (x: Value) => Value {
  return define(unary(spec), (emit) => (x: Value) => emit([x], {}));
}

/** Declares a primitive of two operands without params. */
export function defineBinary(spec: BinarySpec<Params>): (x: Operand, y: Operand) => Value {
  return define(binary(spec), (emit) => (x: Operand, y: Operand) => emit(elementwiseOperands(spec.name, x, y), {}));
}

/** A primitive that acts element by element: its batch rule is the primitive itself on aligned operands. */
export function elementwise<P extends Params = Params>(
  rules: Omit<UniformPrimitive<P>, "kind" | "batch">,
): UniformPrimitive<P> {
  const primitive: UniformPrimitive<P> = {
    ...rules,
    kind: "elementwise",
    batch: ({ inputs, dims, size, params, lax }) => {
      const dim = dims.find((candidate) => candidate !== null);
      invariant(dim !== undefined && dim !== null, `${rules.name}: batching needs a mapped operand`);
      const aligned = inputs.map((input, i) => alignBatch(lax, input, dims[i] ?? null, dim, size));
      const outputs = bind(primitive, aligned, params);
      return { outputs, dims: outputs.map(() => dim) };
    },
  };
  return primitive;
}

/** `x` with its mapped axis at `target`; a value that isn't mapped is repeated along it, a scalar literal stays. */
function alignBatch(lax: Lax, x: Value, dim: number | null, target: number, size: number): Value {
  if (x instanceof Constant || dim === target) return x;
  if (dim === null) {
    const shape = inserted(x.shape, target, size);
    return lax.broadcast_in_dim(
      x,
      shape,
      range(shape.length).filter((axis) => axis !== target),
    );
  }
  return moveAxis(lax, x, dim, target);
}

/** The sum of the terms that are not zero. */
export function sumTangents(lax: Lax, terms: readonly Tangent[]): Tangent {
  return terms.reduce((sum, term) => (sum && term ? lax.add(sum, term) : (sum ?? term)), null);
}

/** Operands of one dtype and, but for literals, of one rank. */
export function elementwiseOperands(name: string, ...values: readonly Operand[]): Value[] {
  const inputs = operands(...values);
  requireScalarsLiteral(name, inputs);
  return inputs;
}

/**
 * No array of rank 0 but a literal stands beside arrays of other shapes, so that no transpose rule sums over an implicit
 * broadcast.
 *
 * @throws FAX1201
 */
export function requireScalarsLiteral(name: string, inputs: readonly Value[]): void {
  const arrays = inputs.filter((input) => !(input instanceof Constant));
  const full = arrays.find((input) => input.ndim > 0);
  if (full === undefined || arrays.every((input) => input.ndim > 0)) return;
  throw new FaxError({
    code: "FAX1201",
    message: `${name}: operands have the shapes [] and [${full.shape.join(",")}], which differ`,
    source: currentBuilder()?.source ?? userLocation(),
    help: `spread the scalar with broadcast_in_dim(x, [${full.shape.join(", ")}], []), or use the operation of np`,
  });
}

/** The shape that all operands have, or that all but scalars have. */
export function commonShape(name: string, inputs: readonly Aval[]): Shape {
  const full = fullShape(inputs.map((input) => input.shape));
  const other = inputs.find((input) => input.shape.length > 0 && !sameShape(input.shape, full));
  if (other === undefined) return full;
  throw new FaxError({
    code: "FAX1201",
    message: `${name}: operands have the shapes [${full.join(",")}] and [${other.shape.join(",")}], which differ`,
    help: "spread the smaller with broadcast_in_dim, or use the operation of np, which broadcasts as NumPy does",
  });
}

/** The one dtype of all operands, if it is among the legal ones. */
export function commonDType(name: string, inputs: readonly Aval[], legal: readonly DType[]): DType {
  const [first] = inputs;
  invariant(first !== undefined, `${name} needs an operand`);
  const { dtype } = first;
  const other = inputs.find((input) => input.dtype !== dtype);
  if (other !== undefined) {
    const both = [dtype, other.dtype].filter((candidate) => legal.includes(candidate));
    const choices = (both.length > 0 ? both : legal).map((candidate) => `all ${candidate}`).join(" or ");
    throw new FaxError({
      code: "FAX1102",
      message: `${name}: operands have the dtypes ${dtype} and ${other.dtype}, which differ`,
      help: `${choices} is legal: change one with convert_element_type, or use the operation of np, which promotes`,
    });
  }
  requireDType(name, dtype, legal);
  return dtype;
}

export function requireDType(name: string, dtype: DType, legal: readonly DType[]): void {
  if (legal.includes(dtype)) return;
  throw new FaxError({
    code: "FAX1102",
    message: `${name}: operands are ${dtype}, but it takes ${legal.join(" or ")}`,
    help: `change the operand with convert_element_type(x, "${legal[0] ?? "f32"}")`,
  });
}

/** How far the position in `x` moves when that in `output` moves by one: not at all in a scalar. */
export function elementStep(x: HostArray, output: HostArray): 0 | 1 {
  return x.shape.length === output.shape.length ? 1 : 0;
}

export function fullShape(shapes: readonly Shape[]): Shape {
  return shapes.find((shape) => shape.length > 0) ?? [];
}

/** The element of `x` at `index`; that of a scalar wherever it stands. */
export function elementAt(x: Lowered, index: readonly Expr[]): Expr {
  return x.at(x.shape.length === 0 ? [] : index);
}

/** One output, an expression of the operands' elements. */
export function lowerElements(
  inputs: readonly Lowered[],
  outputs: readonly Aval[],
  ctx: LowerContext,
  express: (elements: readonly Expr[]) => Expr,
): readonly Lowered[] {
  return outputs.map(({ dtype, shape }) =>
    ctx.map(dtype, shape, (index) => express(inputs.map((input) => elementAt(input, index)))),
  );
}

function outputAval(name: string, inputs: readonly Aval[], legal: readonly DType[], result: DType | undefined): Aval {
  const dtype = commonDType(name, inputs, legal);
  const weak = result === undefined && inputs.every((input) => input.weak);
  return avalOf(result ?? dtype, commonShape(name, inputs), { weak });
}

function legalDTypes<F>(evaluate: Evaluate<F>): readonly DType[] {
  return dtypes.filter((dtype) => evaluate[dtype] !== undefined);
}

function evaluatorFor<F>(name: string, evaluate: Evaluate<F>, dtype: DType): F {
  const f = evaluate[dtype];
  invariant(f !== undefined, `${name} of ${dtype}`);
  return f;
}

function documented<P extends Params>({ name, doc, transpose, samples }: Spec<P>): Spec<P> {
  return { name, doc, transpose, samples };
}
