// $ FAX_DEVICE=quantum fax run FAX2002.fax.ts
import { np } from "@fax/core";

await np.add(1, 2).data();

//> error[FAX2002] FAX_DEVICE: there is no device named "quantum"
//>   help: one of auto, gpu, software, reference
