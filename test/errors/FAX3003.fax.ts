import { model } from "./models/mlp.ts"; // ← FAX3003

export const parameters = model();
