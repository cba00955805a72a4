import { lax, np } from "@fax/core";

const both = { x: np.zeros([3, 2]), y: np.zeros([4]) };
lax.scan((sum: ReturnType<typeof np.array>, { y }: typeof both) => [np.add(sum, y), null], np.array(0), both); // ← FAX1502

//> error[FAX1502] scan: leaf 1 of xs has 4 rows, but the loop has 3
//>   FAX1502.fax.ts:4:5
//>   4 │ lax.scan((sum: ReturnType<typeof np.array>, { y }: typeof both) => [np.add(sum, y), null], np.array(0), both); // ← FAX1…
//>     │     ^
