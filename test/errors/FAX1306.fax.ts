import { f32, federatedMap, federatedMean, np, program } from "@fax/core";

export const centred = program({ placements: { clients: 3 }, args: [f32(4).at("clients")] }, (x) =>
  federatedMean(
    federatedMap((own) => {
      const all = federatedMean(own as never); // ← FAX1306
      return np.subtract(own, all);
    }, x),
  ),
);

//> error[FAX1306] federatedMean: a federated operator is used inside a map at @clients[3], where code sees one member only
//>   FAX1306.fax.ts:6:19
//>   6 │       const all = federatedMean(own as never); // ← FAX1306
//>     │                   ^
//>   help: return the value from federatedMap, and apply federatedMean to the result
