/** Integers, orders and choices. */
import {
  Constant,
  constant,
  isFloat,
  isInteger,
  lax,
  type NDArray,
  sameShape,
  type Shape,
  sizeOf,
  type Value,
} from "@fax/compiler";
import { checkShape, normalizeAxis } from "../np/axis.ts";
import { type DTypeLike, resolveDType } from "../np/dtype.ts";
import { fault, formatShape } from "../np/fault.ts";
import { take } from "../np/indexing.ts";
import * as np from "../np/index.ts";
import { type ArrayLike, asValue, beside, placed, withElements } from "../np/operand.ts";
import { orderOf } from "../np/order.ts";
import { gumbel, keepsShape } from "./floats.ts";
import { bitsOf, type ShapeLike, splitPair } from "./keys.ts";

export interface IntegerOptions {
  /** i32 unless said; u32 is the other one. */
  readonly dtype?: DTypeLike | undefined;
}

const integerBounds = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/**
 * Uniformly distributed integers in `[minval, maxval)`, i32 unless said; `minval` where there is none. Two words go into each, so
 * the bias of the remainder is below `(maxval - minval) / 2^32`.
 *
 * @throws FAX1102 for bounds or a dtype that are not integers, FAX1201 for bounds that do not broadcast to the shape
 * @example random.randint(key, [5], 0, 10);
 */
export function randint<P extends string = "server">(
  generator: NDArray<P>,
  shape: ShapeLike,
  minval: ArrayLike<NoInfer<P>>,
  maxval: ArrayLike<NoInfer<P>>,
  { dtype }: IntegerOptions = {},
): NDArray<P> {
  const type = resolveDType("randint", dtype ?? "i32");
  if (type !== "i32" && type !== "u32") throw fault("FAX1102", `randint: the dtype ${type} is not an integer`);
  const sizes = checkShape("randint", shape);
  // The span of bounds beyond the dtype's greatest number is one larger: it then wraps to 0, where a remainder changes nothing.
  const beyond = typeof maxval === "number" && maxval > integerBounds[type][1];
  const [low, high] = [integerBound(minval, type), integerBound(maxval, type)].map((bound) =>
    bound instanceof Constant ? lax.full(sizes, bound.value, type) : bound,
  ) as [Value, Value];
  const [from, to] = np.broadcastArrays<string>(
    low,
    high,
    beside(generator, () => lax.full(sizes, 0, type)),
  ) as [Value, Value, Value];
  const range = keepsShape("randint", lax.convert_element_type(lax.sub(to, from), "u32"), sizes);
  const one = constant(1, "u32");
  const wide = beyond ? lax.select(lax.gt(to, from), lax.add(range, one), range) : range;
  const span = lax.select(lax.le(to, from), lax.full(sizes, 1, "u32"), wide);
  const [key1, key2] = splitPair(generator);
  const [higher, lower] = [bitsOf("randint", key1, sizes), bitsOf("randint", key2, sizes)];
  // (2^32 · higher + lower) mod span, where 2^32 mod span = (2^16 mod span)² mod span.
  const half = lax.rem(constant(2 ** 16, "u32"), span);
  const multiplier = lax.rem(lax.mul(half, half), span);
  const offset = lax.rem(lax.add(lax.mul(lax.rem(higher, span), multiplier), lax.rem(lower, span)), span);
  return placed(lax.add(from, lax.convert_element_type(offset, type)));
}

/** A bound in the dtype of the result, clipped to what that holds. */
function integerBound(x: ArrayLike<string>, dtype: "i32" | "u32"): Value {
  const value = asValue("randint", x);
  const [least, greatest] = integerBounds[dtype];
  if (value instanceof Constant) {
    if (!Number.isInteger(value.value)) {
      throw fault("FAX1102", `randint: the bound ${value.value} is not a whole number`);
    }
    return constant(Math.min(Math.max(value.value, least), greatest), dtype);
  }
  if (!isInteger(value.dtype))
    throw fault("FAX1102", `randint: a bound is ${value.dtype}, not an integer`, { operands: [value] });
  if (value.dtype === dtype) return value;
  const within =
    value.dtype === "i32" ? lax.max(value, constant(0, "i32")) : lax.min(value, constant(2 ** 31 - 1, "u32"));
  return lax.convert_element_type(within, dtype);
}

