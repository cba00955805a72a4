import { grad, np } from "@fax/core";

const loss = (w: ReturnType<typeof np.array>) => np.sum(np.square(w));
grad(loss, { argnums: 1 })(np.array([1, 2, 3])); // ← FAX1404
