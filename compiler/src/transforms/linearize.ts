/**
 * Linearization and reverse mode as passes: jvp, then the split by what depends on tangents, then transposition. No
 * primitive has a reverse rule of its own.
 */
import { invariant } from "../diagnostics/index.ts";
import { isFloat } from "../ir/dtype.ts";
import type { Jaxpr } from "../ir/jaxpr.ts";
import { lax } from "../primitives/lax.ts";
import type { Tangent } from "../primitives/primitive.ts";
import { withAmbient } from "../trace/builder.ts";
import { constant, type Value } from "../trace/ndarray.ts";
import { dce } from "./dce.ts";
import { jvpJaxpr } from "./jvp.ts";
import { partialEvalJaxpr } from "./partial-eval.ts";
import { transposeInline } from "./transpose.ts";
import { inlineJaxpr, traceClosed } from "./walk.ts";

export interface Linearized {
  /** `inputs → (outputs, residuals)`; the residuals that are inputs themselves are not among its results. */
  readonly primal: Jaxpr;
  /** `(residuals, tangents of the nonzero inputs) → tangents of the float outputs`. Linear in the tangents. */
  readonly linear: Jaxpr;
  readonly outputCount: number;
  /** The input that a residual is, or null for the next further result of `primal`. */
  readonly residualInputs: readonly (number | null)[];
}

/** Expects a Jaxpr without constvars. */
export function linearizeJaxpr(jaxpr: Jaxpr, nonzero: readonly boolean[]): Linearized {
  const count = jaxpr.outvars.length;
  const force = jaxpr.outvars.map(({ aval }) => isFloat(aval.dtype));
  const pushed = jvpJaxpr(jaxpr, nonzero, force).jaxpr;
  const known = pushed.invars.map((_, i) => i < jaxpr.invars.length);
  const parts = partialEvalJaxpr(
    dce(pushed),
    known,
    pushed.outvars.map((_, i) => i >= count),
  );
  invariant(parts.knownOutputs.slice(0, count).every(Boolean), "an output depends on tangents");
  return { primal: parts.known, linear: parts.unknown, outputCount: count, residualInputs: parts.residualInputs };
}

/** The residuals of a linearization, from its inputs and the results of `primal` after the outputs. */
export function residualsOf(linearized: Linearized, inputs: readonly Value[], computed: readonly Value[]): Value[] {
  let next = 0;
  return linearized.residualInputs.map(
    (position) => (position === null ? computed[next++] : inputs[position]) as Value,
  );
}

/** Stages outputs and, for given cotangents of the float outputs, the cotangents of the nonzero inputs. */
export function vjpInline(
  jaxpr: Jaxpr,
  inputs: readonly Value[],
  nonzero: readonly boolean[],
): { outputs: Value[]; pullback: (cotangents: readonly Tangent[]) => Tangent[] } {
  const linearized = linearizeJaxpr(jaxpr, nonzero);
  const results = inlineJaxpr(linearized.primal, inputs);
  const residuals = residualsOf(linearized, inputs, results.slice(linearized.outputCount));
  const pullback = (cotangents: readonly Tangent[]): Tangent[] => {
    const linearInputs = linearized.linear.invars.map((_, i) => residuals[i] ?? null);
    return transposeInline(linearized.linear, linearInputs, cotangents).slice(residuals.length);
  };
  return { outputs: results.slice(0, linearized.outputCount), pullback };
}

/** Output `of` and its gradient with respect to the inputs that `wrt` names: `inputs → (output, gradients)`. */
export function valueAndGradJaxpr(jaxpr: Jaxpr, wrt: readonly number[], of = 0): Jaxpr {
  const nonzero = jaxpr.invars.map((_, i) => wrt.includes(i));
  const floats = jaxpr.outvars.flatMap(({ aval }, i) => (isFloat(aval.dtype) ? [i] : []));
  const result = traceClosed(
    jaxpr.invars.map((variable) => variable.aval),
    (args, builder) => {
      const { outputs, pullback } = vjpInline(jaxpr, args, nonzero);
      const output = outputs[of] as Value;
      const gradients = pullback(floats.map((i) => (i === of ? constant(1, output.aval.dtype) : null)));
      const made = wrt.map((input) => {
        const order = wrt.filter((other) => other < input).length;
        const { aval } = args[input] as Value;
        return (
          gradients[order] ??
          withAmbient(builder, aval.placement, () => lax.broadcast_in_dim(constant(0, aval.dtype), aval.shape, []))
        );
      });
      return [output, ...made];
    },
  );
  return dce(result);
}
