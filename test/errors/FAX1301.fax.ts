import { f32, federatedMap, lax, np, program } from "@fax/core";

export const step = program(
  { placements: { clients: 8 }, args: [f32(256), f32(256).at("clients")] },
  (model, examples) => {
    const grads = federatedMap((x) => np.multiply(x, 2), examples);
    return lax.sub(model, grads); // ← FAX1301
  },
);

//> error[FAX1301] sub: operands are at different placements, @server and @clients[8]
//>   FAX1301.fax.ts:7:16
//>   7 │     return lax.sub(model, grads); // ← FAX1301
//>     │                ^
//>   note: operand 0: f32[256]@server, argument 0 of the traced function
//>   note: operand 1: f32[256]@clients[8], produced by mul at FAX1301.fax.ts:6:42
//>   note: legal here: both @server, or both @clients[8]
//>   help: bring the server's value to the group with federatedBroadcast, or the group's to the server with federatedMean
