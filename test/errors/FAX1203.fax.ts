import { np } from "@fax/core";

const image = np.zeros([784]);
np.reshape(image, [28, 27]); // ← FAX1203
