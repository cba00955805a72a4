/** Adam. */
import { type NDArray, np } from "@fax/core";
import { descend, type LearningRate, mapTree, type Update } from "./optimizer.ts";

export interface AdamOptions {
  /** Decay of the mean of the gradients; 0.9 unless said. */
  readonly b1?: number | undefined;
  /** Decay of the mean of their squares; 0.999 unless said. */
  readonly b2?: number | undefined;
  /** Added to the root; 1e-8 unless said. */
  readonly eps?: number | undefined;
  /** Added under the root, for derivatives through the update; 0 unless said. */
  readonly epsRoot?: number | undefined;
}

export interface AdamState<Params> {
  /** Steps taken, i32. */
  readonly count: NDArray<string>;
  /** The decaying mean of the gradients. */
  readonly mu: Params;
  /** The decaying mean of their squares. */
  readonly nu: Params;
}

export interface Adam {
  init<Params>(params: Params): AdamState<Params>;
  update<Params>(grads: Params, state: AdamState<Params>, params?: Params): Update<Params, AdamState<Params>>;
}

/**
 * Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1): steps of
 * `-learningRate · m̂ / (√v̂ + eps)` with the unbiased means of the gradients and of their squares.
 *
 * @param learningRate a number or a scalar array, which may be traced
 * @throws FAX1004 if the gradients and the state differ in structure
 * @example
 * const optimizer = adam(1e-3);
 * const { updates, state } = optimizer.update(grads, optimizer.init(params));
 */
export function adam(
  learningRate: LearningRate,
  { b1 = 0.9, b2 = 0.999, eps = 1e-8, epsRoot = 0 }: AdamOptions = {},
): Adam {
  return {
    init: (params) => ({
      count: np.zeros([], { dtype: np.int32 }),
      mu: mapTree((param) => np.zerosLike(param), params),
      nu: mapTree((param) => np.zerosLike(param), params),
    }),
    update: (grads, state) => {
      const mu = mapTree((grad, last) => decay(b1, last as typeof grad, grad), grads, state.mu);
      const nu = mapTree((grad, last) => decay(b2, last as typeof grad, np.square(grad)), grads, state.nu);
      const count = np.add(state.count, 1);
      const bias = (b: number) => np.subtract(1, np.power(b, count));
      const [bias1, bias2] = [bias(b1), bias(b2)];
      const updates = mapTree(
        (mean, square) => {
          const root = np.sqrt(np.add(np.divide(square as typeof mean, bias2), epsRoot));
          return np.astype(descend(learningRate, np.divide(np.divide(mean, bias1), np.add(root, eps))), mean.dtype);
        },
        mu,
        nu,
      );
      return { updates, state: { count, mu, nu } };
    },
  };
}

/** `b · last + (1 - b) · next`. */
function decay(b: number, last: NDArray<string>, next: NDArray<string>): NDArray<string> {
  return np.add(np.multiply(last, b), np.multiply(next, 1 - b));
}
