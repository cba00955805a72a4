import { grad, np } from "@fax/core";

const total = (counts: ReturnType<typeof np.array>) => np.sum(np.multiply(counts, 0.5));
grad(total)(np.array([1, 2, 3], { dtype: np.int32 })); // ← FAX1402

//> error[FAX1402] grad: argument 0 is i32[3], and only floats have derivatives
//>   FAX1402.fax.ts:4:11
//>   4 │ grad(total)(np.array([1, 2, 3], { dtype: np.int32 })); // ← FAX1402
//>     │           ^
//>   help: convert it with astype(np.float32), or choose other arguments with argnums
