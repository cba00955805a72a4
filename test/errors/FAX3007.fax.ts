// $ fax check FAX3007.fax.ts
import { f32, federatedMean, program } from "@fax/core";

export const mean = program(
  { placements: { clients: 8 }, args: [f32(256)] },
  (model) => federatedMean(model), // ← FAX3007
);

//> file:///work/main/runtime-webgpu/src/device.ts:5
//> import { CallEncoder, dispatchesPerSubmit } from "./encode.ts";
//>          ^^^^^^^^^^^
//> SyntaxError: The requested module './encode.ts' does not provide an export named 'CallEncoder'
//>     at ModuleJob._instantiate (node:internal/modules/esm/module_job:213:21)
//>     at async ModuleJob.run (node:internal/modules/esm/module_job:320:5)
//>     at async ModuleLoader.import (node:internal/modules/esm/loader:606:24)
//>     at async asyncRunEntryPointWithESMLoader (node:internal/modules/run_main:117:5)
//>
//> Node.js v20.20.2
