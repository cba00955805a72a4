/** NumPy's methods on arrays: `x.add(y)`, `x.sum()`, `x.T`. Each is the `np` function of the same name. */
import { NDArray, type Shape } from "@fax/compiler";
import { normalizeAxis } from "./np/axis.ts";
import { type Index, sliceOf } from "./np/indexing.ts";
import * as np from "./np/index.ts";
import { placed } from "./np/operand.ts";

declare module "@fax/compiler" {
  interface NDArray<P extends string = "server"> extends Iterable<NDArray<P>> {
    add(y: np.ArrayLike<P>): NDArray<P>;
    sub(y: np.ArrayLike<P>): NDArray<P>;
    subtract(y: np.ArrayLike<P>): NDArray<P>;
    mul(y: np.ArrayLike<P>): NDArray<P>;
    multiply(y: np.ArrayLike<P>): NDArray<P>;
    div(y: np.ArrayLike<P>): NDArray<P>;
    divide(y: np.ArrayLike<P>): NDArray<P>;
    mod(y: np.ArrayLike<P>): NDArray<P>;
    pow(y: np.ArrayLike<P>): NDArray<P>;
    neg(): NDArray<P>;
    abs(): NDArray<P>;
    equal(y: np.ArrayLike<P>): NDArray<P>;
    notEqual(y: np.ArrayLike<P>): NDArray<P>;
    less(y: np.ArrayLike<P>): NDArray<P>;
    lessEqual(y: np.ArrayLike<P>): NDArray<P>;
    greater(y: np.ArrayLike<P>): NDArray<P>;
    greaterEqual(y: np.ArrayLike<P>): NDArray<P>;
    clip(min?: np.ArrayLike<P> | null, max?: np.ArrayLike<P> | null): NDArray<P>;
    round(options?: number | { readonly decimals?: number }): NDArray<P>;

    sum(options?: np.AxisOrOptions<np.SumOptions>): NDArray<P>;
    prod(options?: np.AxisOrOptions<np.SumOptions>): NDArray<P>;
    mean(options?: np.AxisOrOptions<np.SumOptions>): NDArray<P>;
    var(options?: np.AxisOrOptions<np.SpreadOptions>): NDArray<P>;
    std(options?: np.AxisOrOptions<np.SpreadOptions>): NDArray<P>;
    max(options?: np.AxisOrOptions): NDArray<P>;
    min(options?: np.AxisOrOptions): NDArray<P>;
    any(options?: np.AxisOrOptions): NDArray<P>;
    all(options?: np.AxisOrOptions): NDArray<P>;
    argmax(options?: number | null | np.ArgOptions): NDArray<P>;
    argmin(options?: number | null | np.ArgOptions): NDArray<P>;
    cumsum(options?: number | null | np.CumulativeOptions): NDArray<P>;

    /** `x.reshape([2, -1])` or `x.reshape(2, -1)`. */
    reshape(...shape: readonly number[] | [Shape]): NDArray<P>;
    /** `x.transpose()`, `x.transpose([1, 0])` or `x.transpose(1, 0)`. */
    transpose(...axes: readonly number[] | [readonly number[]]): NDArray<P>;
    /** All axes in reverse order. */
    readonly T: NDArray<P>;
    swapaxes(axis1: number, axis2: number): NDArray<P>;
    squeeze(axis?: number | readonly number[]): NDArray<P>;
    ravel(): NDArray<P>;
    flatten(): NDArray<P>;
    repeat(repetitions: number, options?: number | null | { readonly axis?: number | null }): NDArray<P>;
    astype(dtype: np.DTypeLike): NDArray<P>;

    dot(y: np.ArrayLike<P>): NDArray<P>;
    matmul(y: np.ArrayLike<P>): NDArray<P>;
    trace(options?: np.DiagonalOptions): NDArray<P>;
    diagonal(options?: np.DiagonalOptions): NDArray<P>;

