/** What a row of the table is. */
import type { HostArray } from "@fax/compiler/executable";
import type { FaxFunction } from "../libraries/fax.ts";
import type { LibraryName, Program } from "../libraries/library.ts";
import type { OnnxGraph } from "../libraries/onnx-model.ts";
import type { MatmulElement } from "../matmul-variants.ts";

/** One element of a result as plain JavaScript computes it. */
export interface Expected {
  readonly output: number;
  readonly index: number;
  readonly value: number;
}

export interface Row {
  readonly name: string;
  /**
   * `call`: calls that do not depend on each other. `chained`: the first result is the next call's first input.
   * `readback`: each call's results are read before the next call.
   */
  readonly mode: "call" | "chained" | "readback";
  /** What the mathematics needs, whatever the library does. */
  readonly flops: number;
  /** Inputs read once and results written once. */
  readonly bytes: number;
  readonly needs?: "shader-f16";
  /** It is a product of square matrices, which there are kernels by hand for. */
  readonly product?: { readonly element: MatmulElement; readonly size: number };
  inputs(): readonly HostArray[];
  readonly program: Program;
  readonly fax?: FaxFunction;
  readonly onnx?: OnnxGraph;
  /** Why a library is left out. */
  readonly without?: Partial<Record<LibraryName, string>>;
  expected?(inputs: readonly HostArray[]): readonly Expected[];
  /** Relative to the root mean square of the result. */
  readonly tolerance: number;
}

/** Uniform in −1 … 1, the same at every run (mulberry32). */
export function uniform(seed: number, shape: readonly number[], scale = 1): HostArray {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let state = seed;
  for (let i = 0; i < data.length; i++) {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    data[i] = (((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1) * scale;
  }
  return { dtype: "f32", shape, data };
}

/** Class numbers. */
export function labels(seed: number, shape: readonly number[], classes: number): HostArray {
  const values = uniform(seed, shape).data;
  return {
    dtype: "i32",
    shape,
    data: Int32Array.from(values, (v) => Math.min(classes - 1, Math.floor(((v + 1) / 2) * classes))),
  };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

export const bytesOf = (...elements: readonly number[]): number => 4 * elements.reduce((a, b) => a + b, 0);
