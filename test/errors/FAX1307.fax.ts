import { f32, federatedMap, federatedMean, program } from "@fax/core";

const inner = program({ placements: { devices: 2 }, args: [f32().at("devices")] }, (x) => federatedMean(x));

export const outer = program({ placements: { clients: 3 }, args: [f32(2).at("clients")] }, (x) =>
  federatedMean(
    federatedMap(
      (own) => inner(own), // ← FAX1307
      x,
    ),
  ),
);

//> error[FAX1307] program: a program is called inside the map of another, and groups inside groups do not exist yet
//>   FAX1307.fax.ts:8:16
//>   8 │       (own) => inner(own), // ← FAX1307
//>     │                ^
//>   help: call the program at the server, outside of federatedMap
