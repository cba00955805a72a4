import { model } from "./models/mlp.ts"; // ← FAX3003

export const parameters = model();

//> error[FAX3003] import: could not resolve "./models/mlp.ts"
//>   FAX3003.fax.ts:1:23
//>   1 │ import { model } from "./models/mlp.ts"; // ← FAX3003
//>     │                       ^
//>   help: paths are relative to the importing file, and end as the file's name does, as in ./model.ts
