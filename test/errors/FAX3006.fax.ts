// $ FAX_DEBUG=wsgl fax inspect FAX3006.fax.ts
import { f32, np, program } from "@fax/core";

export const loss = program({ placements: { clients: 3 }, args: [f32(2)] }, (w) => np.sum(w));

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
