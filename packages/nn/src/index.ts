/** Functions that neural networks are made of, written on `@fax/core`. */
import { registerLibrary } from "@fax/core";

registerLibrary(import.meta.url);

export { elu, gelu, leakyRelu, relu, sigmoid, silu, softplus, swish, tanh } from "./activations.ts";
export { type AttentionOptions, dotProductAttention } from "./attention.ts";
export { oneHot, type OneHotOptions, softmaxCrossEntropy, softmaxCrossEntropyWithIntegerLabels } from "./losses.ts";
export {
  type AxisOption,
  layerNorm,
  type LayerNormOptions,
  logSoftmax,
  logsumexp,
  softmax,
  standardize,
  type StandardizeOptions,
} from "./normalization.ts";
