import { lax, np } from "@fax/core";

const grow = (sum: ReturnType<typeof np.array>, x: ReturnType<typeof np.array>) =>
  [np.concatenate([sum, np.expandDims(x, 0)]), null] as const;

lax.scan(grow, np.zeros([0]), np.array([1, 2, 3])); // ← FAX1501
