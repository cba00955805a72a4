/**
 * Placements as the type checker sees them. A tree's places are the union of its arrays' places; a tree at the wrong one
 * meets a parameter type whose only property says, as its type, what is wrong.
 */
import type { NDArray } from "@fax/compiler";

/** The place of a value broadcast without naming the group: the program's only one, whatever its name. */
export type OnlyGroup = "the program's group";

declare const misplaced: unique symbol;

/** A parameter that no value fits; the message stands in the compiler's error. */
export interface Misplaced<Message extends string> {
  readonly [misplaced]: Message;
}

/** The places of all arrays of a tree; numbers fit anywhere and have none. */
export type PlacesOf<T> =
  T extends NDArray<infer P>
    ? P
    : T extends readonly (infer Entry)[]
      ? PlacesOf<Entry>
      : T extends object
        ? { [K in keyof T]: PlacesOf<T[K]> }[keyof T]
        : never;

/** The tree with all arrays at `P`; numbers become arrays there. */
export type At<T, P extends string> =
  T extends NDArray<string>
    ? NDArray<P>
    : T extends number | boolean
      ? NDArray<P>
      : T extends null | undefined
        ? null
        : { -readonly [K in keyof T]: At<T[K], P> };

/** The tree as code inside a map, or outside the program, has it. */
export type AtServer<T> = At<T, "server">;

/** `unknown` (so that every value fits) if all of `T` is at a group, else a message. */
export type RequireGroup<T> =
  string extends PlacesOf<T>
    ? unknown
    : "server" extends PlacesOf<T>
      ? Misplaced<"this value is at the server: federatedBroadcast(value) brings it to the group">
      : unknown;

/** `unknown` if all of `T` is at the server, else a message. */
export type RequireServer<T> =
  string extends PlacesOf<T>
    ? unknown
    : [PlacesOf<T>] extends ["server"]
      ? unknown
      : Misplaced<"this value is at a group already: federatedMean(value) or federatedSum(value) brings it to the server">;

/** The one group that several trees lie at. */
export type GroupOf<T> = [Exclude<PlacesOf<T>, OnlyGroup>] extends [never]
  ? OnlyGroup
  : Exclude<PlacesOf<T>, OnlyGroup>;

/** The parameters of a map's operands: each is at a group, and all at the same one. */
export type MapOperands<Args extends readonly unknown[]> = {
  [K in keyof Args]: Args[K] & RequireGroup<Args[K]> & RequireOneGroup<Exclude<GroupOf<Args>, "server">>;
};

/** The parameters of a mapped function: one member's values. */
export type MapArguments<Args extends readonly unknown[]> = { [K in keyof Args]: AtServer<Args[K]> };

type RequireOneGroup<G> =
  IsUnion<G> extends true
    ? Misplaced<"these values are at different groups: bring one of them to the server first">
    : unknown;

type IsUnion<T, U = T> = [T] extends [never] ? false : T extends unknown ? ([U] extends [T] ? false : true) : never;
