// Federated SGD on handwritten digits: the loss of all clients is one function of the server's model, and its gradient is
// taken through the map and the mean, which gives a federated program again.
//
//   fax run examples/fedsgd-mnist.fax.ts
//   fax inspect examples/fedsgd-mnist.fax.ts --entry round
import { experiment, f32, federatedMap, federatedWeightedMean, i32, program, valueAndGrad } from "@fax/core";
import { clientBatches, dirichletSplit } from "@fax/data";
import { accuracy, initialModel, lossOf, model, type Model, move, train, zeros } from "./digit-classifier.ts";

const batch = 80;
const rate = 0.2;
const momentum = 0.9;

// One round: one step down the gradient of the mean loss, in which a client counts by how many examples it has.
export const round = program(
  {
    name: "round",
    placements: { clients: 100 },
    args: [
      { model, velocity: model },
      f32(batch, 784).at("clients"),
      i32(batch).at("clients"),
      f32().at("clients"), // how many examples the client has
    ],
  },
  (server, images, labels, weight) => {
    const federatedLoss = (model: Model) => {
      const losses = federatedMap((x, y) => lossOf(model, x, y), images, labels);
      return federatedWeightedMean(losses, weight);
    };
    const [loss, gradient] = valueAndGrad(federatedLoss)(server.model);
    const velocity = move(gradient, momentum, server.velocity);
    return { state: { model: move(server.model, -rate, velocity), velocity }, metrics: { loss } };
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
      const { images, labels, weights } = clientBatches(train, split, { batch, round, seed });
      return [images, labels, weights];
    };
  },
  metrics: ({ model }) => ({ accuracy: accuracy(model) }),
  rounds: 40,
});
