import { jit, np } from "@fax/core";

const kept: ReturnType<typeof np.sin>[] = [];
const f = jit((x: ReturnType<typeof np.sin>) => {
  kept.push(np.sin(x));
  return x;
});
f(np.array([1, 2]));
const [leaked] = kept;
if (leaked) np.add(leaked, 1); // ← FAX1001
