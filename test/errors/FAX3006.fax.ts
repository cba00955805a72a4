// $ FAX_DEBUG=wsgl fax inspect FAX3006.fax.ts
import { f32, np, program } from "@fax/core";

export const loss = program({ placements: { clients: 3 }, args: [f32(2)] }, (w) => np.sum(w));

//> error[FAX3006] FAX_DEBUG: wsgl is no switch
//>   help: a list, separated by commas, of times, ir, loops, fused, plan, wgsl, dump=DIR, check=none|ends|passes, op-by-op, reference
