/** Products of vectors and matrices, and what is read off matrices. */
import { lax, type NDArray, range, type Value } from "@fax/compiler";
import { multiply } from "./arithmetic.ts";
import { normalizeAxis } from "./axis.ts";
import { contract, diagonalAt } from "./contract.ts";
import { compareDiagonal } from "./creation.ts";
import { fault, formatShape } from "./fault.ts";
import { movable } from "./manipulation.ts";
import { type ArrayLike, asValue, beside, type Binary, placed, spread } from "./operand.ts";

function labels(prefix: string, count: number): string[] {
  return range(count).map((i) => `${prefix}${i}`);
}

/** A binary operation that does not broadcast elementwise. */
function product(name: string, operation: (x: Value, y: Value) => Value): Binary {
  return ((x: ArrayLike<string>, y: ArrayLike<string>): Value =>
    operation(asValue(name, x), asValue(name, y))) as Binary;
}

function requireSameLength(name: string, x: Value, y: Value, xAxis: number, yAxis: number): void {
  if (x.shape[xAxis] === y.shape[yAxis]) return;
  throw fault(
    "FAX1201",
    `${name}: the last axis of ${formatShape(x.shape)} and axis ${yAxis} of ${formatShape(y.shape)} have the sizes ${x.shape[xAxis]} and ${y.shape[yAxis]}`,
    { operands: [x, y] },
  );
}

/**
 * NumPy's dot product: the sum over the last axis of `x` and the last but one of `y` (the only one of a vector). A scalar on either
 * side multiplies. Accumulates in f32.
 *
 * @throws FAX1201 if the lengths differ
 * @example np.dot(np.array([1, 2]), np.array([3, 4])); // 11
 */
export const dot: Binary = product("dot", (x, y) => {
  if (x.ndim === 0 || y.ndim === 0) return multiply(x, y) as Value;
  const axis = Math.max(y.ndim - 2, 0);
  requireSameLength("dot", x, y, x.ndim - 1, axis);
  const left = [...labels("x", x.ndim - 1), "k"];
  const right = labels("y", y.ndim - 1).toSpliced(axis, 0, "k");
  return contract(
    "dot",
    [x, y],
    [left, right],
    [...left, ...right].filter((label) => label !== "k"),
  );
});

/**
 * The matrix product, over the last two axes with the others broadcast; vectors are rows on the left and columns on the right.
 * Accumulates in f32.
 *
 * @throws FAX1201 if the lengths differ or the other axes do not broadcast, FAX1203 for scalars
 * @example np.matmul(np.ones([2, 3]), np.ones([3, 4])); // f32[2,4]
 */
export const matmul: Binary = product("matmul", (x, y) => {
  if (x.ndim === 0 || y.ndim === 0) {
    throw fault("FAX1203", "matmul: an operand is a scalar, and matmul needs vectors or matrices", {
      operands: [x, y],
      help: "np.multiply scales an array",
    });
  }
  requireSameLength("matmul", x, y, x.ndim - 1, Math.max(y.ndim - 2, 0));
  const batch = Math.max(x.ndim, y.ndim) - 2;
  const named = labels("b", Math.max(batch, 0));
  const left = [...named.slice(named.length - Math.max(x.ndim - 2, 0)), ...(x.ndim > 1 ? ["m"] : []), "k"];
  const right = [...named.slice(named.length - Math.max(y.ndim - 2, 0)), "k", ...(y.ndim > 1 ? ["n"] : [])];
  const output = [...named, ...(x.ndim > 1 ? ["m"] : []), ...(y.ndim > 1 ? ["n"] : [])];
  return contract("matmul", [x, y], [left, right], output);
});

/** The dot product of the flat arrays. @throws FAX1201 if the sizes differ. @example np.vdot([1, 2], [3, 4]); // 11 */
export const vdot: Binary = product("vdot", (x, y) => {
  const [left, right] = [flat("vdot", x), flat("vdot", y)];
  requireSameLength("vdot", left, right, 0, 0);
  return contract("vdot", [left, right], [["k"], ["k"]], []);
});

/** The sum over the last axes of both. @throws FAX1201 if they differ. @example np.inner([1, 2], [3, 4]); // 11 */
export const inner: Binary = product("inner", (x, y) => {
  if (x.ndim === 0 || y.ndim === 0) return multiply(x, y) as Value;
  requireSameLength("inner", x, y, x.ndim - 1, y.ndim - 1);
  const [left, right] = [labels("x", x.ndim - 1), labels("y", y.ndim - 1)];
  return contract(
    "inner",
    [x, y],
    [
      [...left, "k"],
      [...right, "k"],
    ],
    [...left, ...right],
  );
});

/** All products of the elements of one and the other. @example np.outer([1, 2], [3, 4]); // [[3, 4], [6, 8]] */
export const outer: Binary = product("outer", (x, y) =>
  contract("outer", [flat("outer", x), flat("outer", y)], [["x"], ["y"]], ["x", "y"]),
);

function flat(name: string, x: Value): Value {
  const value = movable(name, x);
  return value.ndim === 1 ? value : lax.reshape(value, [value.size]);
}

/**
 * The sum over pairs of axes: the last `n` of `x` with the first `n` of `y`, or those that `[axes of x, axes of y]` names.
 *
 * @throws FAX1201 if the sizes differ, FAX1202 for axes that do not exist
 * @example np.tensordot(np.ones([2, 3, 4]), np.ones([3, 4, 5]), 2); // f32[2,5]
 */
