// $ fax inspect FAX3004.fax.ts --entry losss
import { f32, np, program } from "@fax/core";

export const loss = program({ placements: { clients: 3 }, args: [f32(2)] }, (w) => np.sum(w));

//> error[FAX3004] entry: there is no export losss; the module exports loss
//>   FAX3004.fax.ts:1:1
//>   1 │ // $ fax inspect FAX3004.fax.ts --entry losss
//>     │ ^
//>   help: --entry is one of loss
