// $ fax inspect FAX3005.fax.ts --entry rounds
import { f32, np, program } from "@fax/core";

export const rounds = 25;
export const loss = program({ placements: { clients: 3 }, args: [f32(2)] }, (w) => np.sum(w));

//> error[FAX3005] entry: the export rounds is no program
//>   FAX3005.fax.ts:1:1
//>   1 │ // $ fax inspect FAX3005.fax.ts --entry rounds
//>     │ ^
//>   help: --entry is one of loss
