export { generateExecutable } from "./assemble.ts";
export { type GeneratedKernel, generateKernel } from "./generate-kernel.ts";
export { describeSchedule, type Schedule } from "./schedule.ts";
