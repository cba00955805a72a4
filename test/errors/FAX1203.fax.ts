import { np } from "@fax/core";

const image = np.zeros([784]);
np.reshape(image, [28, 27]); // ← FAX1203

//> error[FAX1203] reshape: an array of 784 elements does not have the shape [28,27]
//>   FAX1203.fax.ts:4:4
//>   4 │ np.reshape(image, [28, 27]); // ← FAX1203
//>     │    ^
