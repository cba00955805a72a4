/**
 * How a function enters a trace. An ordinary function takes its arguments as they are; a program declares where each of
 * them lies. Every transform works on this interface and gives a function that has it again, so that they compose.
 */
import {
  type Aval,
  currentBuilder,
  flatten,
  isArrayLeaf,
  type Leaf,
  type Tree,
  type TreeDef,
  type Value,
} from "@fax/compiler";
import { asValue } from "./values.ts";

export const traceable: unique symbol = Symbol("fax.traceable");

/** Arguments as flat values in the memory layout of the outside (a group's axis leads), and their types inside. */
export interface BoundArguments {
  readonly leaves: readonly Value[];
  readonly avals: readonly Aval[];
  /** The structure of the list of arguments. */
  readonly treedef: TreeDef;
}

export interface Traceable {
  readonly name: string;
  /** Checks and converts what a caller outside any trace passes. */
  bindArguments(args: readonly unknown[]): BoundArguments;
  /** The function on values of a trace in progress, placed as `bindArguments` says. */
  apply(args: readonly Tree[]): Tree;
  /** The same on ordinary values of a trace in progress: a program's group arguments are arrays there. */
  applyOutside(args: readonly Tree[]): Tree;
}

export interface HasTraceable {
  readonly [traceable]: Traceable;
}

type AnyFunction = (...args: never[]) => unknown;

export function traceableOf(fn: AnyFunction): Traceable {
  if (traceable in fn) return (fn as AnyFunction & HasTraceable)[traceable];
  const call = (args: readonly Tree[]): Tree => (fn as unknown as (...args: readonly Tree[]) => Tree)(...args);
  return { name: fn.name || "function", bindArguments: bindPlain, apply: call, applyOutside: call };
}

/** Arguments as they are: arrays, and numbers as weak scalars. */
export function bindPlain(args: readonly unknown[]): BoundArguments {
  const { leaves, treedef } = flatten<Leaf>(args, { isLeaf: isArrayLeaf, what: "arguments" });
  const values = leaves.map(asValue);
  return { leaves: values, avals: values.map((value) => value.aval), treedef };
}

/** Whether a trace is in progress, so that operations are staged. */
export function isTracing(): boolean {
  return currentBuilder() !== null;
}
