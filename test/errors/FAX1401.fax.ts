import { grad, np } from "@fax/core";

const square = (x: ReturnType<typeof np.array>) => np.multiply(x, x);
grad(square)(np.array([1, 2, 3])); // ← FAX1401
