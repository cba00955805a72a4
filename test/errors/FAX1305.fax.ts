import { f32, federatedBroadcast, federatedSum, program } from "@fax/core";

export const spread = program(
  { placements: { clients: 3 }, args: [f32(4)] },
  (x) => federatedSum(federatedBroadcast(x, "cleints" as "clients")), // ← FAX1305
);
