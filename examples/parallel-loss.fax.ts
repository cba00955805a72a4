// The smallest federated program: the mean over the clients of ½(x·w − 1)². `w` lies at the server, an `x` at each client.
//
//   fax inspect examples/parallel-loss.fax.ts --stage trace
//   fax inspect examples/parallel-loss.fax.ts --stage grad
import { f32, federatedBroadcast, federatedMap, federatedMean, np, program } from "@fax/core";

export const parallelLoss = program({ placements: { clients: 3 }, args: [f32(2), f32(2).at("clients")] }, (w, x) =>
  federatedMean(
    federatedMap((w, x) => np.multiply(0.5, np.square(np.subtract(np.dot(x, w), 1))), federatedBroadcast(w), x),
  ),
);
