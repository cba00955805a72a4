import { np } from "@fax/core";

const x = np.array([1, 2, 3); // ← FAX3002

//> error[FAX3002] syntax: expected "]" but found ")"
//>   FAX3002.fax.ts:3:28
//>   3 │ const x = np.array([1, 2, 3); // ← FAX3002
//>     │                            ^
