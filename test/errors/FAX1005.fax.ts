import { np } from "@fax/core";

const x = np.array([1, 2, 3]);
x.dispose();
np.add(x, 1); // ← FAX1005
