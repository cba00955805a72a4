import { f32, federatedBroadcast, federatedSum, program } from "@fax/core";

export const spread = program(
  { placements: { clients: 3 }, args: [f32(4)] },
  (x) => federatedSum(federatedBroadcast(x, "cleints" as "clients")), // ← FAX1305
);

//> error[FAX1305] federatedBroadcast: the program does not declare the group cleints, its groups are clients[3]
//>   FAX1305.fax.ts:5:23
//>   5 │   (x) => federatedSum(federatedBroadcast(x, "cleints" as "clients")), // ← FAX1305
//>     │                       ^
//>   help: legal here: "clients"
