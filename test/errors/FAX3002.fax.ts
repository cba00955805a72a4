import { np } from "@fax/core";

const x = np.array([1, 2, 3);
