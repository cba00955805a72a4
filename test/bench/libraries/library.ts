/** What the benchmarks ask of a library: a program in its own words, run on given inputs. */
import type { HostArray } from "@fax/compiler/executable";
import type { OnnxGraph } from "./onnx-model.ts";

export const libraryNames = ["fax", "jax-js", "tensorflow.js", "onnxruntime"] as const;

export type LibraryName = (typeof libraryNames)[number];

/** The operations that the rows are written in, so that every library computes the same thing. */
export interface Ops<A> {
  add(x: A | number, y: A | number): A;
  sub(x: A | number, y: A | number): A;
  mul(x: A | number, y: A | number): A;
  div(x: A | number, y: A | number): A;
  /** A number to the power of an array. */
  power(base: number, exponent: A): A;
  sqrt(x: A): A;
  tanh(x: A): A;
  relu(x: A): A;
  gelu(x: A): A;
  matmul(x: A, y: A): A;
  transpose(x: A, permutation: readonly number[]): A;
  reshape(x: A, shape: readonly number[]): A;
  /** Repeated along new leading axes. */
  broadcast(x: A, shape: readonly number[]): A;
  /** Over all axes, or over one, which goes away. */
  sum(x: A, axis?: number): A;
  mean(x: A, axis?: number): A;
  /** Over the last axis. */
  softmax(x: A): A;
  layerNorm(x: A, scale: A, bias: A): A;
  /** The loss of each vector of the last axis of `logits` against a class number. */
  crossEntropy(logits: A, labels: A, classes: number): A;
  /** `x[index]`. */
  row(x: A, index: number): A;
  /** The loss and its gradient. */
  valueAndGrad(loss: (params: readonly A[]) => A, params: readonly A[]): readonly [A, readonly A[]];
}

/** `input(i)` is the i-th input, `all` are all of them. */
export type Program = <A>(ops: Ops<A>, input: (index: number) => A, all: readonly A[]) => readonly A[];

/** A program on the values of one library. */
export function applyProgram<A>(program: Program, ops: Ops<A>, inputs: readonly A[]): readonly A[] {
  const input = (index: number): A => {
    if (index >= inputs.length) throw new Error(`the row has no input ${index}`);
    return inputs[index] as A;
  };
  return program(ops, input, inputs);
}

/** A row of the table as a library is given it. */
export interface Task {
  readonly inputs: readonly HostArray[];
  readonly program: Program;
  /** The same as a model, for libraries that take nothing else. */
  readonly onnx?: OnnxGraph | undefined;
}

/** A program that is compiled, with its inputs on the device. */
export interface Prepared {
  /** Asks for one run. In a chain its first result becomes the first input of the next. */
  start(chained: boolean): void;
  /** All runs that were asked for are done, and their results freed. */
  finish(): Promise<void>;
  /** One run, and its results on the host. */
  read(): Promise<readonly ArrayLike<number>[]>;
  dispose(): void;
}

export interface Library {
  readonly name: LibraryName;
  readonly version: string;
  prepare(task: Task): Promise<Prepared>;
}

/** Why a library has no figure in a row. */
export class NotPossible extends Error {
  override readonly name = "NotPossible";
}
