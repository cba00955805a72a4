/** The rules that every linear primitive of one input shares. */
import type { Params } from "../ir/jaxpr.ts";
import type { Value } from "../trace/ndarray.ts";
import type { Lax } from "./lax-types.ts";
import type { JvpArgs, JvpResult, Linear, Tangent, TransposeRule } from "./primitive.ts";

/** `d f(x) = f(dx)`. */
export function linearJvp<P extends Params>(
  apply: (lax: Lax, x: Value, params: P) => Value,
): (args: JvpArgs<P>) => JvpResult {
  return ({ primals, tangents, params, lax }) => {
    const [x] = primals as readonly [Value];
    const tangent = tangents[0] ?? null;
    return { outputs: [apply(lax, x, params)], tangents: [tangent && apply(lax, tangent, params)] };
  };
}

/** The cotangent of the one input, from that of the one output and the input's type. */
export function linearTranspose<P extends Params>(
  pullBack: (lax: Lax, cotangent: Value, input: Linear["aval"], params: P) => Value,
): TransposeRule<P> {
  return ({ cotangents, inputs, params, lax }) => {
    const [input] = inputs as readonly [Value | Linear];
    const cotangent: Tangent = cotangents[0] ?? null;
    return [cotangent && isLinear(input) ? pullBack(lax, cotangent, input.aval, params) : null];
  };
}

export function isLinear(input: Value | Linear | undefined): input is Linear {
  return input !== undefined && "kind" in input && input.kind === "linear";
}
