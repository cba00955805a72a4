/** Stochastic gradient descent. */
import { np } from "@fax/core";
import { descend, type LearningRate, mapTree, type Update } from "./optimizer.ts";

export interface SgdOptions {
  /** How much of the last step's direction is kept; without it there is no state. */
  readonly momentum?: number | undefined;
  /** Whether to look ahead by one step of momentum (Sutskever et al., 2013). */
  readonly nesterov?: boolean | undefined;
}

export interface SgdState<Params> {
  /** The decaying sum of gradients; null without momentum. */
  readonly trace: Params | null;
}

export interface Sgd {
  init<Params>(params: Params): SgdState<Params>;
  update<Params>(grads: Params, state: SgdState<Params>, params?: Params): Update<Params, SgdState<Params>>;
}

/**
 * Steps of `-learningRate · g`; with momentum `m` of `-learningRate · v`, where `v ← g + m · v` (with `nesterov`, of `g + m · v` after that).
 *
 * @param learningRate a number or a scalar array, which may be traced
 * @throws FAX1004 if the gradients and the state differ in structure
 * @example
 * const optimizer = sgd(0.1, { momentum: 0.9 });
 * const { updates, state } = optimizer.update(grads, optimizer.init(params));
 */
export function sgd(learningRate: LearningRate, { momentum, nesterov = false }: SgdOptions = {}): Sgd {
  return {
    init: (params) => ({ trace: momentum === undefined ? null : mapTree((param) => np.zerosLike(param), params) }),
    update: (grads, { trace }) => {
      if (momentum === undefined || trace === null) {
        return { updates: mapTree((grad) => descend(learningRate, grad), grads), state: { trace } };
      }
      const decayed = mapTree((grad, last) => np.add(grad, np.multiply(last as typeof grad, momentum)), grads, trace);
      const direction = nesterov
        ? mapTree((grad, sum) => np.add(grad, np.multiply(sum as typeof grad, momentum)), grads, decayed)
        : decayed;
      return { updates: mapTree((step) => descend(learningRate, step), direction), state: { trace: decayed } };
    },
  };
}
