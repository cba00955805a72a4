import { f32, federatedMap, lax, np, program } from "@fax/core";

export const step = program(
  { placements: { clients: 8 }, args: [f32(256), f32(256).at("clients")] },
  (model, examples) => {
    const grads = federatedMap((x) => np.multiply(x, 2), examples);
    return lax.sub(model, grads); // ← FAX1301
  },
);