/** A random order of `length` elements, by sorting random keys often enough that no two elements tie every time. */
function shuffledOrder(generator: Value, length: number): Value {
  const rounds = Math.ceil((3 * Math.log(Math.max(1, length))) / Math.log(2 ** 32 - 1));
  let order = beside(generator, () => lax.iota("i32", [length], 0));
  let current = generator;
  for (let round = 0; round < rounds; round++) {
    const [next, own] = splitPair(current);
    order = take(order, orderOf(bitsOf("permutation", own, [length])), { axis: 0, mode: "clip" });
    current = next;
  }
  return order;
}

/**
 * The rows of an array in random order, or the numbers below `x` if that is a number. Takes n² comparisons for n rows.
 *
 * @throws FAX1202 for an axis that the array does not have
 * @example random.permutation(key, 10);
 */
export function permutation<P extends string = "server">(
  generator: NDArray<P>,
  x: number | NDArray<NoInfer<P>>,
  options: number | { readonly axis?: number } = 0,
): NDArray<P> {
  if (typeof x === "number") {
    const [length] = checkShape("permutation", x) as [number];
    return placed(shuffledOrder(generator, length));
  }
  const axis = normalizeAxis("permutation", typeof options === "number" ? options : (options.axis ?? 0), x.ndim);
  return placed(take<string>(x, shuffledOrder(generator, x.shape[axis] as number), { axis, mode: "clip" }));
}

/**
 * Indices drawn with probabilities `softmax(logits)` along `axis`, the last unless said; i32. `shape` must end with the other axes of the
 * logits.
 *
 * @throws FAX1203 for a shape that does not
 * @example random.categorical(key, np.log([0.2, 0.8]), { shape: [10] });
 */
export function categorical<P extends string = "server">(
  generator: NDArray<P>,
  logits: ArrayLike<NoInfer<P>>,
  options: number | { readonly axis?: number; readonly shape?: Shape } = -1,
): NDArray<P> {
  const { axis = -1, shape } = typeof options === "number" ? { axis: options } : options;
  const values = withElements(asValue("categorical", logits));
  const along = normalizeAxis("categorical", axis, values.ndim);
  const batch = values.shape.toSpliced(along, 1);
  const sizes = shape === undefined ? batch : checkShape("categorical", shape);
  const lead = sizes.slice(0, Math.max(0, sizes.length - batch.length));
  if (!sameShape(sizes.slice(lead.length), batch)) {
    throw fault(
      "FAX1203",
      `categorical: the shape ${formatShape(sizes)} does not end with ${formatShape(batch)}, the other axes of the logits`,
    );
  }
  const noise = gumbel(placed<string>(generator), [...lead, ...values.shape], {
    dtype: isFloat(values.dtype) ? values.dtype : "f32",
  });
  return placed(lax.argmax(np.add(noise, values), lead.length + along));
}

/**
 * Elements of a vector, rows of an array along `axis`, or numbers below `a`, each equally likely; without replacement each at most
 * once.
 *
 * @throws FAX1203 for more than there are without replacement, or for any of none
 * @example random.choice(key, 10, [3], { replace: false });
 */
export function choice<P extends string = "server">(
  generator: NDArray<P>,
  a: number | NDArray<NoInfer<P>>,
  shape: ShapeLike = [],
  { replace = true, axis = 0 }: { readonly replace?: boolean; readonly axis?: number } = {},
): NDArray<P> {
  const sizes = checkShape("choice", shape);
  const draws = sizeOf(sizes);
  const along = typeof a === "number" ? 0 : normalizeAxis("choice", axis, a.ndim);
  const [population] = typeof a === "number" ? (checkShape("choice", a) as [number]) : [a.shape[along] as number];
  if (draws > (replace ? (population === 0 ? 0 : Infinity) : population)) {
    throw fault(
      "FAX1203",
      `choice: ${draws} elements cannot be drawn ${replace ? "" : "without replacement "}from ${population}`,
    );
  }
  const indices = replace
    ? randint(placed<string>(generator), sizes, 0, population)
    : lax.reshape(lax.slice(shuffledOrder(generator, population), [0], [draws]), sizes);
  return placed(typeof a === "number" ? indices : take<string>(a, indices, { axis: along, mode: "clip" }));
}
