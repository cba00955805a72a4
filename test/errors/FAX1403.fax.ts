import { np, vmap } from "@fax/core";

const add = vmap((x: ReturnType<typeof np.array>, y: ReturnType<typeof np.array>) => np.add(x, y));
add(np.zeros([4, 2]), np.zeros([5, 2])); // ← FAX1403

//> error[FAX1403] vmap: the mapped axes differ in size, 4 for leaf 0 and 5 for leaf 1
//>   FAX1403.fax.ts:4:1
//>   4 │ add(np.zeros([4, 2]), np.zeros([5, 2])); // ← FAX1403
//>     │ ^
