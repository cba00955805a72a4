import { jit, np } from "@fax/core";

const kept: ReturnType<typeof np.sin>[] = [];
const f = jit((x: ReturnType<typeof np.sin>) => {
  kept.push(np.sin(x));
  return x;
});
f(np.array([1, 2]));
const [leaked] = kept;
if (leaked) np.add(leaked, 1); // ← FAX1001

//> error[FAX1001] a tracer of type f32[2] is used outside the trace that made it
//>   FAX1001.fax.ts:10:16
//>   10 │ if (leaked) np.add(leaked, 1); // ← FAX1001
//>      │                ^
//>   help: return the value from the traced function instead of storing it in a variable outside
