export * from "./diagnostics/index.ts";
export * from "./executable.ts";
export { evaluate, fromMembers, toMembers } from "./interpret/evaluate.ts";
export * from "./ir/index.ts";
export { allPrimitives, define, findPrimitive, primitiveOf } from "./primitives/define.ts";
export { lax } from "./primitives/lax.ts";
export type * from "./primitives/lax-types.ts";
export type {
  CommunicationPrimitive,
  ControlPrimitive,
  PlacedValue,
  Primitive,
  Sample,
  SampleInput,
  Tangent,
  UniformPrimitive,
} from "./primitives/primitive.ts";
export * from "./trace/index.ts";
export { batchInline, batchJaxpr, type Batched, materialize, moveAxis } from "./transforms/batch.ts";
export { cse } from "./transforms/cse.ts";
export { dce } from "./transforms/dce.ts";
export { jvpInline, jvpJaxpr, zerosOf } from "./transforms/jvp.ts";
export { valueAndGradJaxpr, linearizeJaxpr, residualsOf, vjpInline } from "./transforms/linearize.ts";
export { simplify } from "./transforms/simplify.ts";
export { transposeInline, transposeJaxpr } from "./transforms/transpose.ts";
export { inlineJaxpr } from "./transforms/walk.ts";
export { equalJaxpr } from "./ir/equal.ts";
export { checkJaxpr } from "./ir/check.ts";
export { parseJaxpr } from "./ir/parse.ts";
export { printJaxpr, type PrintOptions } from "./ir/print.ts";
export { erasedAval, erasePlacements } from "./lower/erase-placements.ts";
export { inspectStage, type InspectStageOptions, type Stage, stages } from "./inspect.ts";
export { type Candidate, describeSchedule, type Schedule } from "./codegen/schedule.ts";
export { hasSettings, type ScheduleChoice, type ScheduleSettings, settingsOf } from "./codegen/schedule-choice.ts";
export { type SingleKernel, singleKernels } from "./codegen/single-kernels.ts";
/** Where the compiler's code lies: what it compiles is as old as that. */
export const compilerUrl = import.meta.url;
export {
  CompiledProgram,
  type ExecutableStore,
  flatten as flattenPlacements,
  type Foreknowledge,
  fused,
  generate,
  lowered,
  optimize,
  planned,
} from "./pipeline.ts";
