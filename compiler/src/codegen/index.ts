export { assemble, generateExecutable, type GenerateExecutableOptions } from "./assemble.ts";
export { candidateSchedules, type GeneratedKernel, generateKernel } from "./generate-kernel.ts";
export { type Candidate, describeSchedule, type Schedule } from "./schedule.ts";
