import { grad, np } from "@fax/core";

const loss = (w: ReturnType<typeof np.array>) => np.sum(np.square(w));
grad(loss, { argnums: 1 })(np.array([1, 2, 3])); // ← FAX1404

//> error[FAX1404] grad: argnums names argument 1, but the function was called with 1
//>   FAX1404.fax.ts:4:26
//>   4 │ grad(loss, { argnums: 1 })(np.array([1, 2, 3])); // ← FAX1404
//>     │                          ^
