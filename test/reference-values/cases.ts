/** Values that are known from elsewhere (by hand, and from JAX), computed on one device. */
import {
  f32,
  federatedBroadcast,
  federatedMap,
  federatedMean,
  federatedSum,
  grad,
  hessian,
  jit,
  lax,
  type NDArray,
  np,
  program,
  valueAndGrad,
} from "@fax/core";
import { expect, test } from "vitest";
import { parallelLoss } from "../../examples/parallel-loss.fax.ts";

/** The largest relative distance between the elements and what they should be; absolute below 1. */
async function distance(actual: NDArray, expected: readonly number[]): Promise<number> {
  const found = Array.from(await actual.data());
  if (found.length !== expected.length) return Infinity;
  return Math.max(...expected.map((value, i) => Math.abs((found[i] ?? NaN) - value) / Math.max(1, Math.abs(value))));
}

const w = np.array([2, -1]);
const points = np.array([
  [1, 2],
  [3, -4],
  [-7, 6],
]);

const sensors = program(
  { name: "sensors", placements: { sensors: 100 }, args: [f32().at("sensors"), f32()] },
  (temperature, threshold) =>
    federatedMean(federatedMap((t, limit) => np.greater(t, limit), temperature, federatedBroadcast(threshold))),
);

const timesClients = program({ name: "timesClients", placements: { clients: 3 }, args: [f32()] }, (x) =>
  federatedSum(federatedBroadcast(x)),
);

const exampleLoss = (model: NDArray, x: NDArray): NDArray => np.multiply(0.5, np.sum(np.square(np.subtract(model, x))));

/** One round: local steps on one example each, then the mean of the models and of the losses before each step. */
const fedAvg = program(
  { name: "fedAvg", placements: { clients: 3 }, args: [f32(2), f32(4, 2).at("clients"), f32()] },
  (model, data, lr) => {
    const [models, losses] = federatedMap((examples) => {
      const step = (local: NDArray, x: NDArray): [NDArray, NDArray] => {
        const [loss, gradient] = valueAndGrad(exampleLoss)(local, x);
        return [np.subtract(local, np.multiply(lr, gradient)), loss];
      };
      const [local, lost] = lax.scan(step, model, examples);
      return [local, np.mean(lost)];
    }, data);
    return [federatedMean(models), federatedMean(losses)];
  },
);

const rounds = 5;
const lossPerRound = [0.74938524, 0.32258564, 0.13886254, 0.05977577, 0.02573151];

/** The same rounds by a loop of calls, and by one scan at the server. */
function fedAvgByCalls(lr: NDArray, data: NDArray): NDArray {
  let model = np.ones([2]);
  const losses: NDArray[] = [];
  for (let round = 0; round < rounds; round++) {
    const [next, loss] = fedAvg(model, data, lr);
    model = next;
    losses.push(loss);
  }
  return np.stack(losses);
}

function fedAvgByScan(lr: NDArray, data: NDArray): NDArray {
  const round = (model: NDArray): [NDArray, NDArray] => {
    const [next, loss] = fedAvg(model, data, lr);
    return [next, loss];
  };
  return lax.scan(round, np.ones([2]), null, { length: rounds })[1];
}

export function referenceValues(): void {
  test("linear regression: loss, gradient and Hessian", async () => {
    expect(await distance(parallelLoss(w, points), [87.16667])).toBeLessThan(1e-5);
    const [loss, gradient] = valueAndGrad(parallelLoss)(w, points);
    expect(await distance(loss, [87.16667])).toBeLessThan(1e-5);
    expect(await distance(gradient as NDArray, [57.666668, -54.666668])).toBeLessThan(1e-5);
    expect(
      await distance(hessian(parallelLoss)(w, points) as NDArray, [19.6667, -17.3333, -17.3333, 18.6667]),
    ).toBeLessThan(1e-4);
  });

  test("linear regression: the loss after one step", async () => {
    const step = jit((model: NDArray) =>
      np.subtract(model, np.multiply(0.01, grad(parallelLoss)(model, points) as NDArray)),
    );
    expect(await distance(parallelLoss(step(w), points), [35.551258])).toBeLessThan(1e-5);
  });

  test("the gradient with respect to a client's value lies at the clients", async () => {
    const gradient = grad(parallelLoss, { argnums: 1 })(w, points) as NDArray;
    expect(gradient.shape).toEqual([3, 2]);
    // (x·w − 1) w / 3 for each client
    expect(await distance(gradient, [-2 / 3, 1 / 3, 6, -3, -14, 7])).toBeLessThan(1e-5);
  });

  test("sensors: the share above a threshold", async () => {
    expect(await distance(sensors(np.arange(0, 100).astype(np.float32), 24), [0.75])).toBeLessThan(1e-5);
  });

  test("broadcast, then sum", async () => {
    expect(await distance(timesClients(2), [6])).toBeLessThan(1e-5);
    expect(await distance(grad(timesClients)(2) as NDArray, [3])).toBeLessThan(1e-5);
    expect(await distance(grad(timesClients.withPlacements({ clients: 7 }))(2) as NDArray, [7])).toBeLessThan(1e-5);
  });

  const data = np.full([3, 4, 2], 2);

  test.each([
    ["a loop of calls", fedAvgByCalls],
    ["one scan", fedAvgByScan],
  ])("FedAvg by %s: the loss of each round", async (_, losses) => {
    expect(await distance(jit(losses)(np.array(0.1), data), lossPerRound)).toBeLessThan(1e-5);
  });

  test.each([
    ["a loop of calls", fedAvgByCalls],
    ["one scan", fedAvgByScan],
  ])("FedAvg by %s: the derivative of the last loss by the learning rate", async (_, losses) => {
    const last = (lr: NDArray): NDArray => np.take(losses(lr, data), rounds - 1);
    expect(await distance(jit(grad(last))(np.array(0.1)) as NDArray, [-0.9857948])).toBeLessThan(1e-5);
  });
}
