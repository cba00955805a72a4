import { grad, np } from "@fax/core";

const total = (counts: ReturnType<typeof np.array>) => np.sum(np.multiply(counts, 0.5));
grad(total)(np.array([1, 2, 3], { dtype: np.int32 })); // ← FAX1402
