import { np } from "@fax/core";

const images = np.zeros([32, 784]);
const weights = np.zeros([748, 10]);
np.matmul(images, weights); // ← FAX1201
