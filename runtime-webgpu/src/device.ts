/**
 * One WebGPU device as the product sees it: values go up, programs run, values come down. Every method returns at once;
 * what a value depends on runs in order, at once where nothing stands in the way (pipelines compiled, memory and queue
 * within their budgets), else when the event loop turns.
 */
import { beginPhase, endPhase, type FaxError, InternalError } from "@fax/compiler/diagnostics";
import { type AdapterProfile, allocateData, type DType, type Executable } from "@fax/compiler/executable";
import type { HostArray, HostData, KernelCode } from "@fax/compiler/executable";
import { BufferPool } from "./buffer-pool.ts";
import { BufferUsage } from "./buffer-usage.ts";
import { BindGroups } from "./bind-groups.ts";
import { type CallInputs, Calls, type ExecuteTask } from "./calls.ts";
import { commandsPerSubmit, Recorder } from "./encode.ts";
import { limitError, lostError, stalledError } from "./gpu-error.ts";
import { BufferHandle } from "./handle.ts";
import { encodeHostData } from "./host-data.ts";
import { type KernelTime, KernelTimer } from "./kernel-timer.ts";
import { LoopCounters } from "./loop-counters.ts";
import { Naps } from "./naps.ts";
import { PipelineCache } from "./pipelines.ts";
import { PreparedExecutable } from "./prepared.ts";
import { Readback } from "./readback.ts";
import { ScalarSlots } from "./scalars.ts";
import { Watchdog } from "./watchdog.ts";
import { nextTurn, overheadPerBuffer, Reclaimer } from "./reclaim.ts";
import { type Batch, Submitter } from "./submitter.ts";
import { type Task, TaskQueue } from "./task-queue.ts";

/** Submits that the device has not finished; more wait. */
const mostInFlight = 256;
/** Calls with more dispatches are recorded piece by piece, with turns of the event loop between. */
const mostAtOnce = 4 * commandsPerSubmit;
/** Calls and uploads that run without a pause, while others wait for their values. */
const tasksPerBreath = 64;

/** Counts since the device was opened, and bytes of device memory now. */
export interface DeviceStats {
  /** Of commands; several calls may share one. */
  readonly submits: number;
  readonly dispatches: number;
  /** From one buffer into another, readback included. */
  readonly copies: number;
  readonly pipelines: number;
  /** Made; a steady loop makes none. */
  readonly buffers: number;
  readonly bindGroups: number;
  /** Bytes of all values, `peakBytes` the most of them and of temporaries at once, `poolBytes` kept for reuse. */
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly poolBytes: number;
}

/** Times of kernels that are being taken. */
export interface KernelProfile {
  /** Ends it; gives all times in the order of the submits. */
  stop(): Promise<readonly KernelTime[]>;
}

export class WebGPUDevice {
  readonly profile: AdapterProfile;
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #pipelines: PipelineCache;
  readonly #counters: LoopCounters;
  readonly #groups: BindGroups;
  readonly #recorder: Recorder;
  readonly #readback: Readback;
  readonly #reclaimer: Reclaimer;
  readonly #watchdog: Watchdog;
  /** Of a device that computes on the cores that wait for it. */
  readonly #naps: Naps | null;
  readonly #prepared = new WeakMap<Executable, PreparedExecutable>();
  readonly #owners = new FinalizationRegistry<BufferHandle>((handle) => handle.drop());
  readonly #submitter: Submitter;
  readonly #calls: Calls;
  readonly #queue = new TaskQueue();
  #draining: Promise<void> | null = null;
  #lost: FaxError | null = null;

