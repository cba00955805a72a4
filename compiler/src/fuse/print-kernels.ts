/** Fused kernels as text, each with its rows, stages, stores and reasons, for `inspect --stage fused`. */
import { axesText, Names, printExpr, typeText } from "../lower/print-expr.ts";
import { type ExplainContext, explainProgram, type KernelNotes } from "./explain.ts";
import { type FusedProgram, type FusedStep, type Kernel, partsOf } from "./kernel.ts";

export interface PrintKernelsOptions {
  /** With what each kernel costs, whom it stores for, how it runs, and what fusion saved. */
  readonly explain?: ExplainContext | undefined;
}

export function printKernels(program: FusedProgram, { explain }: PrintKernelsOptions = {}): string {
  const names = new Names();
  const explanation = explain && explainProgram(program, explain);
  const inputs = program.inputs.map((tensor) => `${names.tensor(tensor)}: ${typeText(tensor)}`).join(", ");
  const lines = [`fused(${inputs}) {`, ...printSteps(program.steps, names, "  ", explanation?.ofKernel ?? (() => []))];
  for (const { tensor, members } of program.arenas) {
    const parts = members.map((member) => `${names.tensor(member.tensor)} at ${member.offset}`);
    const shown = parts.length > 3 ? [...parts.slice(0, 2), "…", parts.at(-1)] : parts;
    lines.push(
      `  # arena ${names.tensor(tensor)}: ${typeText(tensor)} holds ${members.length} tensors: ${shown.join(", ")}`,
    );
  }
  lines.push(`  return ${program.outputs.map((tensor) => names.tensor(tensor)).join(", ")}`, "}");
  if (explanation) lines.push(...explanation.total);
  return `${lines.join("\n")}\n`;
}

function printSteps(steps: readonly FusedStep[], names: Names, indent: string, notes: KernelNotes): string[] {
  return steps.flatMap((step): string[] => {
    switch (step.kind) {
      case "kernel":
        return [...printKernel(step.kernel, names).slice(0, -1), ...notes(step.kernel, names), "}"].map(
          (line) => `${indent}${line}`,
        );
      case "copy":
        return [`${indent}copy ${names.tensor(step.to)}: ${typeText(step.to)} = ${names.tensor(step.from)}`];
      case "loop": {
        const carries = step.carries.map(({ init, input }) => `${names.tensor(input)} = ${names.tensor(init)}`);
        const results = step.carries.map(({ result }) => names.tensor(result)).join(", ");
        const finals = step.carries.map(({ final }) => names.tensor(final)).join(", ");
        return [
          `${indent}loop ${names.counter(step.counter)} < ${step.counter.length} (${carries.join(", ")}) {`,
          ...printSteps(step.body, names, `${indent}  `, notes),
          `${indent}  next ${results}`,
          `${indent}} -> ${finals}`,
        ];
      }
      default:
        return step satisfies never;
    }
  });
}

/** One kernel; `names` are shared with what is printed around it. */
export function printKernel(kernel: Kernel, names: Names = new Names()): string[] {
  const [first = [], ...others] = partsOf(kernel).map((part) => printPart(part, names));
  return [...first, ...others.flatMap(([head = "", ...lines]) => [`beside ${head}`, ...lines])];
}

function printPart(kernel: Kernel, names: Names): string[] {
  const columns = kernel.columns ?? [];
  const rows = kernel.rows.filter((axis) => !columns.includes(axis));
  const space = [
    rows.length > 0 ? ` rows ${axesText(rows, names)}` : "",
    columns.length > 0 ? ` columns ${axesText(columns, names)}` : "",
  ].join("");
  const lines = [`kernel ${kernel.name}${space} {`];
  for (const stage of kernel.stages) {
    const space =
      stage.axes.length > 0 ? `${stage.kind === "reduce" ? "over" : "for"} ${axesText(stage.axes, names)}` : "";
    if (stage.kind === "reduce") {
      lines.push(`  reduce ${space}`.trimEnd());
      for (const { id, axes, body } of stage.inner ?? []) {
        const { shared, value } = printExpr(body, names);
        lines.push(`    with ${names.reduction(id)} = sum over ${axesText(axes, names)}`);
        lines.push(...[...shared, value].map((line) => `      ${line}`));
      }
      for (const { id, reducer, body } of stage.reductions) {
        const { shared, value } = printExpr(body, names);
        lines.push(...shared.map((line) => `    ${line}`), `    ${names.reduction(id)} = ${reducer} of ${value}`);
      }
      continue;
    }
    lines.push(`  store ${stage.once ? "by the first row" : space}`.trimEnd());
    for (const { tensor, index, value } of stage.stores) {
      const { shared, value: text } = printExpr(value, names);
      const at = index.map((expr) => printExpr(expr, names).value).join(", ");
      const target = names.tensor(tensor);
      lines.push(
        ...shared.map((line) => `    ${line}`),
        `    ${target}: ${typeText(tensor)}; ${target}[${at}] = ${text}`,
      );
    }
  }
  lines.push(...kernel.reasons.map((reason) => `  # ${reason}`), "}");
  return lines;
}
