import { federatedBroadcast, np } from "@fax/core";

const model = np.zeros([10]);
federatedBroadcast(model); // ← FAX1304

//> error[FAX1304] federatedBroadcast: a federated operator is used outside a program, so that there is no group to act on
//>   FAX1304.fax.ts:4:1
//>   4 │ federatedBroadcast(model); // ← FAX1304
//>     │ ^
//>   help: wrap the function: program({ placements: { clients: 3 }, args: [f32(2)] }, (x) => …)
