import { np, vmap } from "@fax/core";

const add = vmap((x: ReturnType<typeof np.array>, y: ReturnType<typeof np.array>) => np.add(x, y));
add(np.zeros([4, 2]), np.zeros([5, 2])); // ← FAX1403
