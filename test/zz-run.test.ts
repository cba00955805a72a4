import { test } from "vitest";
import { device, setDevice } from "@fax/core";
import fedavg from "../examples/fedavg-mnist.fax.ts";
setDevice("software");
test("t", async () => {
  const s = await fedavg.start({ clients: Number(process.env.CL ?? 3) });
  for (let i = 0; i < Number(process.env.R ?? 2); i++) { const t = performance.now(); console.log(JSON.stringify(await s.round()), performance.now() - t); }
  console.log((await device()).name);
}, 600000);
