import { lax, np } from "@fax/core";

const counts = np.array([1, 2, 3], { dtype: np.int32 });
lax.add(np.array([0.5, 1.5, 2.5]), counts); // ← FAX1102
