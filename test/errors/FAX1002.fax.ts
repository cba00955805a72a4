import { f32, np, program } from "@fax/core";

let reading: Promise<unknown> = Promise.resolve();

export const clipped = program({ placements: { clients: 2 }, args: [f32()] }, (x) => {
  reading = np.sin(x).item(); // ← FAX1002
  return x;
});

clipped(1);
await reading;
