import { f32, federatedMean, np, program } from "@fax/core";

const mean = program({ placements: { clients: 3 }, args: [f32().at("clients")] }, (x) => federatedMean(x));
mean(np.array([1, 2, 3, 4])); // ← FAX1303

//> error[FAX1303] program: argument 0 has 4 entries along its leading axis, and the group clients has 3 members
//>   FAX1303.fax.ts:4:1
//>   4 │ mean(np.array([1, 2, 3, 4])); // ← FAX1303
//>     │ ^
//>   help: pass 3 entries, or declare the cardinality: withPlacements({ clients: 4 })
