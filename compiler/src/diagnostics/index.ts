export { type Code, codes } from "./codes.ts";
export { type CheckLevel, type DebugSwitches, debugSwitches, debugSwitchTable, parseDebugSwitches } from "./debug.ts";
export { type Diagnostic, FaxError, InternalError, invariant, type Note } from "./diagnostic.ts";
export { formatLocation, relativePath, type SourceLocation } from "./location.ts";
export {
  diagnosticToJson,
  type JsonDiagnostic,
  renderDiagnostic,
  renderExcerpt,
  type RenderOptions,
} from "./render.ts";
export { ansiStyle, plainStyle, type Role, type Style, wantsColor } from "./style.ts";
export { beginPhase, endPhase, type HostPhase, observePhases } from "./report.ts";
