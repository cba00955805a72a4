import { experiment, f32, program } from "@fax/core";

export default experiment({
  program: program({ placements: { clients: 3 }, args: [f32()] }, (w) => [w, { loss: w }]),
  init: () => 0,
  data: () => [],
  rounds: 0,
});
