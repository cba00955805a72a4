import { dirichletSplit } from "@fax/data";

const labels = [3, 1, 4, 1, 5];
dirichletSplit(labels, { clients: 10, alpha: 0.3 }); // ← FAX3010
