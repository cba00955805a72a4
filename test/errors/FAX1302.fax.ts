import { f32, federatedMean, program } from "@fax/core";

export const mean = program(
  { placements: { clients: 8 }, args: [f32(256)] },
  (model) => federatedMean(model as never), // ← FAX1302
);

//> error[FAX1302] federatedMean: the operand is f32[256]@server, and only a value at a group can be reduced
//>   FAX1302.fax.ts:5:14
//>   5 │   (model) => federatedMean(model as never), // ← FAX1302
//>     │              ^
//>   note: operand: f32[256]@server, argument 0 of the traced function
//>   help: leave it as it is, or bring it to the group with federatedBroadcast
