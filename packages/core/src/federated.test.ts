import { expect, test } from "vitest";
import {
  f16,
  f32,
  federatedBroadcast,
  federatedMap,
  federatedMax,
  federatedMean,
  federatedMin,
  federatedSum,
  federatedWeightedMean,
  grad,
  i32,
  bool,
  makeJaxpr,
  type NDArray,
  np,
  program,
  setDevice,
} from "./index.ts";

setDevice("reference");

const placements = { clients: 3 };
const lists = async (...arrays: readonly NDArray[]) => Promise.all(arrays.map((array) => array.tolist()));

test("reductions work on trees", async () => {
  const reduced = program({ placements, args: [{ a: f32().at("clients"), b: [f32(2).at("clients")] }] }, (x) => ({
    sum: federatedSum(x),
    mean: federatedMean(x),
    max: federatedMax(x),
    min: federatedMin(x),
  }));
  const { sum, mean, max, min } = reduced({
    a: [1, 2, 6],
    b: [
      [
        [1, 2],
        [3, 4],
        [5, -6],
      ],
    ],
  });
  expect(await lists(sum.a, mean.a, max.a, min.a)).toEqual([9, 3, 6, 1]);
  expect(await lists(sum.b[0], mean.b[0], max.b[0], min.b[0])).toEqual([
    [9, 0],
    [3, 0],
    [5, 4],
    [1, -6],
  ]);
});

test("means of integers and bools are f32, sums of bools are counts", async () => {
  const share = program({ placements, args: [i32().at("clients"), bool().at("clients")] }, (n, b) => [
    federatedMean(n),
    federatedMean(b),
    federatedSum(n),
    federatedSum(b),
  ]);
  const results = share([1, 2, 4], [true, false, true]);
  expect(results.map((value) => value.dtype)).toEqual(["f32", "f32", "i32", "i32"]);
  const [mean, part, sum, count] = await lists(...results);
  expect(mean).toBeCloseTo(7 / 3, 6);
  expect(part).toBeCloseTo(2 / 3, 6);
  expect([sum, count]).toEqual([7, 2]);
});

const weighted = program({ placements, args: [f32(2).at("clients"), f32().at("clients")] }, (x, weights) =>
  federatedWeightedMean(x, weights),
);

test("a weighted mean divides by the sum of the weights", async () => {
  const x = [
    [1, 2],
    [3, 4],
    [5, 6],
  ];
  expect(await weighted(x, [1, 0, 3]).tolist()).toEqual([4, 5]);
});

