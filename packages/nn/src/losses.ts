/** Class labels and the losses of classifiers. */
import { type NDArray, np } from "@fax/core";
import { type AxisOption, logSoftmax, logsumexp } from "./normalization.ts";

type ArrayLike<P extends string> = np.ArrayLike<P>;

export interface OneHotOptions {
  /** f32 unless said. */
  readonly dtype?: np.DTypeLike | undefined;
  /** Where the new axis stands; last unless said. */
  readonly axis?: number | undefined;
}

/**
 * Vectors with a 1 at each label and 0 elsewhere; a label out of range gives zeros. The new axis has `numClasses` elements.
 *
 * @example nn.oneHot(np.array([0, 2], { dtype: np.int32 }), 3); // [[1, 0, 0], [0, 0, 1]]
 */
export function oneHot<P extends string = "server">(
  labels: ArrayLike<P>,
  numClasses: number,
  { dtype = np.float32, axis = -1 }: OneHotOptions = {},
): NDArray<P> {
  const values = np.expandDims(labels, axis);
  const position = axis < 0 ? values.ndim + axis : axis;
  const shape = values.shape.map((_, i) => (i === position ? numClasses : 1));
  const classes = np.reshape(np.arange(numClasses, { dtype: values.dtype === "bool" ? "i32" : values.dtype }), shape);
  return np.equal<string>(values, classes).astype(dtype) as NDArray<P>;
}

/**
 * `-Σ labels · log softmax(logits)` along `axis`, the last unless said; one loss for each vector.
 *
 * @param labels probabilities of the classes, of the logits' shape
 * @throws FAX1201 for labels that do not broadcast
 * @example nn.softmaxCrossEntropy(np.array([[0, 0]]), np.array([[0.25, 0.75]])); // [0.6931472]
 */
export function softmaxCrossEntropy<P extends string = "server">(
  logits: ArrayLike<P>,
  labels: ArrayLike<NoInfer<P>>,
  options: AxisOption = -1,
): NDArray<P> {
  const axis =
    typeof options === "number" || Array.isArray(options) ? options : ((options as { axis?: number }).axis ?? -1);
  return np.negative(np.sum(np.multiply(logSoftmax(logits, axis), labels), { axis }));
}

/**
 * {@link softmaxCrossEntropy} for labels that are class numbers: `log Σ e^logits - logits[label]` over the last axis.
 *
 * @param labels integers of the logits' shape without its last axis; a label out of range gives NaN
 * @throws FAX1201 for labels of another shape, FAX1102 for labels that are not integers
 * @example nn.softmaxCrossEntropyWithIntegerLabels(np.array([[0, 0]]), np.array([1], { dtype: np.int32 })); // [0.6931472]
 */
export function softmaxCrossEntropyWithIntegerLabels<P extends string = "server">(
  logits: ArrayLike<P>,
  labels: NDArray<NoInfer<P>>,
): NDArray<P> {
  const own = np.takeAlongAxis(logits, np.expandDims(labels, -1) as NDArray<NoInfer<P>>, -1);
  return np.subtract(logsumexp(logits, { axis: -1 }), np.squeeze(own, { axis: -1 }));
}
