/** An executable made ready for one device: limits checked, kernels compiled, all that is the same in every call known. */
import type { FaxError } from "@fax/compiler/diagnostics";
import { beginPhase, endPhase, InternalError } from "@fax/compiler/diagnostics";
import type { AdapterProfile, BufferRef, BufferSpec, Executable, Step, ValueSpec } from "@fax/compiler/executable";
import { limitError } from "./gpu-error.ts";
import type { BindingLayout, PipelineCache } from "./pipelines.ts";

/** A call that needs a new buffer of so many bytes is submitted by itself: if there is no memory, it fails alone. */
const largeBuffer = 2 ** 20;

export type PreparedStep =
  | {
      readonly kind: "dispatch";
      readonly kernel: PreparedKernel;
      readonly buffers: readonly BufferRef[];
      /** Bytes that are bound of each, by the parity of the iteration. */
      readonly sizes: { readonly even: readonly number[]; readonly odd: readonly number[] };
      readonly workgroups: readonly [number, number, number];
      readonly cost: { readonly name: string; readonly flops: number; readonly bytes: number };
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

/** Inputs that lie in one buffer, in the order of their offsets. */
export interface InputArena {
  readonly buffer: number;
  readonly bytes: number;
  readonly donated: boolean;
  readonly members: readonly { readonly position: number; readonly offset: number; readonly bytes: number }[];
}

export class PreparedExecutable {
  readonly executable: Executable;
  readonly steps: readonly PreparedStep[];
  /** Number of dispatches when it runs, loops counted through. */
  readonly dispatches: number;
  /** Operations and bytes of a call, added: how long it keeps a device busy, roughly. */
  readonly work: number;
  readonly hasLoops: boolean;
  /** By position: the input's buffer is handed on as an output or written, so that a number must get one of its own. */
  readonly needsBuffer: readonly boolean[];
  readonly needsBuffers: boolean;
  /** Inputs, by position, whose buffers the program may write. */
  readonly donated: readonly number[];
  readonly arenas: readonly InputArena[];
  /** By position: the input lies in an arena. */
  readonly packed: readonly boolean[];
  /** Buffers that are parts of others. */
  readonly parts: readonly { readonly index: number; readonly buffer: number; readonly offset: number }[];
  /** Sizes of the large buffers of a call. */
  readonly large: readonly number[];
  /** The longest loop whose counter a kernel reads. */
  readonly longestLoop: number;
  /** What the program is called in errors: its first kernels. */
  readonly label: string;
  compiled = false;
  error: Error | null = null;
  /** A call of it has run without an error: the device accepts its commands. */
  proven = false;
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
    this.dispatches = countDispatches(this.steps);
    this.work = workOf(executable.steps);
    this.hasLoops = executable.steps.some(({ kind }) => kind === "loop");
    const isDonated = ({ buffer }: ValueSpec): boolean => executable.buffers[buffer]?.donated === true;
    this.packed = executable.inputs.map(({ buffer }) => executable.buffers[buffer]?.within !== undefined);
    this.arenas = arenasOf(executable);
    this.parts = executable.buffers.flatMap(({ within }, index) =>
      within === undefined ? [] : [{ index, ...within }],
    );
    this.donated = [...executable.inputs.keys()].filter(
      (i) => isDonated(executable.inputs[i] as ValueSpec) && this.packed[i] !== true,
    );
    const handedOn = new Set(executable.outputs.map(({ buffer }) => buffer));
    this.needsBuffer = executable.inputs.map(
      (input, i) => handedOn.has(input.buffer) || isDonated(input) || this.packed[i] === true,
    );
    this.longestLoop = reader.longestLoop;
    this.needsBuffers = this.needsBuffer.includes(true);
    const made = executable.buffers.filter(({ role, within }) => role !== "input" && within === undefined);
    this.large = made.map(({ bytes }) => paddedBytes(bytes)).filter((bytes) => bytes >= largeBuffer);
    const counterBytes = this.longestLoop * minOffsetAlignment;
    if (counterBytes > profile.limits.maxBufferSize) {
      const most = Math.floor(profile.limits.maxBufferSize / minOffsetAlignment);
      throw limitError(profile.name, `a loop of ${this.longestLoop} iterations`, this.longestLoop, "loop length", most);
    }
    this.compiling = this.#compile(cache, kernels);
  }

  async #compile(cache: PipelineCache, kernels: readonly PreparedKernel[]): Promise<void> {
    const begun = beginPhase();
    const results = await Promise.allSettled(this.executable.kernels.map((kernel) => cache.compile(kernel)));
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled") (kernels[index] as PreparedKernel).pipeline = result.value.pipeline;
      else this.error ??= result.reason as FaxError;
    }
    this.compiled = this.error === null;
    if (kernels.length > 0) endPhase("pipelines", begun);
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

function arenasOf({ buffers, inputs }: Executable): InputArena[] {
  const arenas = new Map<number, InputArena["members"][number][]>();
  for (const [position, { buffer }] of inputs.entries()) {
    const { bytes, within } = buffers[buffer] as BufferSpec;
    if (within === undefined) continue;
    const member = { position, offset: within.offset, bytes: paddedBytes(bytes) };
    arenas.set(within.buffer, [...(arenas.get(within.buffer) ?? []), member]);
  }
  return [...arenas].map(([buffer, members]) => {
    const { bytes, donated = false } = buffers[buffer] as BufferSpec;
    return { buffer, bytes, donated, members: members.toSorted((a, b) => a.offset - b.offset) };
  });
}

class StepReader {
  readonly #executable: Executable;
  readonly #kernels: readonly PreparedKernel[];
  readonly #profile: AdapterProfile;
  readonly #loops: number[] = [];
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
    const sizesOf = (odd: boolean): number[] =>
      step.buffers.map((ref) => paddedBytes(this.#executable.buffers[pick(ref, odd)]?.bytes ?? 0));
    const sizes = { even: sizesOf(false), odd: sizesOf(true) };
    const cost = { name: kernel.name, flops: step.flops, bytes: step.bytesMoved };
    return { kind: "dispatch", kernel, buffers: step.buffers, sizes, workgroups: step.workgroups, cost };
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

function workOf(steps: readonly Step[]): number {
  return steps.reduce((sum, step) => {
    switch (step.kind) {
      case "dispatch":
        return sum + step.flops + step.bytesMoved;
      case "copy":
        return sum + 2 * step.bytes;
      case "loop":
        return sum + step.length * workOf(step.body);
      default:
        return step satisfies never;
    }
  }, 0);
}
