import { constant, type Leaf, NDArray, type Value } from "@fax/compiler";

/** A leaf as a value: a number becomes a weakly typed f32 scalar, a boolean a bool. */
export function asValue(leaf: Leaf): Value {
  if (leaf instanceof NDArray) return leaf;
  return typeof leaf === "boolean" ? constant(leaf, "bool") : constant(leaf, "f32", { weak: true });
}
