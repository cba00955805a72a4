// Federated averaging (McMahan et al. 2017) on handwritten digits: 100 clients, each with a few classes of its own.
//
//   fax run examples/fedavg-mnist.fax.ts
import {
  experiment,
  f32,
  federatedMap,
  federatedMean,
  federatedWeightedMean,
  i32,
  lax,
  type NDArray,
  np,
  program,
  valueAndGrad,
} from "@fax/core";
import { clientBatches, dirichletSplit } from "@fax/data";
import { accuracy, initialModel, lossOf, model, type Model, move, train, zeros } from "./digit-classifier.ts";

const steps = 10;
const batch = 10;
const clientRate = 0.3;
const momentum = 0.9;

// What one client does: a step of gradient descent on each of its batches.
function trainLocally(start: Model, images: NDArray, labels: NDArray) {
  const step = (local: Model, [x, y]: readonly [NDArray, NDArray]): [Model, NDArray] => {
    const [loss, gradient] = valueAndGrad(lossOf)(local, x, y);
    return [move(local, -clientRate, gradient), loss];
  };
  const [trained, losses] = lax.scan(step, start, [images, labels] as const);
  return { delta: move(trained, -1, start), loss: np.mean(losses) };
}

// One round: every client trains the server's model, and the server moves along the weighted mean of their changes.
export const round = program(
  {
    name: "round",
    placements: { clients: 100 },
    args: [
      { model, velocity: model },
      f32(steps, batch, 784).at("clients"),
      i32(steps, batch).at("clients"),
      f32().at("clients"), // how many examples the client has
    ],
  },
  (server, images, labels, weight) => {
    const { delta, loss } = federatedMap((x, y) => trainLocally(server.model, x, y), images, labels);
    const velocity = move(federatedWeightedMean(delta, weight), momentum, server.velocity);
    return { state: { model: move(server.model, 1, velocity), velocity }, metrics: { loss: federatedMean(loss) } };
  },
);

export default experiment({
  program: round,
  init: ({ key }) => {
    const start = initialModel(key);
    return { model: start, velocity: zeros(start) };
  },
  data: ({ clients, seed }) => {
    const split = dirichletSplit(train.labels, { clients, alpha: 0.3, seed });
    return ({ round }) => {
      const { images, labels, weights } = clientBatches(train, split, { steps, batch, round, seed });
      return [images, labels, weights];
    };
  },
  metrics: ({ model }) => ({ accuracy: accuracy(model) }),
  rounds: 25,
});
