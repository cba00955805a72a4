// $ FAX_DEVICE=software fax inspect FAX2003.fax.ts
import { np } from "@fax/core";

// 16 GiB
const table = np.zeros([65536, 65536]);
await np.sum(np.multiply(table, table.T), { axis: 0 }).data(); // ← FAX2003
