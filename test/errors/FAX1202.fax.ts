import { np } from "@fax/core";

const logits = np.zeros([32, 10]);
np.max(logits, { axis: 2 }); // ← FAX1202
