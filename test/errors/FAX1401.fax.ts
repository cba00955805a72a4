import { grad, np } from "@fax/core";

const square = (x: ReturnType<typeof np.array>) => np.multiply(x, x);
grad(square)(np.array([1, 2, 3])); // ← FAX1401

//> error[FAX1401] grad: the function gives f32[3], and a gradient needs a float scalar at the server
//>   FAX1401.fax.ts:4:12
//>   4 │ grad(square)(np.array([1, 2, 3])); // ← FAX1401
//>     │            ^
//>   help: reduce it with np.sum or np.mean, or use jacrev
