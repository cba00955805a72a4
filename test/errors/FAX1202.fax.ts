import { np } from "@fax/core";

const logits = np.zeros([32, 10]);
np.max(logits, { axis: 2 }); // ← FAX1202

//> error[FAX1202] max: axis 2 does not exist in an array of 2 dimensions
//>   FAX1202.fax.ts:4:4
//>   4 │ np.max(logits, { axis: 2 }); // ← FAX1202
//>     │    ^
//>   help: legal here: -2 to 1
