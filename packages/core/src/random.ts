/**
 * Random numbers as pure functions of a key, bit for bit those of JAX's default generator: Threefry-2x32 (Salmon et al., "Parallel
 * random numbers: as easy as 1, 2, 3", SC 2011) on counters that do not depend on how an array is divided
 * (`jax_threefry_partitionable`, JAX's default since 0.5).
 *
 * A key is a `u32[2]` array. The same key always gives the same numbers: split it, and use every key once.
 */
export { categorical, choice, type IntegerOptions, permutation, randint } from "./random/choices.ts";
export {
  bernoulli,
  exponential,
  type FloatOptions,
  gumbel,
  normal,
  uniform,
  type UniformOptions,
} from "./random/floats.ts";
export { bits, foldIn, key, type ShapeLike, split } from "./random/keys.ts";
