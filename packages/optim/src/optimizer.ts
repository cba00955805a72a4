/** What an optimizer is: pure functions on trees of parameters, as in optax. */
import { type NDArray, np, tree } from "@fax/core";

/** A number, or an array of one element, which may be traced: another learning rate then compiles nothing. */
export type LearningRate = number | NDArray<string>;

/** What is to be added to the parameters, and the state for the next step. */
export interface Update<Params, State> {
  readonly updates: Params;
  readonly state: State;
}

/**
 * The parameters after a step: `params + updates`, in the dtype of the parameters.
 *
 * @throws FAX1004 if the trees differ in structure
 * @example
 * const optimizer = sgd(0.1);
 * const { updates, state } = optimizer.update(grads, optimizer.init(params));
 * const trained = applyUpdates(params, updates);
 */
export function applyUpdates<Params>(params: Params, updates: NoInfer<Params>): Params {
  return mapTree((param, update) => np.astype(np.add(param, update), param.dtype), params, updates);
}

type Leaf = NDArray<string>;

/** `fn` at the leaves of trees of one structure; the result has the structure and types of the first. */
export function mapTree<Params>(
  fn: (...leaves: readonly [Leaf, ...Leaf[]]) => Leaf,
  first: Params,
  ...rest: readonly unknown[]
): Params {
  return tree.map(
    (...leaves: readonly (Leaf | number | boolean)[]) =>
      fn(...(leaves.map((leaf) => np.asarray(leaf)) as [Leaf, ...Leaf[]])),
    first,
    ...rest,
  ) as Params;
}

/** `-learningRate · x`, in the dtype of `x`. */
export function descend(learningRate: LearningRate, x: Leaf): Leaf {
  return np.astype(np.multiply(x, np.negative(learningRate)), x.dtype);
}
