/** Encodes a call: its dispatches in order, loops unrolled into the same pass, counters by dynamic offsets. */
import { InternalError } from "@fax/compiler/diagnostics";
import type { PooledBuffer } from "./buffer-pool.ts";
import type { LoopCounters } from "./loop-counters.ts";
import { paddedBytes, pick, type PreparedExecutable, type PreparedStep } from "./prepared.ts";

/**
 * A command buffer holds at most so many dispatches: below it a call is one submit. More at once would hold memory for
 * all of them, and drivers stop a queue that is busy too long with one.
 */
export const dispatchesPerSubmit = 4096;

/** Bind groups that an executable remembers, per dispatch of its text. */
const rememberedPerSlot = 8;

export class CallEncoder {
  readonly #device: GPUDevice;
  readonly #prepared: PreparedExecutable;
  readonly #buffers: readonly PooledBuffer[];
  readonly #counters: LoopCounters;
  /** The bind group of each dispatch in this call; with alternating buffers, two. */
  readonly #groups: (GPUBindGroup | undefined)[];
  readonly #iterations: number[] = [];
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #pipeline: GPUComputePipeline | null = null;
  #inEncoder = 0;
  dispatches = 0;

  /** `buffers`: by index of the executable. */
  constructor(
    device: GPUDevice,
    prepared: PreparedExecutable,
    buffers: readonly PooledBuffer[],
    counters: LoopCounters,
  ) {
    this.#device = device;
    this.#prepared = prepared;
    this.#buffers = buffers;
    this.#counters = counters;
    this.#groups = new Array<GPUBindGroup | undefined>(2 * prepared.slots);
    if (prepared.longestLoop > 0) counters.reserve(prepared.longestLoop);
  }

  /** Yields what is to be submitted, in order. */
  *commands(): Generator<GPUCommandBuffer> {
    yield* this.#steps(this.#prepared.steps);
    const last = this.#finish();
    if (last !== null) yield last;
  }

  *#steps(steps: readonly PreparedStep[]): Generator<GPUCommandBuffer> {
    for (const step of steps) {
      if (step.kind === "loop") {
        const depth = this.#iterations.length;
        for (let iteration = 0; iteration < step.length; iteration++) {
          this.#iterations[depth] = iteration;
          yield* this.#steps(step.body);
        }
        this.#iterations.length = depth;
        continue;
      }
      if (this.#inEncoder >= dispatchesPerSubmit) {
        const full = this.#finish();
        if (full !== null) yield full;
      }
      const odd = (this.#iterations.at(-1) ?? 0) % 2 === 1;
      if (step.kind === "dispatch") this.#dispatch(step, odd);
      else this.#copy(step, odd);
    }
  }

  #dispatch(step: Extract<PreparedStep, { kind: "dispatch" }>, odd: boolean): void {
    const { kernel, workgroups } = step;
    if (kernel.pipeline === null) throw new InternalError(`${kernel.name} is not compiled`);
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    if (this.#pipeline !== kernel.pipeline) this.#pass.setPipeline(kernel.pipeline);
    this.#pipeline = kernel.pipeline;
    this.#pass.setBindGroup(0, (this.#groups[2 * step.slot + (odd ? 1 : 0)] ??= this.#bindGroup(step, odd)));
    if (kernel.counters > 0) {
      const offsets = Array.from({ length: kernel.counters }, (_, loop) => {
        return (this.#iterations[loop] as number) * this.#counters.stride;
      });
      this.#pass.setBindGroup(1, this.#counters.group(kernel.counters), offsets);
    }
    this.#pass.dispatchWorkgroups(...workgroups);
    this.#inEncoder++;
    this.dispatches++;
  }

  #copy(step: Extract<PreparedStep, { kind: "copy" }>, odd: boolean): void {
    const from = this.#buffer(pick(step.from, odd));
    const to = this.#buffer(pick(step.to, odd));
    if (step.bytes === 0 || from === to) return;
    this.#endPass();
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#encoder.copyBufferToBuffer(from.gpu, 0, to.gpu, 0, paddedBytes(step.bytes));
    this.#inEncoder++;
  }

  #bindGroup(step: Extract<PreparedStep, { kind: "dispatch" }>, odd: boolean): GPUBindGroup {
    const { layout } = step.kernel;
    const { bindGroups, executable, slots } = this.#prepared;
    let key = `${layout.id}`;
    const entries = step.buffers.map((ref, binding): GPUBindGroupEntry => {
      const index = pick(ref, odd);
      const buffer = this.#buffer(index);
      const size = paddedBytes(executable.buffers[index]?.bytes ?? 0);
      key += ` ${buffer.id}:${size}`;
      return { binding, resource: { buffer: buffer.gpu, offset: 0, size } };
    });
    let group = bindGroups.get(key);
    if (group === undefined) {
      group = this.#device.createBindGroup({ layout: layout.buffers, entries });
      if (bindGroups.size >= rememberedPerSlot * slots) bindGroups.clear();
      bindGroups.set(key, group);
    }
    return group;
  }

  #buffer(index: number): PooledBuffer {
    const buffer = this.#buffers[index];
    if (buffer === undefined) throw new InternalError(`no buffer ${index} in a call of ${this.#prepared.label}`);
    return buffer;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#pipeline = null;
  }

  #finish(): GPUCommandBuffer | null {
    this.#endPass();
    const commands = this.#encoder?.finish() ?? null;
    this.#encoder = null;
    this.#inEncoder = 0;
    return commands;
  }
}
