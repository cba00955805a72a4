import { np } from "@fax/core";

const x = np.array([1, 2, 3]);
x.dispose();
np.add(x, 1); // ← FAX1005

//> error[FAX1005] an array of type f32[3] is used after it was disposed
//>   FAX1005.fax.ts:5:4
//>   5 │ np.add(x, 1); // ← FAX1005
//>     │    ^
//>   help: dispose of an array only when nothing reads it any more; without dispose it is freed by itself