    take(indices: np.ArrayLike<P>, options?: number | null | np.TakeOptions): NDArray<P>;
    /**
     * NumPy's indexing: `x.slice(0, [1, 3], null)` is `x[0, 1:3, None]`. A whole number picks an element, `[start, stop]` and
     * `[start, stop, step]` a range (null for an open end, `[]` for all), `null` is a new axis, `"..."` the axes between; an integer array picks
     * its elements, a traced integer scalar one of them.
     *
     * @throws FAX1202 for more indices than axes, FAX1203 for a number out of range, FAX1102 for indices that are not integers
     * @example np.array([[1, 2], [3, 4]]).slice(-1); // [3, 4]
     * @example np.array([[1, 2], [3, 4]]).slice("...", [null, null, -1]); // [[2, 1], [4, 3]]
     */
    slice(...indices: readonly np.Index<P>[]): NDArray<P>;
    /** The rows, as in `const [key1, key2] = random.split(key)`. */
    [Symbol.iterator](): Iterator<NDArray<P>>;
  }
}

type AnyArray = NDArray<string>;

/** A list, or its elements as arguments of their own. */
function listOf(given: readonly number[] | readonly [readonly number[]]): readonly number[] {
  return Array.isArray(given[0]) ? given[0] : (given as readonly number[]);
}

const methods = {
  add: binaryMethod(np.add),
  sub: binaryMethod(np.subtract),
  subtract: binaryMethod(np.subtract),
  mul: binaryMethod(np.multiply),
  multiply: binaryMethod(np.multiply),
  div: binaryMethod(np.divide),
  divide: binaryMethod(np.divide),
  mod: binaryMethod(np.remainder),
  pow: binaryMethod(np.power),
  equal: binaryMethod(np.equal),
  notEqual: binaryMethod(np.notEqual),
  less: binaryMethod(np.less),
  lessEqual: binaryMethod(np.lessEqual),
  greater: binaryMethod(np.greater),
  greaterEqual: binaryMethod(np.greaterEqual),
  dot: binaryMethod(np.dot),
  matmul: binaryMethod(np.matmul),
  neg: unaryMethod(np.negative),
  abs: unaryMethod(np.abs),
  ravel: unaryMethod(np.ravel),
  flatten: unaryMethod(np.ravel),
  clip: withOptions(np.clip),
  round: withOptions(np.round),
  sum: withOptions(np.sum),
  prod: withOptions(np.prod),
  mean: withOptions(np.mean),
  var: withOptions(np.var),
  std: withOptions(np.std),
  max: withOptions(np.max),
  min: withOptions(np.min),
  any: withOptions(np.any),
  all: withOptions(np.all),
  argmax: withOptions(np.argmax),
  argmin: withOptions(np.argmin),
  cumsum: withOptions(np.cumsum),
  trace: withOptions(np.trace),
  diagonal: withOptions(np.diagonal),
  squeeze: withOptions(np.squeeze),
  swapaxes: withOptions(np.swapaxes),
  repeat: withOptions(np.repeat),
  astype: withOptions(np.astype),
  take: withOptions(np.take),
  reshape(this: AnyArray, ...shape: readonly number[] | [Shape]): AnyArray {
    return np.reshape(this, listOf(shape));
  },
  transpose(this: AnyArray, ...axes: readonly number[] | [readonly number[]]): AnyArray {
    return np.transpose(this, axes.length === 0 ? null : listOf(axes));
  },
  slice(this: AnyArray, ...indices: readonly Index<string>[]): AnyArray {
    return sliceOf(this, indices);
  },
};

function unaryMethod(operation: np.Unary) {
  return function (this: AnyArray): AnyArray {
    return operation(this);
  };
}

function binaryMethod(operation: np.Binary) {
  return function (this: AnyArray, y: np.ArrayLike<string>): AnyArray {
    return operation(this, y);
  };
}

function withOptions<Rest extends readonly unknown[]>(operation: (x: AnyArray, ...rest: Rest) => AnyArray) {
  return function (this: AnyArray, ...rest: Rest): AnyArray {
    return operation(this, ...rest);
  };
}

function* rows(this: AnyArray): Generator<AnyArray> {
  const length = this.shape[normalizeAxis("iteration", 0, this.ndim)] as number;
  for (let i = 0; i < length; i++) yield placed(sliceOf(this, [i]));
}

for (const [name, method] of Object.entries(methods)) {
  Object.defineProperty(NDArray.prototype, name, { value: method, configurable: true, writable: true });
}
Object.defineProperty(NDArray.prototype, Symbol.iterator, { value: rows, configurable: true, writable: true });
Object.defineProperty(NDArray.prototype, "T", {
  get(this: AnyArray): AnyArray {
    return np.transpose(this);
  },
  configurable: true,
});