test("a weighted mean is zero where the weights sum to zero, and so is its gradient", async () => {
  const x = np.array([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  const total = (values: NDArray, weights: NDArray): NDArray => np.sum(weighted(values, weights));
  const zeros = np.zeros(3);
  expect(await weighted(x, zeros).tolist()).toEqual([0, 0]);
  const [byValues, byWeights] = grad(total, [0, 1])(x, zeros) as [NDArray, NDArray];
  expect(await byValues.tolist()).toEqual([
    [0, 0],
    [0, 0],
    [0, 0],
  ]);
  expect(await byWeights.tolist()).toEqual([0, 0, 0]);
});

test("a weighted mean keeps f16 and turns integers into f32; integer weights count", async () => {
  const mean = program(
    { placements, args: [f16().at("clients"), i32().at("clients"), i32().at("clients")] },
    (half, whole, weights) => federatedWeightedMean([half, whole], weights),
  );
  const [half, whole] = mean([1, 2, 3], [1, 2, 4], [2, 1, 1]);
  expect([half.dtype, whole.dtype]).toEqual(["f16", "f32"]);
  expect(await lists(half, whole)).toEqual([1.75, 2]);
});

test("a captured server value is broadcast once, and its gradient is a federated sum", async () => {
  const loss = program({ placements, args: [f32(2), f32(2).at("clients")] }, (w, x) =>
    federatedMean(federatedMap((x) => np.add(np.dot(x, w), np.sum(w)), x)),
  );
  const text = String(makeJaxpr(loss)(np.ones(2), np.ones([3, 2])));
  expect(text.match(/federated_broadcast/g)).toHaveLength(1);
  const gradient = String(makeJaxpr(grad(loss))(np.ones(2), np.ones([3, 2])));
  expect(gradient).toMatch(/f32\[2\]@server\s+= federated_sum/);
  expect(gradient).not.toMatch(/reduce_sum\[axes=\[0\]\]/);
  const x = [
    [1, 2],
    [3, 4],
    [5, 6],
  ];
  expect(await (grad(loss)(np.ones(2), np.array(x)) as NDArray).tolist()).toEqual([4, 5]);
});

test("inside a map, a derivative by a captured server value is the member's own", async () => {
  const slopes = program({ placements, args: [f32(), f32().at("clients")] }, (w, x) =>
    federatedMap((x) => grad((w: NDArray, x: NDArray) => np.multiply(np.square(w), x))(w, x) as NDArray, x),
  );
  expect(await slopes(2, [1, 2, 3]).tolist()).toEqual([4, 8, 12]);
});

test("a map's results are lifted to the group: numbers, captured values, trees", async () => {
  const lifted = program({ placements, args: [f32(2), f32().at("clients")] }, (w, x) =>
    federatedMap((x) => ({ number: 7, flag: true, captured: w, own: [x] }), x),
  );
  const { number, flag, captured, own } = lifted([1, 2], [3, 4, 5]);
  expect(await number.tolist()).toEqual([7, 7, 7]);
  expect(await flag.tolist()).toEqual([true, true, true]);
  expect(await captured.tolist()).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  expect(await own[0].tolist()).toEqual([3, 4, 5]);
});

test("arrays made in a map lie at its group", async () => {
  const made = program({ placements, args: [f32(2).at("clients")] }, (x) =>
    federatedSum(federatedMap((x) => np.add(x, np.arange(2).astype(np.float32)), x)),
  );
  expect(
    await made([
      [0, 0],
      [0, 0],
      [0, 0],
    ]).tolist(),
  ).toEqual([0, 3]);
});

test("several groups, named", async () => {
  const both = program(
    { placements: { clients: 2, sensors: 3 }, args: [f32(), f32().at("clients"), f32().at("sensors")] },
    (w, c, s) => [
      federatedSum(federatedMap((w, c) => np.multiply(w, c), federatedBroadcast(w, "clients"), c)),
      federatedSum(federatedMap((w, s) => np.multiply(w, s), federatedBroadcast(w, "sensors"), s)),
    ],
  );
  expect(await lists(...both(10, [1, 2], [1, 2, 3]))).toEqual([30, 60]);
});

test("faults of placement name the operator, the value and what would be legal", () => {
  const run = (
    body: (w: NDArray<string>, x: NDArray<string>) => unknown,
    groups: Record<string, number> = placements,
  ) => {
    const faulty = program({ name: "faulty", placements: groups, args: [f32(2), f32(2).at("clients")] }, body);
    return () => makeJaxpr(faulty)(np.ones(2), np.ones([3, 2]));
  };
  expect(() => federatedSum(np.ones(2) as NDArray<string>)).toThrow(/FAX1304 federatedSum/);
  expect(run((w) => federatedMean(w))).toThrow(/FAX1302 federatedMean: the operand is f32\[2\]@server/);
  expect(run((_, x) => federatedBroadcast(x))).toThrow(
    /FAX1302 federatedBroadcast: the operand is f32\[2\]@clients\[3\]/,
  );
  expect(run((w, x) => federatedMap((w, x) => np.add(w, x), w, x))).toThrow(/FAX1302 federatedMap.*federatedBroadcast/);
  expect(run((w) => federatedBroadcast(w, "clienst"))).toThrow(/FAX1305 .*clienst.*clients\[3\]/);
  expect(run((w) => federatedBroadcast(w), { clients: 3, sensors: 2 })).toThrow(/FAX1305 .*clients\[3\], sensors\[2\]/);
  expect(run((_, x) => federatedMap((x) => federatedSum(x as NDArray<string>), x))).toThrow(/FAX1306 federatedSum/);
  expect(run((_, x) => federatedMap((x) => federatedMap((y) => y, x as NDArray<string>), x))).toThrow(
    /FAX1306 federatedMap/,
  );
  expect(run((w, x) => federatedWeightedMean(x, w))).toThrow(/FAX1201 federatedWeightedMean: the weights are f32\[2\]/);
  const other = (w: NDArray<string>, x: NDArray<string>): unknown =>
    federatedMap((x, y) => np.add(x, y), x, federatedBroadcast(w, "sensors") as NDArray<string>);
  expect(run(other, { clients: 3, sensors: 2 })).toThrow(/FAX1301 federatedMap.*@clients\[3\] and @sensors\[2\]/);
});
