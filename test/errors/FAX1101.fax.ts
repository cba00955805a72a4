import { np } from "@fax/core";

const wanted: string = "float64";
np.zeros([2, 2], { dtype: wanted as "float32" }); // ← FAX1101
