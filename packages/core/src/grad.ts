/**
 * Gradients of functions over trees of arrays. They work inside a trace, where they are staged, and outside, where the
 * derivative program is traced, compiled and run; they compose in any order and to any depth.
 */
import {
  constant,
  currentBuilder,
  FaxError,
  formatAval,
  isFloat,
  isServer,
  type Leaf,
  server,
  startsWith,
  type Tangent,
  type Tree,
  unflatten,
  userLocation,
  type Value,
  vjpInline,
} from "@fax/compiler";
import {
  type Argnums,
  asGradients,
  type Diff,
  type GradOptions,
  type Gradient,
  normalizeOptions,
  prepare,
} from "./differentiation.ts";
import { type AnyFunction, transformed } from "./jit.ts";

function requireScalar(diff: Diff, output: Value | undefined): Value {
  const isScalar = diff.outputTree.kind === "leaf" && output !== undefined && output.shape.length === 0;
  // A map's code differentiates one member's scalar.
  const ambient = currentBuilder()?.ambient ?? server;
  if (isScalar && isFloat(output.dtype) && startsWith(ambient, output.aval.placement)) return output;
  const what =
    diff.outputTree.kind !== "leaf" || output === undefined
      ? "a tree"
      : formatAval(output.aval, !isServer(output.aval.placement));
  throw new FaxError({
    code: "FAX1401",
    message: `${diff.name}: the function gives ${what}, and a gradient needs a float scalar at the server`,
    source: userLocation(),
    help:
      output !== undefined && !isServer(output.aval.placement)
        ? "reduce it with federatedMean or federatedSum, or use jacrev"
        : "reduce it with np.sum or np.mean, or use jacrev",
  });
}

function gradApply(name: string, options: GradOptions, withValue: boolean) {
  return (args: readonly Tree[], inner: (args: readonly Tree[]) => Tree): Tree => {
    const diff = prepare(name, args, inner, options);
    const { outputs, pullback } = vjpInline(diff.traced.jaxpr, diff.inputs, diff.nonzero);
    const output = requireScalar(diff, outputs[0]);
    const floats = diff.traced.jaxpr.outvars.filter(({ aval }) => isFloat(aval.dtype)).length;
    const seeds: Tangent[] = [constant(1, output.dtype), ...new Array<null>(floats - 1).fill(null)];
    const gradients = asGradients(diff, pullback(seeds));
    const aux = unflatten<Leaf>(diff.auxTree, outputs.slice(1));
    const value = options.hasAux === true ? [output, aux] : output;
    if (withValue) return [value, gradients];
    return options.hasAux === true ? [gradients, aux] : gradients;
  };
}

/**
 * The gradient of a function whose result is a float scalar, by reverse mode; same structure as the argument that it is
 * taken by. With `hasAux`, `[gradient, aux]`.
 *
 * FAX1401 for results that are no scalar, FAX1402 for integer arguments, FAX1404 for an argument that isn't there.
 *
 * @example
 * const slope = grad((x) => np.sum(np.square(x)))(np.array([1, 2, 3])); // [2, 4, 6]
 */
export function grad<A extends readonly unknown[], R, const N extends Argnums = 0>(
  fn: (...args: A) => R,
  options?: N | (GradOptions & { readonly argnums?: N; readonly hasAux?: false }),
): (...args: A) => Gradient<A, N>;
export function grad<A extends readonly unknown[], R, X, const N extends Argnums = 0>(
  fn: (...args: A) => readonly [R, X],
  options: GradOptions & { readonly argnums?: N; readonly hasAux: true },
): (...args: A) => [Gradient<A, N>, X];
export function grad(fn: AnyFunction, options?: Argnums | GradOptions): AnyFunction {
  return transformed(fn, "grad", gradApply("grad", normalizeOptions(options), false));
}

/**
 * The value and the gradient, computed together: `[value, gradient]`; with `hasAux`, `[[value, aux], gradient]`. See `grad`.
 *
 * @example
 * const [loss, g] = valueAndGrad((x) => np.sum(np.square(x)))(np.array([1, 2, 3])); // 14, [2, 4, 6]
 */
export function valueAndGrad<A extends readonly unknown[], R, const N extends Argnums = 0>(
  fn: (...args: A) => R,
  options?: N | (GradOptions & { readonly argnums?: N }),
): (...args: A) => [R, Gradient<A, N>];
export function valueAndGrad(fn: AnyFunction, options?: Argnums | GradOptions): AnyFunction {
  return transformed(fn, "valueAndGrad", gradApply("valueAndGrad", normalizeOptions(options), true));
}
