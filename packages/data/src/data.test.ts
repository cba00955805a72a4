import { expect, test } from "vitest";
import { clientBatches, dirichletSplit, mnist, RandomSource, select } from "./index.ts";

const { train, test: held } = mnist({ train: 8000, test: 2000 });

test("mnist gives every digit once, in a random order that the seed decides", () => {
  expect([train.size, held.size, train.features]).toEqual([8000, 2000, 784]);
  const counts = new Array<number>(10).fill(0);
  for (const label of [...train.labels, ...held.labels]) counts[label] = (counts[label] ?? 0) + 1;
  // The digits of the package, class by class.
  expect(counts).toEqual([1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]);
  expect(train.images.every((pixel) => pixel >= 0 && pixel <= 1)).toBe(true);
  const again = mnist({ train: 20, test: 0 }).train;
  expect(again.labels).toEqual(train.labels.slice(0, 20));
  expect(again.images).toEqual(train.images.slice(0, 20 * 784));
  expect(mnist({ train: 20, test: 0, seed: 1 }).train.labels).not.toEqual(again.labels);
  expect(() => mnist({ train: 9000, test: 2000 })).toThrow(/FAX3010 mnist: 9000 and 2000 digits.*10000/);
});

test("dirichletSplit gives every example to one client, and every client an example", () => {
  for (const alpha of [0.001, 0.3, 100]) {
    const split = dirichletSplit(train.labels, { clients: 100, alpha, seed: 3 });
    expect(split).toHaveLength(100);
    expect(Math.min(...split.map((part) => part.length))).toBeGreaterThan(0);
    expect(split.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 8000 }, (_, i) => i));
  }
});

test("a small alpha skews the labels, a large one does not", () => {
  /** Mean share of a client's most frequent label. */
  const skew = (alpha: number): number => {
    const shares = dirichletSplit(train.labels, { clients: 20, alpha, seed: 1 }).map((part) => {
      const counts = new Array<number>(10).fill(0);
      for (const i of part) counts[train.labels[i] ?? 0] = (counts[train.labels[i] ?? 0] ?? 0) + 1;
      return Math.max(...counts) / part.length;
    });
    return shares.reduce((a, b) => a + b, 0) / shares.length;
  };
  expect(skew(0.05)).toBeGreaterThan(0.5);
  expect(skew(1000)).toBeLessThan(0.15);
});

test("dirichletSplit refuses more clients than examples, and an alpha that is not positive", () => {
  expect(() => dirichletSplit([0, 1], { clients: 3, alpha: 1 })).toThrow(/FAX3010 .*2 examples .* 3 clients/);
  expect(() => dirichletSplit([0, 1], { clients: 1, alpha: 0 })).toThrow(/FAX3010 .*alpha is 0/);
});

test("clientBatches draws each client's own examples, all of them before any twice", async () => {
  const few = select(train, [0, 1, 2, 3, 4, 5]);
  const split = [
    [0, 1, 2, 3],
    [4, 5],
  ];
  const { images, labels, weights } = clientBatches(few, split, { steps: 2, batch: 2, round: 0 });
  expect([images.shape, labels.shape, labels.dtype]).toEqual([[2, 2, 2, 784], [2, 2, 2], "i32"]);
  expect(await weights.tolist()).toEqual([4, 2]);
  const drawn = [...(await labels.data())];
  const sorted = (list: readonly number[]): number[] => [...list].sort((a, b) => a - b);
  const own = (part: readonly number[]): number[] => sorted(part.map((i) => few.labels[i] ?? -1));
  expect(sorted(drawn.slice(0, 4))).toEqual(own([0, 1, 2, 3]));
  expect(sorted(drawn.slice(4))).toEqual(own([4, 4, 5, 5]));
  const data = await images.data();
  const rows = Array.from({ length: 8 }, (_, row) => data.slice(row * 784, (row + 1) * 784).join());
  expect(new Set(rows.slice(4)).size).toBe(2);
  const later = await clientBatches(few, split, { batch: 3, round: 7 }).images.data();
  expect(later).toHaveLength(2 * 3 * 784);
});

test("random numbers have the moments of their distributions", () => {
  const random = new RandomSource(1, 2);
  const mean = (draw: () => number, count = 20000): number => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += draw();
    return sum / count;
  };
  expect(mean(() => random.uniform())).toBeCloseTo(0.5, 1);
  expect(mean(() => random.normal())).toBeCloseTo(0, 1);
  expect(mean(() => random.normal() ** 2)).toBeCloseTo(1, 1);
  for (const shape of [0.3, 2.5]) expect(mean(() => Math.exp(random.logGamma(shape))) / shape).toBeCloseTo(1, 1);
  expect(new Set(new RandomSource(5).shuffled([1, 2, 3, 4]))).toEqual(new Set([1, 2, 3, 4]));
  expect(new RandomSource(1).bits()).toBe(new RandomSource(1).bits());
  expect(new RandomSource(1, 0).bits()).not.toBe(new RandomSource(1).bits());
});
