import { registerLibrary } from "@fax/core";

registerLibrary(import.meta.url);

export { type BatchOptions, type ClientBatches, clientBatches } from "./client-batches.ts";
export { type Examples, mnist, type MnistOptions, select } from "./mnist.ts";
export { type DirichletOptions, dirichletSplit } from "./partition.ts";
export { RandomSource } from "./random-source.ts";
