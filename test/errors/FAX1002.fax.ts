import { f32, np, program } from "@fax/core";

let reading: Promise<unknown> = Promise.resolve();

export const clipped = program({ placements: { clients: 2 }, args: [f32()] }, (x) => {
  reading = np.sin(x).item(); // ← FAX1002
  return x;
});

clipped(1);
await reading;

//> error[FAX1002] the data of a traced value of type f32[] is not known yet
//>   FAX1002.fax.ts:6:23
//>   6 │   reading = np.sin(x).item(); // ← FAX1002
//>     │                       ^
//>   help: return the value from the traced function, and read it there
