export * from "./bind.ts";
export * from "./builder.ts";
export * from "./ndarray.ts";
export * from "./source.ts";
export * from "./tree.ts";
