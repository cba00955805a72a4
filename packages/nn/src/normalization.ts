/** Softmax and its logarithm, and normalization over axes. */
import { lax, type NDArray, np } from "@fax/core";
import { floatArray } from "./activations.ts";

type ArrayLike<P extends string> = np.ArrayLike<P>;
type Axis = number | readonly number[];

/** The axis alone, or options with it. */
export type AxisOption = Axis | { readonly axis?: Axis | undefined };

function axisOf(options: AxisOption): Axis {
  return typeof options === "number" || Array.isArray(options) ? options : ((options as { axis?: Axis }).axis ?? -1);
}

/** `x` less its largest element along `axis`, which softmax does not change; no gradient goes through the largest element. */
function shifted<P extends string>(value: NDArray<P>, axis: Axis): NDArray<P> {
  const largest = lax.stop_gradient(np.max(value, { axis, keepdims: true })) as NDArray<P>;
  return np.subtract(value, largest);
}

/**
 * `eˣ / Σ eˣ` along `axis`, the last unless said.
 *
 * @throws FAX1202 for an axis that the array does not have
 * @example nn.softmax(np.array([0, 0])); // [0.5, 0.5]
 */
export function softmax<P extends string = "server">(x: ArrayLike<P>, options: AxisOption = -1): NDArray<P> {
  const axis = axisOf(options);
  const exponentials = np.exp(shifted(floatArray(x), axis));
  return np.divide(exponentials, np.sum(exponentials, { axis, keepdims: true }));
}

/**
 * `log(softmax(x))` along `axis`, the last unless said, without taking the logarithm of small numbers.
 *
 * @throws FAX1202 for an axis that the array does not have
 * @example nn.logSoftmax(np.array([0, 0])); // [-0.6931472, -0.6931472]
 */
export function logSoftmax<P extends string = "server">(x: ArrayLike<P>, options: AxisOption = -1): NDArray<P> {
  const axis = axisOf(options);
  const value = shifted(floatArray(x), axis);
  return np.subtract(value, np.log(np.sum(np.exp(value), { axis, keepdims: true })));
}

/**
 * `log(Σ eˣ)` over `axis`, over everything unless said, without overflow; its gradient is the softmax.
 *
 * @throws FAX1202 for an axis that the array does not have
 * @example nn.logsumexp(np.array([[0, 0], [1, 1]]), { axis: -1 }); // [0.6931472, 1.6931472]
 */
export function logsumexp<P extends string = "server">(x: ArrayLike<P>, options: np.AxisOrOptions = {}): NDArray<P> {
  const isAxis = options === null || typeof options === "number" || Array.isArray(options);
  const { axis, keepdims = false } = (isAxis ? { axis: options } : options) as np.ReductionOptions;
  const value = floatArray(x);
  const largest = lax.stop_gradient(np.max(value, { axis, keepdims: true })) as NDArray<P>;
  // An infinite largest element would give the difference of infinities.
  const offset = np.where(np.isfinite(largest), largest, 0);
  const sum = np.sum(np.exp(np.subtract(value, offset)), { axis, keepdims: true });
  const result = np.add(np.log(sum), offset);
  return keepdims ? result : np.squeeze(result, { axis: axis ?? result.shape.map((_, i) => i) });
}

export interface StandardizeOptions {
  /** The last axis unless said. */
  readonly axis?: Axis | undefined;
  /** Added to the variance; 1e-5 unless said. */
  readonly epsilon?: number | undefined;
}

/**
 * `(x - mean) / √(variance + epsilon)` along `axis`.
 *
 * @throws FAX1202 for an axis that the array does not have
 * @example nn.standardize(np.array([1, 3]), { epsilon: 0 }); // [-1, 1]
 */
export function standardize<P extends string = "server">(
  x: ArrayLike<P>,
  { axis = -1, epsilon = 1e-5 }: StandardizeOptions = {},
): NDArray<P> {
  const value = floatArray(x);
  const centred = np.subtract(value, np.mean(value, { axis, keepdims: true }));
  const variance = np.mean(np.square(centred), { axis, keepdims: true });
  return np.multiply(centred, lax.rsqrt(np.add(variance, epsilon)) as NDArray<P>);
}

export interface LayerNormOptions<P extends string = "server"> extends StandardizeOptions {
  /** Multiplies the standardized values; broadcasts. */
  readonly scale?: ArrayLike<P> | undefined;
  /** Is added at the end; broadcasts. */
  readonly bias?: ArrayLike<P> | undefined;
}

/**
 * Layer normalization (Ba, Kiros and Hinton, 2016): `standardize(x) · scale + bias`.
 *
 * @throws FAX1201 for a scale or bias that does not broadcast
 * @example nn.layerNorm(np.array([1, 3]), { scale: 2, bias: [0, 1], epsilon: 0 }); // [-2, 3]
 */
export function layerNorm<P extends string = "server">(
  x: ArrayLike<P>,
  { scale, bias, ...options }: LayerNormOptions<NoInfer<P>> = {},
): NDArray<P> {
  const normalized = standardize<P>(x, options);
  const scaled = scale === undefined ? normalized : np.multiply(normalized, scale);
  return bias === undefined ? scaled : np.add(scaled, bias);
}
