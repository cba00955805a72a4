/** Records calls into a command buffer: their dispatches in order, loops unrolled into one pass, counters by dynamic offsets. */
import { InternalError } from "@fax/compiler/diagnostics";
import type { BindGroups } from "./bind-groups.ts";
import type { BoundBuffer } from "./buffer-pool.ts";
import type { KernelTimer } from "./kernel-timer.ts";
import type { LoopCounters } from "./loop-counters.ts";
import { paddedBytes, pick, type PreparedExecutable, type PreparedStep } from "./prepared.ts";

/**
 * A command buffer holds at most so many commands: below it a call is one submit. More at once would hold memory for
 * all of them, and drivers stop a queue that is busy too long with one.
 */
export const commandsPerSubmit = 4096;

export class Recorder {
  readonly #device: GPUDevice;
  readonly #counters: LoopCounters;
  readonly #groups: BindGroups;
  readonly #iterations: number[] = [];
  readonly #bound: BoundBuffer[] = [];
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #pipeline: GPUComputePipeline | null = null;
  /** Set while kernels are timed. */
  timer: KernelTimer | null = null;
  #recorded = 0;
  #work = 0;
  #dispatches = 0;
  #copies = 0;

  constructor(device: GPUDevice, counters: LoopCounters, groups: BindGroups) {
    this.#device = device;
    this.#counters = counters;
    this.#groups = groups;
  }

  /** Commands that are not submitted yet. */
  get recorded(): number {
    return this.#recorded;
  }

  /** Recorded since the device was opened. */
  get dispatches(): number {
    return this.#dispatches;
  }

  /** Between buffers, since the device was opened. */
  get copies(): number {
    return this.#copies;
  }

  /** A call without loops; `buffers` by index of the executable. */
  record(prepared: PreparedExecutable, buffers: readonly BoundBuffer[]): void {
    for (const step of prepared.steps) this.#step(step, buffers, false);
  }

  /** Stops after an iteration whenever there are enough commands for a submit, or so many operations and bytes in them. */
  *recordLoops(prepared: PreparedExecutable, buffers: readonly BoundBuffer[], mostWork: number): Generator<void> {
    if (prepared.longestLoop > 0) this.#counters.reserve(prepared.longestLoop);
    this.#iterations.length = 0;
    yield* this.#walk(prepared.steps, buffers, mostWork);
  }

  copy(from: BoundBuffer, to: BoundBuffer, bytes: number): void {
    if (bytes === 0 || from === to) return;
    this.#endPass();
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#encoder.copyBufferToBuffer(from.gpu, from.offset, to.gpu, to.offset, paddedBytes(bytes));
    this.#copies++;
    this.#recorded++;
  }

  /** What was recorded since the last time; null if nothing. */
  finish(): GPUCommandBuffer | null {
    this.#endPass();
    if (this.#encoder !== null) this.timer?.resolve(this.#encoder);
    const commands = this.#encoder?.finish() ?? null;
    this.#encoder = null;
    this.#recorded = 0;
    this.#work = 0;
    return commands;
  }

  *#walk(steps: readonly PreparedStep[], buffers: readonly BoundBuffer[], mostWork: number): Generator<void> {
    for (const step of steps) {
      if (step.kind !== "loop") {
        this.#step(step, buffers, (this.#iterations.at(-1) ?? 0) % 2 === 1);
        continue;
      }
      const depth = this.#iterations.length;
      for (let iteration = 0; iteration < step.length; iteration++) {
        this.#iterations[depth] = iteration;
        yield* this.#walk(step.body, buffers, mostWork);
        // A timer has two queries for each command.
        const most = this.timer === null ? commandsPerSubmit : commandsPerSubmit / 2;
        if (this.#recorded < most && this.#work < mostWork) continue;
        const iterations = [...this.#iterations];
        yield;
        // Other calls may have been recorded meanwhile.
        this.#iterations.splice(0, this.#iterations.length, ...iterations);
      }
      this.#iterations.length = depth;
    }
  }

  #step(step: PreparedStep, buffers: readonly BoundBuffer[], odd: boolean): void {
    if (step.kind === "dispatch") this.#dispatch(step, buffers, odd);
    else if (step.kind === "copy") {
      this.copy(bufferAt(buffers, pick(step.from, odd)), bufferAt(buffers, pick(step.to, odd)), step.bytes);
    } else throw new InternalError("a loop in a call without loops");
  }

  #dispatch(step: Extract<PreparedStep, { kind: "dispatch" }>, buffers: readonly BoundBuffer[], odd: boolean): void {
    const { kernel, workgroups, cost } = step;
    const { pipeline } = kernel;
    if (pipeline === null) throw new InternalError(`${kernel.name} is not compiled`);
    const bound = this.#bound;
    bound.length = 0;
    for (const ref of step.buffers) bound.push(bufferAt(buffers, pick(ref, odd)));
    const group = this.#groups.get(kernel.layout, bound, odd ? step.sizes.odd : step.sizes.even);
    this.#encoder ??= this.#device.createCommandEncoder();
    if (this.timer !== null) {
      this.#endPass();
      this.#pass = this.#encoder.beginComputePass(this.timer.pass(cost));
    }
    this.#pass ??= this.#encoder.beginComputePass();
    if (this.#pipeline !== pipeline) this.#pass.setPipeline(pipeline);
    this.#pipeline = pipeline;
    this.#pass.setBindGroup(0, group);
    if (kernel.counters > 0) {
      const offsets: number[] = [];
      for (let loop = 0; loop < kernel.counters; loop++) {
        offsets.push((this.#iterations[loop] as number) * this.#counters.stride);
      }
      this.#pass.setBindGroup(1, this.#counters.group(kernel.counters), offsets);
    }
    this.#pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
    this.#recorded++;
    this.#work += cost.flops + cost.bytes;
    this.#dispatches++;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#pipeline = null;
  }
}

function bufferAt(buffers: readonly BoundBuffer[], index: number): BoundBuffer {
  const buffer = buffers[index];
  if (buffer === undefined) throw new InternalError(`no buffer ${index} in a call`);
  return buffer;
}
