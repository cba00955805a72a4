/** An executable made ready for one device: limits checked, kernels compiled, bind groups remembered. */
import type { FaxError } from "@fax/compiler/diagnostics";
import { InternalError } from "@fax/compiler/diagnostics";
import type { AdapterProfile, BufferRef, Executable, Step } from "@fax/compiler/executable";
import { limitError } from "./gpu-error.ts";
import type { BindingLayout, PipelineCache } from "./pipelines.ts";

export type PreparedStep =
  | {
      readonly kind: "dispatch";
      readonly kernel: PreparedKernel;
      readonly buffers: readonly BufferRef[];
      readonly workgroups: readonly [number, number, number];
      /** Names the dispatch among those of its executable. */
      readonly slot: number;
    }
  | { readonly kind: "copy"; readonly from: BufferRef; readonly to: BufferRef; readonly bytes: number }
  | { readonly kind: "loop"; readonly length: number; readonly body: readonly PreparedStep[] };

export interface PreparedKernel {
  readonly name: string;
  readonly layout: BindingLayout;
  readonly counters: number;
  /** Null until it is compiled. */
  pipeline: GPUComputePipeline | null;
}

export class PreparedExecutable {
  readonly executable: Executable;
  readonly steps: readonly PreparedStep[];
  /** Number of dispatches in the text of the program, and when it runs, loops counted through. */
  readonly slots: number;
  readonly dispatches: number;
  /** The longest loop whose counter a kernel reads. */
  readonly longestLoop: number;
  readonly bindGroups = new Map<string, GPUBindGroup>();
  /** What the program is called in errors: its first kernels. */
  readonly label: string;
  compiled = false;
  error: Error | null = null;
  /** Never rejects: sets `compiled` or `error`. */
  readonly compiling: Promise<void>;

  /** Throws FAX2003 when the program does not fit the device. */
  constructor(executable: Executable, cache: PipelineCache, profile: AdapterProfile, minOffsetAlignment: number) {
    this.executable = executable;
    const names = executable.kernels.slice(0, 3).map(({ name }) => name);
    this.label = names.length === 0 ? "copy" : names.join(" ") + (executable.kernels.length > 3 ? " …" : "");
    checkBuffers(executable, profile);
    checkKernels(executable, profile);
    const kernels = executable.kernels.map((kernel) => ({
      name: kernel.name,
      layout: cache.layout(kernel),
      counters: kernel.counters,
      pipeline: null,
    }));
    const reader = new StepReader(executable, kernels, profile);
    this.steps = reader.read(executable.steps, 0);
    this.slots = reader.slots;
    this.dispatches = countDispatches(this.steps);
    this.longestLoop = reader.longestLoop;
    const counterBytes = this.longestLoop * minOffsetAlignment;
    if (counterBytes > profile.limits.maxBufferSize) {
      const most = Math.floor(profile.limits.maxBufferSize / minOffsetAlignment);
      throw limitError(profile.name, `a loop of ${this.longestLoop} iterations`, this.longestLoop, "loop length", most);
    }
    this.compiling = this.#compile(cache, kernels);
  }

  async #compile(cache: PipelineCache, kernels: readonly PreparedKernel[]): Promise<void> {
    const results = await Promise.allSettled(this.executable.kernels.map((kernel) => cache.compile(kernel)));
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled") (kernels[index] as PreparedKernel).pipeline = result.value.pipeline;
      else this.error ??= result.reason as FaxError;
    }
    this.compiled = this.error === null;
  }
}

/** WebGPU binds and copies multiples of four bytes, and nothing empty. */
export function paddedBytes(bytes: number): number {
  return Math.max(4, Math.ceil(bytes / 4) * 4);
}

export function pick(ref: BufferRef, odd: boolean): number {
  if (typeof ref === "number") return ref;
  return odd ? ref.odd : ref.even;
}

class StepReader {
  readonly #executable: Executable;
  readonly #kernels: readonly PreparedKernel[];
  readonly #profile: AdapterProfile;
  readonly #loops: number[] = [];
  slots = 0;
  longestLoop = 0;

  constructor(executable: Executable, kernels: readonly PreparedKernel[], profile: AdapterProfile) {
    this.#executable = executable;
    this.#kernels = kernels;
    this.#profile = profile;
  }

  read(steps: readonly Step[], depth: number): PreparedStep[] {
    return steps.map((step): PreparedStep => {
      switch (step.kind) {
        case "dispatch":
          return this.#dispatch(step, depth);
        case "copy":
          return step;
        case "loop": {
          this.#loops[depth] = step.length;
          return { kind: "loop", length: step.length, body: this.read(step.body, depth + 1) };
        }
        default:
          return step satisfies never;
      }
    });
  }

  #dispatch(step: Extract<Step, { kind: "dispatch" }>, depth: number): PreparedStep {
    const kernel = this.#kernels[step.kernel];
    const code = this.#executable.kernels[step.kernel];
    if (kernel === undefined || code === undefined) throw new InternalError(`no kernel ${step.kernel}`);
    if (kernel.counters > depth) {
      throw new InternalError(`${kernel.name}: reads ${kernel.counters} loop counters inside ${depth} loops`);
    }
    if (code.bindings.length !== step.buffers.length) {
      throw new InternalError(`${kernel.name}: ${code.bindings.length} bindings, ${step.buffers.length} buffers`);
    }
    for (let loop = 0; loop < kernel.counters; loop++) {
      this.longestLoop = Math.max(this.longestLoop, this.#loops[loop] as number);
    }
    const { name, limits } = this.#profile;
    for (const count of step.workgroups) {
      const most = limits.maxComputeWorkgroupsPerDimension;
      if (count > most) throw limitError(name, kernel.name, count, "maxComputeWorkgroupsPerDimension", most);
    }
    for (const index of step.buffers.flatMap((ref) => (typeof ref === "number" ? [ref] : [ref.even, ref.odd]))) {
      const spec = this.#executable.buffers[index];
      if (spec === undefined) throw new InternalError(`${kernel.name}: no buffer ${index}`);
      const most = limits.maxStorageBufferBindingSize;
      if (spec.bytes > most) throw limitError(name, spec.label, spec.bytes, "maxStorageBufferBindingSize", most);
    }
    return { kind: "dispatch", kernel, buffers: step.buffers, workgroups: step.workgroups, slot: this.slots++ };
  }
}

function checkBuffers({ buffers }: Executable, { name, limits }: AdapterProfile): void {
  for (const { bytes, label } of buffers) {
    if (bytes > limits.maxBufferSize) throw limitError(name, label, bytes, "maxBufferSize", limits.maxBufferSize);
  }
}

function checkKernels({ kernels }: Executable, { name, limits }: AdapterProfile): void {
  const most = limits.maxStorageBuffersPerShaderStage;
  for (const kernel of kernels) {
    const needed = kernel.bindings.length;
    if (needed > most) throw limitError(name, kernel.name, needed, "maxStorageBuffersPerShaderStage", most);
  }
}

function countDispatches(steps: readonly PreparedStep[]): number {
  return steps.reduce((sum, step) => sum + (step.kind === "loop" ? step.length * countDispatches(step.body) : 1), 0);
}
