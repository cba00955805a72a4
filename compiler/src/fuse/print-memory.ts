/** A memory plan as text, for `inspect --stage memory`. */
import type { BufferRef } from "../executable.ts";
import { bytesText, countText } from "./count-text.ts";
import type { FusedProgram, FusedStep } from "./kernel.ts";
import { boundTensors } from "./kernel-tensors.ts";
import type { MemoryPlan, PlannedCopy } from "./memory-plan-types.ts";

export function printMemoryPlan(program: FusedProgram, plan: MemoryPlan): string {
  const lines = [
    `memory, ${bytesText(plan.peakBytes)} at the peak, of which at least ${countText(plan.peakLowerBound)} are alive at once {`,
  ];
  plan.buffers.forEach(({ bytes, role, donated, within, label }, i) => {
    const place = within ? ` at ${bytesText(within.offset)} of b${within.buffer}` : "";
    lines.push(`  b${i}: ${bytesText(bytes)} ${role}${place}${donated === true ? ", donated" : ""} # ${label}`);
  });
  lines.push(...printSteps(program.steps, plan, "  "));
  const outputs = program.outputs.map((tensor) => refText(plan.assignment.get(tensor.id)));
  lines.push(`  return ${outputs.join(", ")}`, ...plan.reasons.map((reason) => `  # ${reason}`), "}");
  return `${lines.join("\n")}\n`;
}

function printSteps(steps: readonly FusedStep[], plan: MemoryPlan, indent: string): string[] {
  return steps.flatMap((step): string[] => {
    switch (step.kind) {
      case "kernel": {
        const { loaded, stored } = boundTensors(step.kernel);
        const refs = (tensors: typeof loaded): string =>
          [...new Set(tensors.map((tensor) => refText(plan.assignment.get(tensor.id))))].join(", ");
        return [`${indent}${step.kernel.name}(${refs(loaded)}) -> ${refs(stored)}`];
      }
      case "copy": {
        const [from, to] = [plan.assignment.get(step.from.id), plan.assignment.get(step.to.id)];
        return from === to ? [] : [`${indent}copy ${refText(from)} -> ${refText(to)}`];
      }
      case "loop": {
        const { before = [], after = [] } = plan.loops.get(step.counter.id) ?? {};
        return [
          ...before.map((copy) => `${indent}${copyText(copy)}`),
          `${indent}loop ${step.counter.length} times {`,
          ...printSteps(step.body, plan, `${indent}  `),
          ...after.map((copy) => `${indent}  ${copyText(copy)}`),
          `${indent}}`,
        ];
      }
      default:
        return step satisfies never;
    }
  });
}

function copyText({ from, to, bytes }: PlannedCopy): string {
  return `copy ${refText(from)} -> ${refText(to)}, ${bytesText(bytes)}`;
}

function refText(ref: BufferRef | undefined): string {
  if (ref === undefined) return "nothing";
  return typeof ref === "number" ? `b${ref}` : `b${ref.even}|b${ref.odd}`;
}
