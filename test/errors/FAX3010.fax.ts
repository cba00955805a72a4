import { dirichletSplit } from "@fax/data";

const labels = [3, 1, 4, 1, 5];
dirichletSplit(labels, { clients: 10, alpha: 0.3 }); // ← FAX3010

//> error[FAX3010] dirichletSplit: 5 examples are split among 10 clients, and each needs at least one
//>   FAX3010.fax.ts:4:1
//>   4 │ dirichletSplit(labels, { clients: 10, alpha: 0.3 }); // ← FAX3010
//>     │ ^
//>   help: choose fewer clients
