/** Tensors of one round, gathered from the clients' examples. */
import { FaxError, type NDArray, np, userLocation } from "@fax/core";
import type { Examples } from "./mnist.ts";
import { RandomSource } from "./random-source.ts";

export interface BatchOptions {
  /** Local steps of each client. Without it, one batch, and no axis for the steps. */
  readonly steps?: number;
  /** Examples of each step. */
  readonly batch: number;
  readonly round: number;
  /** Default 0. */
  readonly seed?: number;
}

export interface ClientBatches {
  /** f32 `[clients, steps, batch, features]`, or `[clients, batch, features]` */
  readonly images: NDArray;
  /** i32 `[clients, steps, batch]`, or `[clients, batch]` */
  readonly labels: NDArray;
  /** f32 `[clients]`: how many examples each client owns. */
  readonly weights: NDArray;
}

/**
 * What each client computes on in a round: its own examples in an order drawn anew for every round, `steps` batches of
 * them. A client that has fewer goes through its examples again.
 *
 * Placement: the result is for arguments at a group, so the clients' axis leads.
 *
 * @throws FAX3010 for a client without examples
 * @example
 * const { train } = mnist();
 * const split = dirichletSplit(train.labels, { clients: 100, alpha: 0.3 });
 * const { images, labels, weights } = clientBatches(train, split, { steps: 2, batch: 5, round: 0 });
 * images.shape; // [100, 2, 5, 784]
 */
export function clientBatches(
  examples: Examples,
  split: readonly (readonly number[])[],
  { steps, batch, round, seed = 0 }: BatchOptions,
): ClientBatches {
  const { features } = examples;
  const perClient = (steps ?? 1) * batch;
  const images = new Float32Array(split.length * perClient * features);
  const labels = new Int32Array(split.length * perClient);
  split.forEach((owned, client) => {
    if (owned.length === 0) {
      throw new FaxError({
        code: "FAX3010",
        message: `clientBatches: client ${client} has no examples to draw from`,
        source: userLocation(),
        help: "dirichletSplit gives every client at least one",
      });
    }
    const order = new RandomSource(seed, round, client).shuffled(owned);
    for (let i = 0; i < perClient; i++) {
      const from = order[i % order.length] as number;
      const to = client * perClient + i;
      images.set(examples.images.subarray(from * features, (from + 1) * features), to * features);
      labels[to] = examples.labels[from] as number;
    }
  });
  const shape = [split.length, ...(steps === undefined ? [] : [steps]), batch];
  return {
    images: np.array(images, { shape: [...shape, features] }),
    labels: np.array(labels, { shape }),
    weights: np.array(Float32Array.from(split, (owned) => owned.length)),
  };
}
