/** Every stage of the compiler as text: what `fax inspect` prints, and what goldens pin. */
import { assemble, describeSchedule } from "./codegen/index.ts";
import type { ScheduleChoice } from "./codegen/schedule-choice.ts";
import { plainStyle, type Style } from "./diagnostics/index.ts";
import type { AdapterProfile } from "./executable.ts";
import type { Jaxpr } from "./ir/jaxpr.ts";
import { isFloat } from "./ir/dtype.ts";
import { type PrintOptions, printJaxpr } from "./ir/print.ts";
import { flatten, generate, lowered, optimize, planned } from "./pipeline.ts";
import { printGraph } from "./lower/print-graph.ts";
import type { Kernel } from "./fuse/kernel.ts";
import { printKernels } from "./fuse/print-kernels.ts";
import { printMemoryPlan } from "./fuse/print-memory.ts";
import { jvpJaxpr } from "./transforms/jvp.ts";
import { valueAndGradJaxpr, linearizeJaxpr } from "./transforms/linearize.ts";
import { transposeJaxpr } from "./transforms/transpose.ts";

/** In the order of the way through the compiler. */
export const stages = [
  "trace",
  "jvp",
  "linearize",
  "transpose",
  "grad",
  "flat",
  "loops",
  "fused",
  "memory",
  "wgsl",
] as const;

export type Stage = (typeof stages)[number];

export interface InspectStageOptions extends PrintOptions {
  /** The inputs that derivatives are taken by; those that are not floats have none. Default: the first. */
  readonly wrt?: readonly number[];
  readonly profile: AdapterProfile;
  /** Knows better schedules than are estimated. */
  readonly choose?: ScheduleChoice | undefined;
  /** Bytes that a call may take besides its arguments. */
  readonly memoryLimit?: number | undefined;
  /** Of the fused stage: costs and schedule of each kernel, what its arrays are in memory for, and what fusion saved. */
  readonly explain?: boolean;
}

/** The text of a program (without constvars) at a stage. */
export function inspectStage(
  jaxpr: Jaxpr,
  stage: Stage,
  { wrt = [0], profile, choose, memoryLimit, explain = false, ...print }: InspectStageOptions,
): string {
  const varying = wrt.filter((input) => isFloat(jaxpr.invars[input]?.aval.dtype ?? "bool"));
  const nonzero = jaxpr.invars.map((_, i) => varying.includes(i));
  const style = print.style ?? plainStyle;
  switch (stage) {
    case "trace":
      return printJaxpr(jaxpr, print);
    case "jvp":
      return printJaxpr(optimize(jvpJaxpr(jaxpr, nonzero).jaxpr), print);
    case "linearize": {
      const { primal, linear } = linearizeJaxpr(jaxpr, nonzero);
      return sections(style, [
        ["the program, with what its derivative needs", printJaxpr(optimize(primal), print)],
        ["linear in the tangents, from what the program left", printJaxpr(optimize(linear), print)],
      ]);
    }
    case "transpose": {
      const { linear, residualInputs } = linearizeJaxpr(jaxpr, nonzero);
      const isLinear = linear.invars.map((_, i) => i >= residualInputs.length);
      return printJaxpr(optimize(transposeJaxpr(optimize(linear), isLinear)), print);
    }
    case "grad":
      return printJaxpr(optimize(valueAndGradJaxpr(jaxpr, varying)), print);
    case "flat":
      return printJaxpr(flatten(jaxpr), print);
    case "loops":
      return printGraph(lowered(jaxpr));
    case "fused": {
      const made = planned(jaxpr, profile, { memoryLimit });
      return explain ? explained(jaxpr, made, profile, choose) : printKernels(made.program);
    }
    case "memory": {
      const { program, plan } = planned(jaxpr, profile, { memoryLimit });
      return printMemoryPlan(program, plan);
    }
    case "wgsl":
      return generate(jaxpr, profile, { memoryLimit }, { choose })
        .kernels.map(({ source }) => source.trimEnd())
        .join("\n\n");
    default:
      return stage satisfies never;
  }
}

function explained(
  jaxpr: Jaxpr,
  { program, plan }: ReturnType<typeof planned>,
  profile: AdapterProfile,
  choose: ScheduleChoice | undefined,
): string {
  const { executable, schedules } = assemble(program, plan, profile, { choose });
  const linesOf = (kernel: Kernel): string[] => {
    const schedule = schedules.get(kernel);
    return schedule ? [`runs by ${describeSchedule(schedule)}`, ...schedule.reasons] : [];
  };
  return printKernels(program, {
    explain: { profile, graph: lowered(jaxpr), schedule: linesOf, different: executable.kernels.length },
  });
}

function sections(style: Style, parts: readonly (readonly [string, string])[]): string {
  return parts.map(([title, text]) => `${style("muted", `// ${title}`)}\n${text}`).join("\n\n");
}
