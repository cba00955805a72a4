import { describe, expect, test } from "vitest";
import {
  f32,
  federatedBroadcast,
  federatedMap,
  federatedMean,
  federatedSum,
  i32,
  jit,
  makeJaxpr,
  type NDArray,
  np,
  program,
  setDevice,
  vmap,
} from "./index.ts";

setDevice("reference");

const total = program({ name: "total", placements: { clients: 3 }, args: [f32(2).at("clients")] }, (x) =>
  federatedSum(x),
);

describe("arguments", () => {
  test("a value at a group is an array, nested lists, typed arrays, or a list of arrays", async () => {
    for (const given of [
      np.array([
        [1, 2],
        [3, 4],
        [5, 6],
      ]),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      [Float32Array.of(1, 2), Float32Array.of(3, 4), Float32Array.of(5, 6)],
      [np.array([1, 2]), [3, 4], np.array([5, 6])],
    ]) {
      expect(await total(given).tolist()).toEqual([9, 12]);
    }
  });

  test("a tree at a group may be a list of trees", async () => {
    const sums = program(
      { placements: { clients: 2 }, args: [{ w: f32(2).at("clients"), b: f32().at("clients") }] },
      (x) => federatedSum(x),
    );
    const { w, b } = sums([
      { w: [1, 2], b: 10 },
      { w: np.array([3, 4]), b: 20 },
    ]);
    expect([await w.tolist(), await b.item()]).toEqual([[4, 6], 30]);
  });

  const scaled = program(
    { name: "scaled", placements: { clients: 2 }, args: [{ n: i32(), list: [f32(2)] }, f32().at("clients")] },
    ({ n, list }, x) => [n, list, federatedMean(x)],
  );

  test("numbers take the declared dtype", async () => {
    const [n, [list], mean] = scaled({ n: 3, list: [[1, 2]] }, [4, 6]) as [NDArray, [NDArray], NDArray];
    expect(n.dtype).toBe("i32");
    expect([await n.item(), await list.tolist(), await mean.item()]).toEqual([3, [1, 2], 5]);
  });

  const call = scaled as unknown as (...args: readonly unknown[]) => unknown;
  const good = { n: 3, list: [[1, 2]] };

  test.each([
    ["too few", [good], /FAX1004 scaled: 1 argument is given, and the program declares 2/],
    [
      "another structure",
      [{ n: 3 }, [4, 6]],
      /FAX1004 scaled: argument 0 is an object with the keys n, .*\{list: \[\*\], n: \*\}/,
    ],
    ["a fraction for i32", [{ ...good, n: 0.5 }, [4, 6]], /FAX1102 scaled: argument 0.n holds the number 0.5/],
    [
      "another dtype",
      [good, np.array([1, 2], { dtype: "i32" })],
      /FAX1102 scaled: argument 1 is i32\[2\].*f32\[\]@clients\[2\]/,
    ],
    [
      "another shape",
      [{ ...good, list: [[1, 2, 3]] }, [4, 6]],
      /FAX1201 scaled: argument 0.list\[0\] is f32\[3\].*f32\[2\]@server/,
    ],
    ["one value for a group", [good, 4], /FAX1201 scaled: argument 1 is f32\[\].*a list of 2 entries/],
    [
      "another cardinality",
      [good, [4, 6, 8]],
      /FAX1303 scaled: argument 1 has 3 entries .* the group clients has 2 members/,
    ],
    ["a string", [good, "x"], /FAX1003 scaled: argument 1 is a string/],
  ])("%s is an error", (_, args, message) => {
    expect(() => call(...args)).toThrow(message);
  });
});

describe("declarations", () => {
  test.each([0, -1, 2.5, NaN])("the cardinality %s is an error", (clients) => {
    expect(() => program({ placements: { clients }, args: [] }, () => 0)).toThrow(/FAX1303/);
  });

  test("an argument at a group that is not declared is an error", () => {
    const undeclared = f32(2).at<string>("sensors") as ReturnType<typeof f32>;
    expect(() => program({ placements: { clients: 2 }, args: [undeclared] }, (x) => x)).toThrow(
      /FAX1305 .*sensors.*clients\[2\]/,
    );
  });

  test("withPlacements changes the cardinality", async () => {
    const larger = total.withPlacements({ clients: 2 });
    expect(larger.placements).toEqual({ clients: 2 });
    expect(larger.name).toBe("total");
    expect(
      await larger([
        [1, 2],
        [3, 4],
      ]).tolist(),
    ).toEqual([4, 6]);
    expect(() => total.withPlacements({ sensors: 2 } as object)).toThrow(/FAX1305 withPlacements/);
  });
});

describe("programs inside traces", () => {
  test("jit compiles a program, and a function that calls programs of different cardinalities", async () => {
    expect(
      await jit(total)([
        [1, 2],
        [3, 4],
        [5, 6],
      ]).tolist(),
    ).toEqual([9, 12]);
    const pair = total.withPlacements({ clients: 2 });
    const both = jit((x: NDArray, y: NDArray) => np.add(total(x), pair(y)));
    expect(await both(np.ones([3, 2]), np.ones([2, 2])).tolist()).toEqual([5, 5]);
  });

  test("a program may call another at the server", async () => {
    const outer = program({ placements: { sensors: 4 }, args: [f32(2).at("sensors"), f32(3, 2)] }, (x, rows) =>
      federatedSum(federatedMap((x, t) => np.add(x, t), x, federatedBroadcast(total(rows)))),
    );
    expect(await outer(np.zeros([4, 2]), np.ones([3, 2])).tolist()).toEqual([12, 12]);
  });

  test("results at a group come back as an array", async () => {
    const doubled = program({ placements: { clients: 3 }, args: [f32().at("clients")] }, (x) =>
      federatedMap((x) => np.multiply(x, 2), x),
    );
    const reversed = jit((x: NDArray) => np.flip(doubled(x)));
    expect(await doubled([1, 2, 3]).tolist()).toEqual([2, 4, 6]);
    expect(await reversed(np.array([1, 2, 3])).tolist()).toEqual([6, 4, 2]);
  });

  test("vmap maps a program", async () => {
    const mapped = vmap((x: NDArray) => total(x));
    expect(
      await mapped(
        np.array([
          [
            [1, 2],
            [3, 4],
            [5, 6],
          ],
          [
            [1, 1],
            [1, 1],
            [1, 1],
          ],
        ]),
      ).tolist(),
    ).toEqual([
      [9, 12],
      [3, 3],
    ]);
  });

  test("a program inside a map says that this comes later", () => {
    const nested = program({ placements: { cohorts: 2 }, args: [f32(3, 2).at("cohorts")] }, (x) =>
      federatedMap((rows) => total(rows), x),
    );
    expect(() => makeJaxpr(nested)(np.ones([2, 3, 2]))).toThrow(/FAX1307 total/);
  });
});
