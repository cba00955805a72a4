// $ fax inspect FAX3004.fax.ts --entry losss
import { f32, np, program } from "@fax/core";

export const loss = program({ placements: { clients: 3 }, args: [f32(2)] }, (w) => np.sum(w));
