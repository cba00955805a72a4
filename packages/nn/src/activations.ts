/** Activation functions, elementwise, under `jax.nn`'s names and semantics. */
import { lax, type NDArray, np } from "@fax/core";

type ArrayLike<P extends string> = np.ArrayLike<P>;

/** An operand as a float array: integers and bools become f32. */
export function floatArray<P extends string>(x: ArrayLike<P>): NDArray<P> {
  const value = np.asarray(x);
  return value.dtype === "f16" ? value : value.astype(np.float32);
}

/**
 * `max(x, 0)`; its derivative at 0 is 0.
 *
 * @example nn.relu(np.array([-1, 2])); // [0, 2]
 */
export function relu<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  const value = np.asarray(x);
  // The derivative of maximum would be one half at 0.
  return np.where(np.greater(value, 0), value, 0);
}

/** `1 / (1 + e⁻ˣ)`. @example nn.sigmoid(np.array([0])); // [0.5] */
export function sigmoid<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  return lax.logistic(floatArray(x)) as NDArray<P>;
}

/** `x · sigmoid(x)` (Elfwing, Uchibe and Doya, 2017). @example nn.silu(np.array([1])); // [0.7310586] */
export function silu<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  const value = floatArray(x);
  return np.multiply(value, sigmoid(value));
}

/** Another name of {@link silu}. */
export const swish = silu;

/** @example nn.tanh(np.array([0])); // [0] */
export function tanh<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  return np.tanh(x);
}

/** `log(1 + eˣ)`, without overflow. @example nn.softplus(np.array([0])); // [0.6931472] */
export function softplus<P extends string = "server">(x: ArrayLike<P>): NDArray<P> {
  return np.logaddexp(x, 0);
}

/**
 * `x` above 0 and `alpha · (eˣ - 1)` below (Clevert, Unterthiner and Hochreiter, 2015).
 *
 * @example nn.elu(np.array([-1, 2])); // [-0.63212055, 2]
 */
export function elu<P extends string = "server">(x: ArrayLike<P>, alpha: ArrayLike<NoInfer<P>> = 1): NDArray<P> {
  const value = floatArray(x);
  const positive = np.greater(value, 0);
  // The branch that is not taken must stay finite, or its gradient would be NaN.
  const below = np.expm1(np.where(positive, 0, value));
  return np.where(positive, value, np.multiply(below, alpha));
}

/**
 * `x` from 0 on and `negativeSlope · x` below.
 *
 * @example nn.leakyRelu(np.array([-1, 2])); // [-0.01, 2]
 */
export function leakyRelu<P extends string = "server">(
  x: ArrayLike<P>,
  negativeSlope: ArrayLike<NoInfer<P>> = 0.01,
): NDArray<P> {
  const value = floatArray(x);
  return np.where(np.greaterEqual(value, 0), value, np.multiply(value, negativeSlope));
}

const tanhScale = Math.sqrt(2 / Math.PI);

/**
 * `x · Φ(x)` with the normal distribution's Φ (Hendrycks and Gimpel, 2016); unless `approximate` is false by
 * `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`.
 *
 * @example nn.gelu(np.array([1])); // [0.841192]
 * @example nn.gelu(np.array([1]), { approximate: false }); // [0.8413447]
 */
export function gelu<P extends string = "server">(
  x: ArrayLike<P>,
  { approximate = true }: { readonly approximate?: boolean } = {},
): NDArray<P> {
  const value = floatArray(x);
  if (!approximate) {
    const distribution = lax.erf(np.multiply(value, Math.SQRT1_2)) as NDArray<P>;
    return np.multiply(np.multiply(value, 0.5), np.add(distribution, 1));
  }
  const inner = np.multiply(np.add(value, np.multiply(np.power(value, 3), 0.044715)), tanhScale);
  return np.multiply(value, np.multiply(np.add(np.tanh(inner), 1), 0.5));
}
