/** Whole Jacobians, and Hessians: linear maps applied to a basis at once. */
import {
  type Atom,
  batchInline,
  type Batched,
  currentBuilder,
  FaxError,
  formatAval,
  isFloat,
  isServer,
  type Jaxpr,
  lax,
  type Leaf,
  leafCount,
  linearizeJaxpr,
  residualsOf,
  sizeOf,
  strong,
  transposeInline,
  type Tree,
  unflatten,
  userLocation,
  type Value,
  type Var,
  withAmbient,
  zerosOf,
  InternalError,
} from "@fax/compiler";
import {
  type Argnums,
  asGradients,
  type GradOptions,
  listOfLeaves,
  normalizeOptions,
  prepare,
} from "./differentiation.ts";
import { transformed } from "./jit.ts";
import { applyJaxpr, traceFunction } from "./run.ts";

/** Row k of the identity over all elements of a leaf: `[size, ...shape]`. */
function basis(value: Value): Value {
  const size = sizeOf(value.shape);
  const builder = currentBuilder();
  if (builder === null) throw new InternalError("a basis is made outside a trace");
  const flat = withAmbient(builder, value.aval.placement, () => {
    const rows = lax.iota("i32", [size, size], 0);
    const columns = lax.iota("i32", [size, size], 1);
    return lax.convert_element_type(lax.eq(rows, columns), value.dtype);
  });
  return lax.reshape(flat, [size, ...value.shape]);
}

function requireServer(name: string, value: Value, what: string, help: string): void {
  if (isServer(value.aval.placement)) return;
  throw new FaxError({
    code: "FAX1401",
    message: `${name}: ${what} is ${formatAval(value.aval, true)}, and a basis of a group's values is not defined`,
    source: userLocation(),
    help,
  });
}

function jacobianApply(mode: "jacfwd" | "jacrev", options: GradOptions) {
  return (args: readonly Tree[], inner: (args: readonly Tree[]) => Tree): Tree => {
    const diff = prepare(mode, args, inner, options);
    const { jaxpr } = diff.traced;
    const linearized = linearizeJaxpr(jaxpr, diff.nonzero);
    const results = applyJaxpr(linearized.primal, diff.inputs);
    const residuals = residualsOf(linearized, diff.inputs, results.slice(linearized.outputCount));
    const outputs = results.slice(0, linearized.outputCount);
    const outCount = leafCount(diff.outputTree);
    const floatOuts = outputs.slice(0, outCount);
    floatOuts.forEach((output) => {
      if (isFloat(output.dtype)) return;
      throw new FaxError({
        code: "FAX1402",
        message: `${mode}: an output is ${formatAval(output.aval, false)}, and only floats have derivatives`,
        source: userLocation(),
      });
    });
    const varying = diff.inputs.filter((_, i) => diff.nonzero[i]);
    const { linear } = linearized;
    // blocks[o][i] has shape out.shape + in.shape
    const blocks =
      mode === "jacrev"
        ? byRows(linear, residuals, floatOuts, varying)
        : byColumns(linear, residuals, floatOuts, varying);
    const perOutput = blocks.map((row) => asGradients(diff, row));
    const jacobian = unflatten<Tree>(diff.outputTree, perOutput) as Tree;
    return options.hasAux === true ? [jacobian, unflatten<Leaf>(diff.auxTree, outputs.slice(outCount))] : jacobian;
  };
}

function mappedResiduals(residuals: readonly Value[]): Batched[] {
  return residuals.map((value) => ({ value, dim: null }));
}

function byRows(
  linear: Jaxpr,
  residuals: readonly Value[],
  outputs: readonly Value[],
  inputs: readonly Value[],
): Value[][] {
  return outputs.map((output, o) => {
    requireServer("jacrev", output, "the output", "reduce it to the server, or use jacfwd");
    const pulled = traceClosedPullback(linear, residuals.length, o);
    const rows = batchInline(pulled, [...mappedResiduals(residuals), { value: basis(output), dim: 0 }], output.size);
    return rows.map((row, i) => {
      const input = inputs[i] as Value;
      const full = materializeRow(row, output.size);
      return lax.reshape(full, [...output.shape, ...input.shape]);
    });
  });
}

function byColumns(
  linear: Jaxpr,
  residuals: readonly Value[],
  outputs: readonly Value[],
  inputs: readonly Value[],
): Value[][] {
  const columns = inputs.map((input, i) => {
    requireServer("jacfwd", input, "the argument", "use jacrev");
    const tangents = inputs.map((other, k): Batched =>
      k === i ? { value: basis(input), dim: 0 } : { value: zerosOf(other.aval), dim: null },
    );
    return batchInline(linear, [...mappedResiduals(residuals), ...tangents], input.size);
  });
  return outputs.map((output, o) =>
    inputs.map((input, i) => {
      const full = materializeRow((columns[i] as Batched[])[o] as Batched, input.size);
      const moved = lax.transpose(full, [...output.shape.map((_, axis) => axis + 1), 0]);
      return lax.reshape(moved, [...output.shape, ...input.shape]);
    }),
  );
}

function materializeRow({ value, dim }: Batched, size: number): Value {
  if (dim === null) {
    return lax.broadcast_in_dim(
      value,
      [size, ...value.shape],
      value.shape.map((_, axis) => axis + 1),
    );
  }
  if (dim === 0) return value;
  const others = value.shape.map((_, axis) => axis).filter((axis) => axis !== dim);
  return lax.transpose(value, [dim, ...others]);
}

/** `(residuals, cotangent of output o) → cotangents of the varying inputs` as a Jaxpr. */
function traceClosedPullback(linear: Jaxpr, residualCount: number, o: number): Jaxpr {
  const avals = [
    ...linear.invars.slice(0, residualCount).map(({ aval }) => aval),
    strong((linear.outvars[o] as Atom).aval),
  ];
  const traced = traceFunction(
    (args) => {
      const values = args as readonly Value[];
      const inputs = linear.invars.map((_, i) => (i < residualCount ? (values[i] as Value) : null));
      const cotangents = linear.outvars.map((_, i) => (i === o ? (values[residualCount] as Value) : null));
      return transposeInline(linear, inputs, cotangents)
        .slice(residualCount)
        .map((result, i) => result ?? zerosOf(strong((linear.invars[residualCount + i] as Var).aval)));
    },
    avals,
    listOfLeaves(avals.length),
  );
  return traced.jaxpr;
}

/**
 * The Jacobian by forward mode, best where outputs outnumber inputs: shape `output.shape + input.shape`, in trees of the
 * output over trees of the argument.
 *
 * @example
 * const J = jacfwd((x) => np.square(x))(np.array([1, 2])); // [[2, 0], [0, 4]]
 */
export function jacfwd<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options?: Argnums | GradOptions,
): (...args: A) => R {
  return transformed(fn, "jacfwd", jacobianApply("jacfwd", normalizeOptions(options))) as (...args: A) => R;
}

/** The Jacobian by reverse mode, best where inputs outnumber outputs. See `jacfwd`. */
export function jacrev<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options?: Argnums | GradOptions,
): (...args: A) => R {
  return transformed(fn, "jacrev", jacobianApply("jacrev", normalizeOptions(options))) as (...args: A) => R;
}

/**
 * The Hessian of a function, forward over reverse: shape `output.shape + input.shape + input.shape`.
 *
 * @example
 * const H = hessian((x) => np.sum(np.power(x, 3)))(np.array([1, 2])); // [[6, 0], [0, 12]]
 */
export function hessian<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options?: Argnums | GradOptions,
): (...args: A) => R {
  return jacfwd(jacrev(fn, options), options);
}
