/**
 * Types of a program's arguments: `f32(784, 10)` is an array at the server, `f32(32, 784).at("clients")` one array for
 * each member of the group. The group axis is not part of the shape.
 */
import type { DType, NDArray, Shape } from "@fax/compiler";
import { checkShape } from "./np/axis.ts";
import type { ArrayLike } from "./np/operand.ts";

/** The type of an array: what its elements are, its shape, and where it lies. */
export class ArraySpec<P extends string = "server"> {
  readonly dtype: DType;
  readonly shape: Shape;
  /** `"server"`, or the name of a group. */
  readonly place: P;

  constructor(dtype: DType, shape: Shape, place: P) {
    this.dtype = dtype;
    this.shape = shape;
    this.place = place;
  }

  /**
   * The same type at a group: each member has an array of this shape.
   *
   * @example f32(32, 784).at("clients")
   */
  at<G extends string>(group: G): ArraySpec<G> {
    return new ArraySpec(this.dtype, this.shape, group);
  }
}

/** A tree of array types. `G` are the places that it may name. */
export type SpecTree<G extends string = string> =
  ArraySpec<G> | null | readonly SpecTree<G>[] | { readonly [key: string]: SpecTree<G> };

/** What a program's function receives for an argument of type `S`. */
export type Placed<S> = [SpecTree<"server">] extends [S]
  ? NDArray<string>
  : S extends ArraySpec<infer P>
    ? NDArray<P>
    : { -readonly [K in keyof S]: Placed<S[K]> };

/** What a caller passes for it: at a group, an array whose leading axis is the group, or a list with an entry per member. */
export type Given<S> =
  S extends ArraySpec<infer P>
    ? P extends "server"
      ? ArrayLike
      : ArrayLike | readonly ArrayLike[]
    : { readonly [K in keyof S]: Given<S[K]> } | PerMember<S>;

/** A tree whose leaves all lie at a group may also be given as a list of trees, one for each member. */
type PerMember<S> = S extends readonly unknown[]
  ? never
  : "server" extends PlacesOf<S>
    ? never
    : readonly GivenMember<S>[];

type GivenMember<S> = S extends ArraySpec<string> ? ArrayLike : { readonly [K in keyof S]: GivenMember<S[K]> };

type PlacesOf<S> =
  S extends ArraySpec<infer P> ? P : S extends null ? never : { [K in keyof S]: PlacesOf<S[K]> }[keyof S];

const spec =
  (dtype: DType) =>
  (...shape: readonly number[]): ArraySpec =>
    new ArraySpec(dtype, checkShape(dtype, shape), "server");

/**
 * An array of 32-bit floats.
 *
 * @throws FAX1203 for a size that is not a whole number from 0
 * @example f32(784, 10)
 * @example f32(32, 784).at("clients")
 */
export const f32 = spec("f32");

/** An array of 16-bit floats. @example f16(256).at("clients") */
export const f16 = spec("f16");

/** An array of 32-bit integers. @example i32(32).at("clients") */
export const i32 = spec("i32");

/** An array of unsigned 32-bit integers. @example u32(2) */
export const u32 = spec("u32");

/** An array of booleans. @example bool(32).at("clients") */
export const bool = spec("bool");
