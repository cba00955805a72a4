import { readFileSync } from "node:fs";
import { type NDArray, random, setDevice } from "@fax/core";
import { describe, expect, it } from "vitest";

setDevice("reference");

interface Case {
  readonly call: "split" | "foldIn" | "uniform" | "normal";
  readonly seed: number;
  readonly fold?: number;
  /** Which half of each split is used. */
  readonly path?: readonly number[];
  readonly data?: number;
  readonly shape?: readonly number[];
  readonly expected: readonly number[];
}

const { cases } = JSON.parse(readFileSync(new URL("random.json", import.meta.url), "utf8")) as { cases: Case[] };

function draw(test: Case): NDArray {
  const root = random.key(test.seed);
  const folded = test.fold === undefined ? root : random.foldIn(root, test.fold);
  const key = (test.path ?? []).reduce((parent, child) => random.split(parent).slice(child), folded);
  switch (test.call) {
    case "split":
      return random.split(key);
    case "foldIn":
      return random.foldIn(key, test.data ?? 0);
    case "uniform":
      return random.uniform(key, test.shape);
    case "normal":
      return random.normal(key, test.shape);
    default:
      return test.call satisfies never;
  }
}

describe("jax.random", () => {
  for (const test of cases) {
    it(`${test.call} of seed ${test.seed}${test.path ? ` at ${test.path.join(".")}` : ""}`, async () => {
      const actual = [...(await draw(test).data())];
      expect(actual.length).toBe(test.expected.length);
      const isExact = test.call === "split" || test.call === "foldIn";
      for (const [i, expected] of test.expected.entries()) {
        // Documentation prints the shortest digits of an f32, at most eight decimals; normal goes through a logarithm that
        // every platform rounds by itself.
        const tolerance = isExact ? 0 : test.call === "uniform" ? 5e-9 : 4e-7 * Math.max(1, Math.abs(expected));
        const nearest = isExact ? expected : Math.fround(expected);
        expect(Math.abs((actual[i] as number) - nearest)).toBeLessThanOrEqual(tolerance);
      }
    });
  }
});
