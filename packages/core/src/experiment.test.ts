import { expect, test } from "vitest";
import {
  experiment,
  f32,
  federatedMap,
  federatedMean,
  grad,
  type NDArray,
  np,
  program,
  random,
  setDevice,
} from "./index.ts";

setDevice("reference");

const round = program({ placements: { clients: 2 }, args: [f32(2), f32(2).at("clients")] }, (w, x) => {
  const loss = (w: NDArray) => federatedMean(federatedMap((x) => np.sum(np.square(np.subtract(w, x))), x));
  return { state: np.subtract(w, np.multiply(0.25, grad(loss)(w) as NDArray)), metrics: { loss: loss(w) } };
});

const options = {
  program: round,
  init: ({ key }: { key: NDArray }) => random.normal(key, [2]),
  rounds: 3,
  metrics: (w: NDArray) => ({ norm: np.sqrt(np.sum(np.square(w))) }),
};

test("a session runs rounds on the same data or on new data, and reads the metrics", async () => {
  const seen: number[] = [];
  const repeated = experiment({
    ...options,
    init: () => np.array([5, 1]),
    data: ({ clients }) => [np.ones([clients, 2])] as const,
  });
  const fresh = experiment({
    ...options,
    init: () => np.array([5, 1]),
    data:
      () =>
      async ({ round }) => {
        seen.push(round);
        return [np.ones([2, 2])] as const;
      },
  });
  for (const one of [repeated, fresh]) {
    const session = await one.start();
    expect(await session.round()).toEqual({ round: 1, metrics: { loss: 16, norm: Math.fround(Math.sqrt(10)) } });
    expect((await session.round()).metrics).toMatchObject({ loss: 4 });
    expect(await (session.state as NDArray).tolist()).toEqual([2, 1]);
  }
  expect(seen).toEqual([0, 1]);
});

test("the same seed gives the same start, and the cardinality can be changed", async () => {
  const random = experiment({ ...options, data: ({ clients }) => [np.ones([clients, 2])] as const });
  const run = async (seed: number, clients: number) => (await (await random.start({ seed, clients })).round()).metrics;
  expect(await run(1, 2)).toEqual(await run(1, 5));
  expect(await run(1, 2)).not.toEqual(await run(2, 2));
});

test.each([{ rounds: 0 }, { rounds: 1.5 }, { clients: 0 }, { seed: -1 }])("%o does not fit", (wrong) => {
  const good = { ...options, data: () => [np.ones([2, 2])] as const };
  expect(() => experiment({ ...good, ...wrong })).toThrow(/FAX3011 experiment/);
  expect(() => experiment(good).start(wrong)).toThrow(/FAX3011 experiment/);
});
