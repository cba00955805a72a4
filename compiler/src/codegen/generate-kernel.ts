/** A fused kernel → WGSL for one adapter: schedule, body, and the module around it. */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { type AdapterProfile, type BufferRef, type KernelCode, storageBytes } from "../executable.ts";
import type { Kernel } from "../fuse/kernel.ts";
import { printKernel } from "../fuse/print-kernels.ts";
import { sizeOf } from "../ir/shape.ts";
import type { LoopCounter } from "../lower/expr.ts";
import { Names, typeText } from "../lower/print-expr.ts";
import { type Assignment, type Binding, bindingsOf, describe } from "./bindings.ts";
import { findContraction } from "./contraction.ts";
import { Canonicalizer } from "./index-arithmetic.ts";
import type { KernelBody, WriterContext } from "./kernel-body.ts";
import { writeRegisterMatmul } from "./matmul-registers.ts";
import { writeStationaryMatmul } from "./matmul-stationary.ts";
import { writeWorkgroupMatmul } from "./matmul-workgroup.ts";
import { writeRowKernel } from "./row-kernel.ts";
import { writeSideBySide } from "./side-by-side.ts";
import { type Candidate, candidates, chooseSchedule, describeSchedule, type Schedule } from "./schedule.ts";
import { writeRegisterStream } from "./stream-registers.ts";
import { writeWorkgroupStream } from "./stream-workgroup.ts";
import { findStream } from "./stream.ts";
import { MathLibrary } from "./wgsl-math.ts";

export interface GeneratedKernel {
  readonly code: KernelCode;
  readonly buffers: readonly BufferRef[];
  readonly workgroups: readonly [number, number, number];
  readonly schedule: Schedule;
}

export interface GenerateOptions {
  readonly assignment: Assignment;
  /** The loops around the kernel, outermost first. */
  readonly loops: readonly LoopCounter[];
  readonly profile: AdapterProfile;
  /** Instead of the one that would be chosen; it must suit the kernel. */
  readonly schedule?: Schedule;
}

/**
 * Expects a kernel with at least one row. Equal kernels give equal text, whatever their tensors are. Throws FAX2003.
 */
export function generateKernel(
  kernel: Kernel,
  { assignment, loops, profile, schedule: given }: GenerateOptions,
): GeneratedKernel {
  const bindings = bindingsOf(kernel, assignment, profile);
  checkLimits(kernel, bindings, profile);
  const canonical = new Canonicalizer();
  const math = new MathLibrary();
  const context: WriterContext = {
    canonical,
    math,
    profile,
    bindings,
    loops,
    usedCounters: new Set(),
    vectorBindings: new Set(),
  };
  const { body, schedule } = kernel.beside
    ? writeSideBySide(kernel, context, writeBody)
    : writeAlone(kernel, given ?? chooseSchedule(kernel, { canonical, profile, bindings }), context);
  const counters = Math.max(0, ...[...context.usedCounters].map((counter) => loops.indexOf(counter) + 1));
  const text = [...body.declarations, body.main].join("\n");
  const usesF16 = bindings.some(({ element }) => element === "f16") || /\bf16\b/.test(text);
  const usesSubgroups = /\bsubgroup[A-Z]/.test(text);
  const names = new Names();
  const printed = printKernel(kernel, names).filter((line) => !line.startsWith("  # "));
  const source = [
    `// ${kernel.name}: ${describeSchedule(schedule)}`,
    ...schedule.reasons.map((reason) => `// ${reason}`),
    "//",
    ...printed.map((line) => `// ${line}`),
    ...(usesF16 ? ["enable f16;"] : []),
    ...(usesSubgroups ? ["enable subgroups;"] : []),
    "",
    ...bindings.map((binding, i) => declare(binding, i, context.vectorBindings.has(binding), names)),
    ...Array.from({ length: counters }, (_, i) => `@group(1) @binding(${i}) var<uniform> counter${i}: u32;`),
    "",
    ...[math.source(), ...body.declarations].filter((part) => part !== "").flatMap((part) => [part, ""]),
    `@compute @workgroup_size(${body.workgroupSize})`,
    "fn main(",
    "  @builtin(workgroup_id) group: vec3<u32>,",
    "  @builtin(num_workgroups) groups: vec3<u32>,",
    "  @builtin(local_invocation_index) local: u32,",
    ") {",
    `${body.main}}`,
    "",
  ].join("\n");
  return {
    code: {
      name: kernel.name,
      language: "wgsl",
      source,
      entryPoint: "main",
      features: [...(usesF16 ? ["shader-f16"] : []), ...(usesSubgroups ? ["subgroups"] : [])],
      bindings: bindings.map(({ access }) => ({ access })),
      counters,
    },
    buffers: bindings.map(({ buffer }) => buffer),
    workgroups: body.workgroups,
    schedule,
  };
}