export function tensordot<P extends string = "server">(
  x: ArrayLike<P>,
  y: ArrayLike<NoInfer<P>>,
  axes: number | readonly [number | readonly number[], number | readonly number[]] = 2,
): NDArray<P> {
  const [left, right] = [asValue("tensordot", x), asValue("tensordot", y)];
  const given = typeof axes === "number" ? [range(left.ndim - axes, left.ndim), range(axes)] : axes;
  const [from, to] = given.map((list, side) =>
    (typeof list === "number" ? [list] : list).map((axis) =>
      normalizeAxis("tensordot", axis, side === 0 ? left.ndim : right.ndim),
    ),
  ) as [number[], number[]];
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
    throw fault("FAX1202", `tensordot: axes ${formatShape(from)} and ${formatShape(to)} do not pair`);
  }
  for (const [i, axis] of from.entries()) {
    const other = to[i] as number;
    if (left.shape[axis] === right.shape[other]) continue;
    throw fault(
      "FAX1201",
      `tensordot: axis ${axis} of ${formatShape(left.shape)} and axis ${other} of ${formatShape(right.shape)} differ in size`,
      { operands: [left, right] },
    );
  }
  const leftLabels = labels("x", left.ndim).map((label, axis) =>
    from.includes(axis) ? `k${from.indexOf(axis)}` : label,
  );
  const rightLabels = labels("y", right.ndim).map((label, axis) =>
    to.includes(axis) ? `k${to.indexOf(axis)}` : label,
  );
  const output = [...leftLabels, ...rightLabels].filter((label) => !label.startsWith("k"));
  return placed(contract("tensordot", [left, right], [leftLabels, rightLabels], output));
}

export interface DiagonalOptions {
  /** Positive above the main diagonal, negative below. */
  readonly offset?: number | undefined;
  readonly axis1?: number | undefined;
  readonly axis2?: number | undefined;
}

/**
 * The diagonal of the matrices in two axes, the first two unless said, as the last axis.
 *
 * @throws FAX1202 for axes that do not exist or are the same
 * @example np.diagonal([[1, 2], [3, 4]]); // [1, 4]
 */
export function diagonal<P extends string = "server">(
  x: ArrayLike<P>,
  { offset = 0, axis1 = 0, axis2 = 1 }: DiagonalOptions = {},
): NDArray<P> {
  const value = movable("diagonal", x);
  const [a, b] = [normalizeAxis("diagonal", axis1, value.ndim), normalizeAxis("diagonal", axis2, value.ndim)];
  if (a === b) throw fault("FAX1202", `diagonal: axes ${axis1} and ${axis2} are the same`);
  return placed(diagonalAt(value, offset, a, b));
}

/** The sum of a diagonal; see {@link diagonal}. @example np.trace([[1, 2], [3, 4]]); // 5 */
export function trace<P extends string = "server">(x: ArrayLike<P>, options: DiagonalOptions = {}): NDArray<P> {
  const values = diagonal(x, options) as Value;
  const numbers = values.dtype === "bool" ? lax.convert_element_type(values, "i32") : values;
  return placed(lax.reduce_sum(numbers, [values.ndim - 1]));
}

/**
 * Of a matrix its diagonal, of a vector the matrix that has it as its diagonal.
 *
 * @throws FAX1203 for anything else
 * @example np.diag([1, 2]); // [[1, 0], [0, 2]]
 */
export function diag<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | { readonly k?: number } = {},
): NDArray<P> {
  const k = typeof options === "number" ? options : (options.k ?? 0);
  const value = movable("diag", x);
  if (value.ndim === 2) return placed(diagonalAt(value, k, 0, 1));
  if (value.ndim !== 1) {
    throw fault("FAX1203", `diag: an array of shape ${formatShape(value.shape)} is neither a vector nor a matrix`);
  }
  const [before, after] = [Math.max(k, 0), Math.max(-k, 0)];
  const side = value.size + before + after;
  const zero = lax.full([], 0, value.dtype);
  // Element i stands in column i + k of row i, and in column i of row i - k: spread over rows, then masked.
  const row = lax.pad(value, zero, [[before, after, 0]]);
  return placed(masked(spread(row, [side, side]), k, (r, c) => lax.eq(r, c)));
}

/** `x` where `compare(row + k, column)` holds in the last two axes, else 0. */
function masked(value: Value, k: number, compare: (row: Value, column: Value) => Value): Value {
  return beside(value, () => {
    const mask = spread(compareDiagonal(value.shape.slice(-2), k, compare), value.shape);
    return lax.select(mask, value, lax.full(value.shape, 0, value.dtype));
  });
}

function triangle(
  name: string,
  x: ArrayLike<string>,
  options: number | { readonly k?: number },
  compare: (row: Value, column: Value) => Value,
): Value {
  const value = movable(name, x);
  if (value.ndim < 2) {
    throw fault("FAX1203", `${name}: an array of shape ${formatShape(value.shape)} has no matrices`, {
      operands: [value],
    });
  }
  return masked(value, typeof options === "number" ? options : (options.k ?? 0), compare);
}

/**
 * The matrices in the last two axes with zeros above the diagonal `k`.
 *
 * @throws FAX1203 for vectors and scalars
 * @example np.tril(np.ones([3, 3]));
 */
export function tril<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | { readonly k?: number } = {},
): NDArray<P> {
  return placed(triangle("tril", x, options, (row, column) => lax.ge(row, column)));
}

/**
 * The matrices in the last two axes with zeros below the diagonal `k`.
 *
 * @throws FAX1203 for vectors and scalars
 * @example np.triu(np.ones([3, 3]));
 */
export function triu<P extends string = "server">(
  x: ArrayLike<P>,
  options: number | { readonly k?: number } = {},
): NDArray<P> {
  return placed(triangle("triu", x, options, (row, column) => lax.le(row, column)));
}
