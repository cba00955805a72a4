// $ FAX_DEVICE=software fax run FAX2003.fax.ts
import { np } from "@fax/core";

// 2 GiB
const table = np.zeros([16384, 32768]);
await np.sum(table).data();

//> error[FAX2003] broadcast_in_dim: the array f32[16384,32768] takes 2147483648 bytes, and … binds at most … (maxStorageBufferBindingSize)
//>   help: split the array along an axis, or use fewer elements a call
