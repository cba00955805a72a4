import { lax, np } from "@fax/core";

const both = { x: np.zeros([3, 2]), y: np.zeros([4]) };
lax.scan((sum: ReturnType<typeof np.array>, { y }: typeof both) => [np.add(sum, y), null], np.array(0), both); // ← FAX1502
