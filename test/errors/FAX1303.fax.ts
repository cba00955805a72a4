import { f32, federatedMean, np, program } from "@fax/core";

const mean = program({ placements: { clients: 3 }, args: [f32().at("clients")] }, (x) => federatedMean(x));
mean(np.array([1, 2, 3, 4])); // ← FAX1303
