/** Optimizers, written on `@fax/core`. */
import { registerLibrary } from "@fax/core";

registerLibrary(import.meta.url);

export { adam, type Adam, type AdamOptions, type AdamState } from "./adam.ts";
export { applyUpdates, type LearningRate, type Update } from "./optimizer.ts";
export { sgd, type Sgd, type SgdOptions, type SgdState } from "./sgd.ts";
