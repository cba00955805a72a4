/** What a program imports. */
import { registerLibrary } from "@fax/compiler";
import "./array-methods.ts";

registerLibrary(import.meta.url);

export { type DType, FaxError, NDArray, registerLibrary, type Shape, userLocation } from "@fax/compiler";
export type { Argnums, GradOptions } from "./differentiation.ts";
export { grad, valueAndGrad } from "./grad.ts";
export { hessian, jacfwd, jacrev } from "./jacobian.ts";
export { jvp, linearize, vjp, vjpWithAux } from "./linear-maps.ts";
export {
  type CompilationTarget,
  compilationTarget,
  device,
  type DeviceInfo,
  onDeviceOpen,
  setDevice,
} from "./device.ts";
export {
  federatedBroadcast,
  federatedMap,
  federatedMax,
  federatedMean,
  federatedMin,
  federatedSum,
  federatedWeightedMean,
} from "./federated.ts";
export {
  experiment,
  type Experiment,
  type ExperimentOptions,
  type RoundData,
  type RoundProgram,
  type RoundResult,
  type Session,
  type Setup,
  type StartOptions,
  withClients,
} from "./experiment.ts";
export { jit, type Jitted, type JitOptions } from "./jit.ts";
export { Compiled, type CostAnalysis, Lowered } from "./lowered.ts";
export * as lax from "./lax.ts";
export { makeJaxpr, TracedFunction } from "./make-jaxpr.ts";
export * as np from "./np/index.ts";
export { type Program, program } from "./program.ts";
export * as random from "./random.ts";
export { type AnyProgram, isProgram, type TracedProgram, traceProgram } from "./trace-program.ts";
export { tune, type TunedKernel, type TuneOptions, type TuneProgress, type TuneReport } from "./tune.ts";
export * as tree from "./tree.ts";
export { ArraySpec, bool, f16, f32, i32, type Placed, type SpecTree, u32 } from "./types.ts";
export { vmap, type VmapOptions } from "./vmap.ts";