/** Every schedule that `generateKernel` may be given for a kernel that is not several beside each other. */
export function candidateSchedules(
  kernel: Kernel,
  { assignment, profile }: Pick<GenerateOptions, "assignment" | "profile">,
): Candidate[] {
  const bindings = bindingsOf(kernel, assignment, profile);
  return candidates(kernel, { canonical: new Canonicalizer(), profile, bindings });
}

function writeAlone(
  kernel: Kernel,
  schedule: Schedule,
  context: WriterContext,
): { body: KernelBody; schedule: Schedule } {
  return { body: writeBody(kernel, schedule, context), schedule };
}

function writeBody(kernel: Kernel, schedule: Schedule, context: WriterContext): KernelBody {
  if (schedule.kind === "rows") return writeRowKernel(kernel, schedule, context);
  if (schedule.kind === "stream-registers" || schedule.kind === "stream-workgroup") {
    const stream = findStream(kernel);
    invariant(stream, "a schedule for columns of a kernel that has none");
    return schedule.kind === "stream-registers"
      ? writeRegisterStream(kernel, stream, schedule, context)
      : writeWorkgroupStream(kernel, stream, schedule, context);
  }
  const contraction = findContraction(kernel);
  invariant(contraction, "a matmul schedule for a kernel that is none");
  switch (schedule.kind) {
    case "matmul-registers":
      return writeRegisterMatmul(kernel, contraction, schedule, context);
    case "matmul-stationary":
      return writeStationaryMatmul(kernel, contraction, schedule, context);
    case "matmul-workgroup":
      return writeWorkgroupMatmul(kernel, contraction, schedule, context);
    default:
      return schedule satisfies never;
  }
}

/** Sized: a bounds check against a constant costs less than one that asks the buffer, on software adapters by a division. */
function declare(binding: Binding, index: number, vector: boolean, names: Names): string {
  const element = vector ? `vec4<${binding.element}>` : binding.element;
  const size = Math.max(1, ...binding.tensors.map(({ shape }) => sizeOf(shape))) / (vector ? 4 : 1);
  return `@group(0) @binding(${index}) var<storage, ${binding.access}> ${binding.name}: array<${element}, ${size}>; // ${describe(binding, names)}`;
}

function checkLimits(kernel: Kernel, bindings: readonly Binding[], profile: AdapterProfile): void {
  const { maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = profile.limits;
  for (const { tensors } of bindings) {
    for (const tensor of tensors) {
      const bytes = sizeOf(tensor.shape) * storageBytes(tensor.dtype, profile);
      if (bytes <= maxStorageBufferBindingSize) continue;
      throw new FaxError({
        code: "FAX2003",
        message: `${kernel.name}: the array ${typeText(tensor)} takes ${bytes} bytes, and ${profile.name} binds at most ${maxStorageBufferBindingSize} (maxStorageBufferBindingSize)`,
        help: "split the array along an axis, or use fewer elements a call",
      });
    }
  }
  invariant(
    bindings.length <= maxStorageBuffersPerShaderStage,
    `${kernel.name} binds ${bindings.length} buffers, more than the ${maxStorageBuffersPerShaderStage} of ${profile.name}`,
  );
}
