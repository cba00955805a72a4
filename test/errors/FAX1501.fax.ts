import { lax, np } from "@fax/core";

const grow = (sum: ReturnType<typeof np.array>, x: ReturnType<typeof np.array>) =>
  [np.concatenate([sum, np.expandDims(x, 0)]), null] as const;

lax.scan(grow, np.zeros([0]), np.array([1, 2, 3])); // ← FAX1501

//> error[FAX1501] scan: carry 0 enters the body as f32[0] and leaves it as f32[1]
//>   FAX1501.fax.ts:6:5
//>   6 │ lax.scan(grow, np.zeros([0]), np.array([1, 2, 3])); // ← FAX1501
//>     │     ^
//>   help: make the body return carries of the types it takes: start from an array of the right type, or convert with astype
