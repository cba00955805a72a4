import { registerLibrary } from "@fax/compiler";

registerLibrary(import.meta.url);

export type { DType, NDArray, Shape } from "@fax/compiler";
export { FaxError } from "@fax/compiler";
export * from "./derivatives.ts";
export { device, type DeviceInfo, onDeviceOpen, setDevice } from "./device.ts";
export { jit } from "./jit.ts";
export * as lax from "./lax.ts";
export { makeJaxpr } from "./make-jaxpr.ts";
export { runTraceable } from "./run.ts";
export * as tree from "./tree.ts";
export { type AnyProgram, isProgram, type TracedProgram, traceProgram } from "./trace-program.ts";
export { vmap, type VmapOptions } from "./vmap.ts";
