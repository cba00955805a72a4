import { federatedBroadcast, np } from "@fax/core";

const model = np.zeros([10]);
federatedBroadcast(model); // ← FAX1304
