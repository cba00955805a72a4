import { experiment, f32, program } from "@fax/core";

export default experiment({
  program: program({ placements: { clients: 3 }, args: [f32()] }, (w) => [w, { loss: w }]),
  init: () => 0,
  data: () => [],
  rounds: 0,
});

//> error[FAX3011] experiment: rounds is 0, and must be a whole number from 1
//>   FAX3011.fax.ts:3:16
//>   3 │ export default experiment({
//>     │                ^
//>   help: experiment({ program, init, data, rounds: 25, metrics, clients: 100, seed: 0 })
