/** Attention, under `jax.nn`'s name, shapes and semantics. */
import { type NDArray, np } from "@fax/core";
import { floatArray } from "./activations.ts";
import { softmax } from "./normalization.ts";

type ArrayLike<P extends string> = np.ArrayLike<P>;

export interface AttentionOptions<P extends string = "server"> {
  /** Added to the scaled scores; broadcasts to [batch, heads, queries, keys]. */
  readonly bias?: ArrayLike<P> | undefined;
  /** Where it is false a key does not count for a query; broadcasts to [batch, heads, queries, keys]. */
  readonly mask?: ArrayLike<P> | undefined;
  /** Query i sees the keys 0 … i alone. */
  readonly isCausal?: boolean | undefined;
  /** Multiplies the scores; 1/√width unless said. */
  readonly scale?: number | undefined;
}

/** What a masked score becomes: far below others, and finite, so that a row without any key has no NaN. */
const masked = -0.7 * 3.4028234663852886e38;

/**
 * `softmax(query · keyᵀ · scale + bias) · value` over the keys, for each head (Vaswani et al., 2017). Heads of the query may come
 * in groups, each of which shares a head of key and value. Scores and softmax are computed in f32. A query all of whose
 * keys are masked takes the mean of the values.
 *
 * @param query [batch, queries, heads, width], or without the batch
 * @param key [batch, keys, sharedHeads, width]; sharedHeads divides heads
 * @param value [batch, keys, sharedHeads, width]
 * @returns the query's shape, and its dtype
 * @throws FAX1201 and FAX1203 for shapes that do not fit each other
 * @example
 * const query = np.ones([2, 1, 4]);
 * nn.dotProductAttention(query, query, np.ones([2, 1, 4]), { isCausal: true }).shape; // [2, 1, 4]
 */
export function dotProductAttention<P extends string = "server">(
  query: ArrayLike<P>,
  key: ArrayLike<NoInfer<P>>,
  value: ArrayLike<NoInfer<P>>,
  options: AttentionOptions<NoInfer<P>> = {},
): NDArray<P> {
  const [q, k, v] = [floatArray(query), floatArray<P>(key), floatArray<P>(value)];
  if (q.ndim > 3) return attend(q, k, v, options);
  const batched = [q, k, v].map((x) => np.expandDims(x, 0)) as [NDArray<P>, NDArray<P>, NDArray<P>];
  return np.squeeze(attend(...batched, options), { axis: 0 });
}

function attend<P extends string>(
  query: NDArray<P>,
  key: NDArray<P>,
  value: NDArray<P>,
  { bias, mask, isCausal = false, scale }: AttentionOptions<P>,
): NDArray<P> {
  const [batch, queries, heads, width] = query.shape as [number, number, number, number];
  const [, keys, shared] = key.shape as [number, number, number];
  const groups = heads / shared;
  const grouped = np.reshape(query, [batch, queries, shared, groups, width]);
  const wide = (x: NDArray<P>): NDArray<P> => x.astype(np.float32);
  const products = np.einsum("btkgh,bskh->bkgts", wide(grouped), wide(key));
  /** Of what broadcasts to [batch, heads, queries, keys]. */
  const byGroup = (x: ArrayLike<P>): NDArray<P> => {
    const full = np.broadcastTo(x, [batch, heads, queries, keys]) as NDArray<P>;
    return np.reshape(full, [batch, shared, groups, queries, keys]);
  };
  let scores = np.multiply(products, scale ?? width ** -0.5) as NDArray<P>;
  if (bias !== undefined) scores = np.add(scores, byGroup(bias)) as NDArray<P>;
  if (mask !== undefined) scores = np.where(byGroup(mask), scores, masked) as NDArray<P>;
  if (isCausal) {
    const position = (size: number, shape: number[]): NDArray => np.reshape(np.arange(size), shape);
    const sees = np.greaterEqual(position(queries, [queries, 1]), position(keys, [1, keys]));
    scores = np.where(sees as NDArray<P>, scores, masked) as NDArray<P>;
  }
  const probabilities = softmax(scores).astype(value.dtype);
  const result = np.einsum("bkgts,bskh->btkgh", probabilities, value);
  return np.reshape(result, [batch, queries, heads, width]).astype(query.dtype);
}
