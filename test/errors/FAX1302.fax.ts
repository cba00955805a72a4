import { f32, federatedMean, program } from "@fax/core";

export const mean = program(
  { placements: { clients: 8 }, args: [f32(256)] },
  (model) => federatedMean(model as never), // ← FAX1302
);
