import { f32, federatedMap, federatedMean, program } from "@fax/core";

const inner = program({ placements: { devices: 2 }, args: [f32().at("devices")] }, (x) => federatedMean(x));

export const outer = program({ placements: { clients: 3 }, args: [f32(2).at("clients")] }, (x) =>
  federatedMean(
    federatedMap(
      (own) => inner(own), // ← FAX1307
      x,
    ),
  ),
);
