// $ FAX_DEVICE=gpu VK_DRIVER_FILES=/dev/null fax run FAX2001.fax.ts
import { np } from "@fax/core";

await np.add(1, 2).data();

//> error[FAX2001] FAX_DEVICE=gpu: no hardware GPU: …