  /** `patience`: ms without any progress of the device after which reads of values fail. */
  constructor(device: GPUDevice, profile: AdapterProfile, { patience = 300_000 } = {}) {
    this.profile = profile;
    this.#device = device;
    this.#pool = new BufferPool(device, BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst);
    this.#pipelines = new PipelineCache(device, profile.name);
    this.#counters = new LoopCounters(device, this.#pipelines);
    this.#groups = new BindGroups(device);
    const scalars = new ScalarSlots(device, profile);
    this.#recorder = new Recorder(device, this.#counters, this.#groups);
    this.#readback = new Readback(device, profile);
    this.#reclaimer = new Reclaimer(
      profile.class,
      () => this.#pool.usedBytes + this.#pool.usedCount * overheadPerBuffer,
    );
    this.#watchdog = new Watchdog(patience, () => stalledError(profile.name, patience));
    this.#naps = profile.class === "cpu" ? new Naps() : null;
    this.#submitter = new Submitter(device, profile, {
      pool: this.#pool,
      recorder: this.#recorder,
      scalars,
      watchdog: this.#watchdog,
      loss: () => this.#lost,
    });
    this.#calls = new Calls({
      profile,
      pool: this.#pool,
      recorder: this.#recorder,
      counters: this.#counters,
      scalars,
      submitter: this.#submitter,
    });
    device.onuncapturederror = (event) => {
      event.preventDefault();
      this.#submitter.uncaught(event.error);
    };
    void device.lost.then((info) => this.#lose(lostError(profile.name, info)));
  }

  get name(): string {
    return this.profile.name;
  }

  get stats(): DeviceStats {
    return {
      submits: this.#submitter.callSubmits,
      dispatches: this.#recorder.dispatches,
      copies: this.#recorder.copies,
      pipelines: this.#pipelines.compiled,
      buffers: this.#pool.made + this.#readback.made,
      bindGroups: this.#groups.made,
      liveBytes: this.#pool.usedBytes,
      peakBytes: this.#pool.peakBytes,
      poolBytes: this.#pool.idleBytes,
    };
  }

  /** From here on, `peakBytes` counts anew. */
  resetPeak(): void {
    this.#pool.resetPeak();
  }

  /** The array's data are taken now: the caller may change them afterwards. Throws FAX2003. */
  upload(data: HostArray): BufferHandle {
    const bytes = encodeHostData(data, this.profile);
    const most = this.profile.limits.maxBufferSize;
    const what = `${data.dtype}[${data.shape.join()}]`;
    if (bytes.byteLength > most) throw limitError(this.name, what, bytes.byteLength, "maxBufferSize", most);
    const output = new BufferHandle();
    // Nothing that waits can touch a new buffer: only the budgets make an upload wait.
    if (this.#draining === null && !this.#overBudget) this.#runAtOnce({ kind: "upload", bytes, outputs: [output] });
    else this.#enqueue({ kind: "upload", bytes: bytes.slice(), outputs: [output] });
    return output;
  }

  /** Begins with a kernel of a program that is still being generated. Whoever runs the program finds what is wrong with it. */
  compile(kernel: KernelCode): void {
    this.#pipelines.compile(kernel).catch(() => undefined);
  }

  /**
   * Runs a program; at most one submit, unless its loops are very long. Throws FAX2003 when the program does not fit the
   * device; what fails later makes `read` of the outputs fail, and of all that is computed from them. An input that the
   * program takes as donated must not be used afterwards.
   */
  execute(source: Executable | (() => Executable), inputs: CallInputs): BufferHandle[] {
    const executable = typeof source === "function" ? source() : source;
    if (inputs.length !== executable.inputs.length) {
      throw new InternalError(`a program of ${executable.inputs.length} inputs is given ${inputs.length}`);
    }
    const prepared = this.#prepare(executable);
    for (const input of inputs) if (input instanceof BufferHandle) input.use();
    const outputs = executable.outputs.map(() => new BufferHandle());
    const task: ExecuteTask = { kind: "execute", prepared, inputs, outputs };
    const runnable = isDecided(prepared) && prepared.dispatches <= mostAtOnce;
    if (this.#draining === null && runnable && !this.#overBudget) this.#runAtOnce(task);
    else this.#enqueue(task);
    return outputs;
  }

  /** `size` elements of a value. Rejects with what went wrong in anything that the value depends on (FAX2003–2006, 2008). */
  async read(handle: BufferHandle, dtype: DType, size: number): Promise<HostData> {
    const begun = beginPhase();
    handle.use();
    this.#naps?.begin();
    try {
      return await this.#watchdog.guard(this.#read(handle, dtype, size));
    } finally {
      this.#naps?.end();
      handle.unuse();
      endPhase("read", begun);
    }
  }

  /** The value is no longer needed; what is already asked for still runs. */
  release(handle: BufferHandle): void {
    this.#owners.unregister(handle);
    handle.drop();
  }

  /** Releases the value when `owner` is collected, unless `release` does before. */
  trackOwner(owner: object, handle: BufferHandle): void {
    this.#owners.register(owner, handle, handle);
  }

  /** Times every kernel from now on, where the device can; null where it cannot. */
  async startProfile(): Promise<KernelProfile | null> {
    if (!this.#device.features.has("timestamp-query")) return null;
    await this.idle();
    const timer = new KernelTimer(this.#device);
    this.#recorder.timer = timer;
    return {
      stop: async () => {
        await this.idle();
        this.#recorder.timer = null;
        return timer.finish();
      },
    };
  }

  /** All that was asked for has run. */
  async idle(): Promise<void> {
    this.#naps?.begin();
    try {
      while (this.#draining !== null) await this.#draining;
      this.#submitter.flush();
      await this.#submitter.finish();
    } finally {
      this.#naps?.end();
    }
  }

  /** Ends the device; values that are not read yet are lost. */
  destroy(): void {
    this.#submitter.flush();
    this.#lose(lostError(this.name, { reason: "destroyed", message: "" }));
    this.#device.destroy();
  }

  /** Waits for what the driver compiles; not for a device that has stopped. */
  endWithProcess(): void {
    if (!this.#watchdog.stopped) this.#device.destroy();
  }

  get #overBudget(): boolean {
    return this.#submitter.inFlight >= mostInFlight || this.#reclaimer.overBudget;
  }

  #prepare(executable: Executable): PreparedExecutable {
    let prepared = this.#prepared.get(executable);
    if (prepared === undefined) {
      prepared = new PreparedExecutable(executable, this.#pipelines, this.profile, this.#counters.stride);
      this.#prepared.set(executable, prepared);
      void prepared.compiling.then(() => this.#watchdog.progress());
    }
    return prepared;
  }

  #enqueue(task: Task): void {
    this.#queue.push(task);
    this.#draining ??= this.#drain();
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    // Never done before it is known to be under way.
    await Promise.resolve();
    let sinceBreath = 0;
    for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) {
      if (task.kind === "execute" && !isDecided(task.prepared)) {
        this.#submitter.flush();
        await task.prepared.compiling;
      }
      if (this.#reclaimer.overBudget) await this.#reclaimer.reclaim();
      if (this.#submitter.inFlight >= mostInFlight) await this.#submitter.finish();
      if (task.kind === "execute" && task.prepared.dispatches > mostAtOnce) await this.#runInPieces(task);
      else this.#runAtOnce(task);
      // Whoever waits for one of the values goes on.
      if (++sinceBreath % tasksPerBreath === 0) await Promise.resolve();
    }
    this.#draining = null;
  }

  #runAtOnce(task: Task): void {
    try {
      this.#checkRunnable(task);
      if (task.kind === "upload") this.#calls.write(task.bytes, task.outputs[0]);
      else if (!task.prepared.hasLoops) this.#calls.run(task);
      else {
        const pieces = this.#calls.runLoops(task);
        while (!pieces.next().done);
      }
    } catch (error) {
      fail(task, error);
    } finally {
      unuseInputs(task);
    }
  }

  async #runInPieces(task: ExecuteTask): Promise<void> {
    try {
      this.#checkRunnable(task);
      const pieces = this.#calls.runLoops(task);
      while (!pieces.next().done) await this.#submitter.finish();
    } catch (error) {
      fail(task, error);
    } finally {
      unuseInputs(task);
    }
  }

  #checkRunnable(task: Task): void {
    const failure = this.#lost ?? failureOf(task);
    if (failure !== null) throw failure;
  }

  async #read(handle: BufferHandle, dtype: DType, size: number): Promise<HostData> {
    if (handle.state.kind === "pending") await handle.whenResolved();
    const { state } = handle;
    if (state.kind === "failed") throw state.error;
    if (state.kind !== "ready") throw new InternalError(`a buffer that is ${state.kind} is read`);
    if (this.#lost !== null) throw this.#lost;
    let outcome: HostData | Error = allocateData(dtype, 0);
    let batch: Batch | null = null;
    if (size > 0) {
      batch = this.#submitter.open("read", !this.#readback.has(dtype, size));
      const copy = this.#readback.record(state.buffer, dtype, size, this.#recorder, batch.fresh);
      this.#submitter.flush();
      const { submitted } = this.#submitter;
      outcome = await this.#readback.map(copy).catch(asError);
      if (!(outcome instanceof Error)) this.#submitter.finished(submitted);
      else await this.#submitter.finish();
      if (!batch.verdict.settled) await batch.verdict.done;
    } else {
      this.#submitter.flush();
      await this.#submitter.finish();
    }
    if (state.verdict !== null && !state.verdict.settled) await state.verdict.done;
    const refused = state.verdict?.error ?? batch?.verdict.error;
    if (refused) throw refused;
    if (outcome instanceof Error) {
      await nextTurn();
      throw this.#lost ?? outcome;
    }
    return outcome;
  }

  #lose(error: FaxError): void {
    this.#lost ??= error;
  }
}

function fail({ outputs }: Task, error: unknown): void {
  const failure = asError(error);
  for (const output of outputs) if (output.state.kind === "pending") output.fail(failure);
}

/** The task has run, or never will. */
function unuseInputs(task: Task): void {
  if (task.kind === "upload") return;
  for (const input of task.inputs) if (input instanceof BufferHandle) input.unuse();
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new InternalError(String(error));
}

/** Its kernels are compiled, or will never be. */
function isDecided(prepared: PreparedExecutable): boolean {
  return prepared.compiled || prepared.error !== null;
}

/** Why a task cannot run: its kernels or one of its inputs. */
function failureOf(task: Task): Error | null {
  if (task.kind === "upload") return null;
  if (task.prepared.error !== null) return task.prepared.error;
  for (const input of task.inputs) {
    if (!(input instanceof BufferHandle)) continue;
    const { state } = input;
    if (state.kind === "failed") return state.error;
    if (state.kind === "ready" && state.verdict?.error) return state.verdict.error;
  }
  return null;
}
