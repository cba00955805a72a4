import { f32, federatedMap, federatedMean, np, program } from "@fax/core";

export const centred = program({ placements: { clients: 3 }, args: [f32(4).at("clients")] }, (x) =>
  federatedMean(
    federatedMap((own) => {
      const all = federatedMean(own as never); // ← FAX1306
      return np.subtract(own, all);
    }, x),
  ),
);
