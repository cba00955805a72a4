/** Keys, and the bits that they stand for. */
import {
  Constant,
  constant,
  currentBuilder,
  isInteger,
  lax,
  type NDArray,
  sameShape,
  type Shape,
  sizeOf,
  type Value,
} from "@fax/compiler";
import { checkShape } from "../np/axis.ts";
import { fault, formatShape } from "../np/fault.ts";
import { fromData } from "../np/from-host.ts";
import { type ArrayLike, asValue, beside, convert, placed, spread, withElements } from "../np/operand.ts";

/** A shape, or the size of a vector. */
export type ShapeLike = number | Shape;

/**
 * The key of a seed: a whole number, of which the lower 32 bits count (as in JAX without 64-bit types), or an integer scalar array.
 *
 * @throws FAX1102 for a seed that is not a whole number
 * @example const key = random.key(42);
 */
export function key<P extends string = "server">(seed: number | NDArray<P>): NDArray<P> {
  if (typeof seed === "number") {
    if (!Number.isSafeInteger(seed)) throw fault("FAX1102", `key: the seed ${seed} is not a whole number`);
    const word = Number(BigInt.asUintN(32, BigInt(seed)));
    // Inside a trace a key is made of literals, which fit any placement and are part of the program.
    if (currentBuilder() === null) return placed(fromData("u32", [2], Uint32Array.of(0, word)));
    return placed(lax.concatenate([lax.full([1], 0, "u32"), lax.full([1], word, "u32")], 0));
  }
  const word = withElements(integerScalar("key", seed));
  return placed(beside(word, () => lax.concatenate([lax.full([1], 0, "u32"), lax.reshape(word, [1])], 0)));
}

/** A `u32` scalar with the bits of an integer. */
function integerScalar(name: string, x: ArrayLike<string>): Value {
  const value = asValue(name, x);
  const whole = value instanceof Constant ? Number.isInteger(value.value) : isInteger(value.dtype);
  if (!whole || value.ndim > 0) {
    throw fault("FAX1102", `${name}: an operand is no integer scalar`, { operands: [value] });
  }
  if (value instanceof Constant) return constant(value.value >>> 0, "u32");
  return convert(name, value, "u32");
}

/** The two words of a key. */
function wordsOf(name: string, x: Value): [Value, Value] {
  if (x.dtype !== "u32" || !sameShape(x.shape, [2])) {
    throw fault("FAX1203", `${name}: a key is u32[2], and this is ${x.dtype}${formatShape(x.shape)}`, {
      operands: [x],
      help: "make keys with random.key(seed) and random.split(key), and map over many keys with vmap",
    });
  }
  const word = (i: number): Value => lax.reshape(lax.slice(x, [i], [i + 1]), []);
  return [word(0), word(1)];
}

/** Threefry on the numbers of the elements of `shape`, as a 64-bit counter. */
function blocks(name: string, generator: Value, shape: Shape): [Value, Value] {
  const words = wordsOf(name, generator);
  const size = sizeOf(shape);
  if (size > 2 ** 32) throw fault("FAX1203", `${name}: ${size} numbers are more than one key gives, 2^32`);
  const counter = beside(generator, () =>
    shape.length === 1 ? lax.iota("u32", shape, 0) : lax.reshape(lax.iota("u32", [size], 0), shape),
  );
  const [first, second] = words.map((word) => spread(word, shape)) as [Value, Value];
  return lax.threefry2x32(first, second, constant(0, "u32"), counter);
}

/**
 * New keys from one: `u32[num, 2]`, or `u32[...num, 2]` for a shape. The old key must not be used again.
 *
 * @throws FAX1203 for anything that is not a key
 * @example const [key1, key2] = random.split(key);
 */
export function split<P extends string = "server">(generator: NDArray<P>, num: ShapeLike = 2): NDArray<P> {
  return placed(splitInto(generator, checkShape("split", num)));
}

function splitInto(generator: Value, shape: Shape): Value {
  const [first, second] = blocks("split", generator, shape);
  const axis = shape.length;
  return lax.concatenate([lax.expand_dims(first, [axis]), lax.expand_dims(second, [axis])], axis);
}

/** Two keys from one. */
export function splitPair(generator: Value): [Value, Value] {
  const keys = splitInto(generator, [2]);
  const row = (i: number): Value => lax.reshape(lax.slice(keys, [i, 0], [i + 1, 2]), [2]);
  return [row(0), row(1)];
}

/**
 * A key from a key and an integer, such as a round or a client's number.
 *
 * @throws FAX1102 for data that is not an integer scalar
 * @example random.foldIn(key, 7);
 */
export function foldIn<P extends string = "server">(
  generator: NDArray<P>,
  data: number | NDArray<NoInfer<P>>,
): NDArray<P> {
  const [first, second] = wordsOf("foldIn", generator);
  const outputs = lax.threefry2x32(first, second, constant(0, "u32"), integerScalar("foldIn", data));
  return placed(
    lax.concatenate(
      outputs.map((word) => lax.reshape(word, [1])),
      0,
    ),
  );
}

/**
 * Uniformly distributed bits, u32.
 *
 * @example random.bits(key, [3]);
 */
export function bits<P extends string = "server">(generator: NDArray<P>, shape: ShapeLike = []): NDArray<P> {
  return placed(bitsOf("bits", generator, checkShape("bits", shape)));
}

export function bitsOf(name: string, generator: Value, shape: Shape): Value {
  const [first, second] = blocks(name, generator, shape);
  return lax.xor(first, second);
}
