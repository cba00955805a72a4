export { cacheVariable, readKept, resultsFolder, writeKept } from "./cache-folder.ts";
export { type Backend, DeferredBackend, DeferredHandle } from "./deferred.ts";
export { type AdapterDescription, type AdapterReport, describeAdapters } from "./describe.ts";
export { type DeviceStats, type KernelProfile, WebGPUDevice } from "./device.ts";
export { fingerprintOf, KeptExecutables } from "./kept-executables.ts";
export type { BufferHandle } from "./handle.ts";
export {
  type DevicePreference,
  devicePreferences,
  deviceVariable,
  openDevice,
  type OpenedDevice,
  parseDevicePreference,
} from "./open.ts";
export type { Scalar } from "./scalars.ts";
export type { KernelTime } from "./kernel-timer.ts";
export { measureRoofline, type Roofline } from "./roofline.ts";
