/**
 * One WebGPU device as the product sees it: values go up, programs run, values come down. Every method returns at once;
 * what a value depends on runs in order, at once where nothing stands in the way (pipelines compiled, memory and queue
 * within their budgets), else when the event loop turns.
 */
import { type FaxError, InternalError } from "@fax/compiler/diagnostics";
import { type AdapterProfile, allocateData, type DType, type Executable } from "@fax/compiler/executable";
import type { HostArray, HostData } from "@fax/compiler/executable";
import { BufferPool, type PooledBuffer } from "./buffer-pool.ts";
import { BufferUsage } from "./buffer-usage.ts";
import { CallEncoder, dispatchesPerSubmit } from "./encode.ts";
import { commandError, limitError, lostError } from "./gpu-error.ts";
import { BufferHandle, Storage, Verdict } from "./handle.ts";
import { encodeHostData } from "./host-data.ts";
import { LoopCounters } from "./loop-counters.ts";
import { PipelineCache } from "./pipelines.ts";
import { paddedBytes, PreparedExecutable } from "./prepared.ts";
import { Readback } from "./readback.ts";
import { nextTurn, overheadPerBuffer, Reclaimer } from "./reclaim.ts";
import { type Task, TaskQueue } from "./task-queue.ts";

/** Submits that the device has not finished; more wait. */
const mostInFlight = 256;
/** Calls with more dispatches are encoded piece by piece, with turns of the event loop between. */
const mostAtOnce = 4 * dispatchesPerSubmit;
/** Dawn holds the bytes of writes until something is submitted. */
const mostUnsubmittedUpload = 16 * 2 ** 20;

/** Counts since the device was opened, and bytes of device memory now. */
export interface DeviceStats {
  readonly submits: number;
  readonly dispatches: number;
  readonly pipelines: number;
  /** Bytes of all values, `peakBytes` the most of them and of temporaries at once, `poolBytes` kept for reuse. */
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly poolBytes: number;
}

export class WebGPUDevice {
  readonly profile: AdapterProfile;
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #pipelines: PipelineCache;
  readonly #counters: LoopCounters;
  readonly #readback: Readback;
  readonly #reclaimer: Reclaimer;
  readonly #prepared = new WeakMap<Executable, PreparedExecutable>();
  readonly #owners = new FinalizationRegistry<BufferHandle>((handle) => handle.drop());
  readonly #queue = new TaskQueue();
  #draining: Promise<void> | null = null;
  #lost: FaxError | null = null;
  #submitted = 0;
  #completed = 0;
  #unsubmittedUpload = 0;
  #callSubmits = 0;
  #dispatches = 0;

  constructor(device: GPUDevice, profile: AdapterProfile) {
    this.profile = profile;
    this.#device = device;
    this.#pool = new BufferPool(device, BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst);
    this.#pipelines = new PipelineCache(device, profile.name);
    this.#counters = new LoopCounters(device, this.#pipelines);
    this.#readback = new Readback(device, profile);
    this.#reclaimer = new Reclaimer(
      profile.class,
      () => this.#pool.usedBytes + this.#pool.usedCount * overheadPerBuffer,
    );
    // Errors are looked for in scopes; those of a device that is gone fall through, and are reported as its loss.
    device.onuncapturederror = (event) => event.preventDefault();
    void device.lost.then((info) => this.#lose(lostError(profile.name, info)));
  }

  get name(): string {
    return this.profile.name;
  }

  get stats(): DeviceStats {
    return {
      submits: this.#callSubmits,
      dispatches: this.#dispatches,
      pipelines: this.#pipelines.compiled,
      liveBytes: this.#pool.usedBytes,
      peakBytes: this.#pool.peakBytes,
      poolBytes: this.#pool.idleBytes,
    };
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

  /**
   * Runs a program; one submit, unless its loops are very long. Throws FAX2003 when the program does not fit the device;
   * what fails later makes `read` of the outputs fail, and of all that is computed from them.
   */
  execute(source: Executable | (() => Executable), inputs: readonly BufferHandle[]): BufferHandle[] {
    const executable = typeof source === "function" ? source() : source;
    if (inputs.length !== executable.inputs.length) {
      throw new InternalError(`a program of ${executable.inputs.length} inputs is given ${inputs.length}`);
    }
    const prepared = this.#prepare(executable);
    for (const input of inputs) input.use();
    const outputs = executable.outputs.map(() => new BufferHandle());
    const task: Task = { kind: "execute", prepared, inputs, outputs };
    const runnable = isDecided(prepared) && prepared.dispatches <= mostAtOnce;
    if (this.#draining === null && runnable && !this.#overBudget) this.#runAtOnce(task);
    else this.#enqueue(task);
    return outputs;
  }

  /** `size` elements of a value. Rejects with what went wrong in anything that the value depends on (FAX2003–2006). */
  async read(handle: BufferHandle, dtype: DType, size: number): Promise<HostData> {
    handle.use();
    try {
      if (handle.state.kind === "pending") await handle.whenResolved();
      const { state } = handle;
      if (state.kind === "failed") throw state.error;
      if (state.kind !== "ready") throw new InternalError(`a buffer that is ${state.kind} is read`);
      if (this.#lost !== null) throw this.#lost;
      const submitted = this.#submitted;
      const outcome = await this.#readReady(state.storage.buffer.gpu, dtype, size);
      if (state.verdict !== null && !state.verdict.settled) await state.verdict.done;
      if (state.verdict?.error) throw state.verdict.error;
      if (outcome instanceof Error) throw outcome;
      this.#completed = Math.max(this.#completed, submitted);
      return outcome;
    } finally {
      handle.unuse();
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

  /** All that was asked for has run. */
  async idle(): Promise<void> {
    while (this.#draining !== null) await this.#draining;
    await this.#finishSubmitted();
  }

  /** Ends the device; values that are not read yet are lost. */
  destroy(): void {
    this.#lose(lostError(this.name, { reason: "destroyed", message: "" }));
    this.#device.destroy();
  }

  get #overBudget(): boolean {
    return this.#submitted - this.#completed >= mostInFlight || this.#reclaimer.overBudget;
  }

  #prepare(executable: Executable): PreparedExecutable {
    let prepared = this.#prepared.get(executable);
    if (prepared === undefined) {
      prepared = new PreparedExecutable(executable, this.#pipelines, this.profile, this.#counters.stride);
      this.#prepared.set(executable, prepared);
    }
    return prepared;
  }

  #enqueue(task: Task): void {
    this.#queue.push(task);
    this.#draining ??= this.#drain();
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) {
      if (task.kind === "execute" && !isDecided(task.prepared)) await task.prepared.compiling;
      if (this.#reclaimer.overBudget) await this.#reclaimer.reclaim();
      if (this.#submitted - this.#completed >= mostInFlight) await this.#finishSubmitted();
      await this.#runInPieces(task);
    }
    this.#draining = null;
  }

  #runAtOnce(task: Task): void {
    const pieces = this.#run(task);
    while (!pieces.next().done);
  }

  async #runInPieces(task: Task): Promise<void> {
    const pieces = this.#run(task);
    while (!pieces.next().done) await this.#finishSubmitted();
  }

  /** Runs a task and settles its outputs, whatever happens; yields where a long one may be interrupted. */
  *#run(task: Task): Generator<void> {
    try {
      const failure = this.#lost ?? failureOf(task);
      if (failure !== null) throw failure;
      if (task.kind === "execute") yield* this.#call(task);
      else this.#write(task.bytes, task.outputs[0]);
    } catch (error) {
      const failure = error instanceof Error ? error : new InternalError(String(error));
      for (const output of task.outputs) if (output.state.kind === "pending") output.fail(failure);
    } finally {
      if (task.kind === "execute") for (const input of task.inputs) input.unuse();
    }
  }

  #write(bytes: Uint8Array<ArrayBufferLike>, output: BufferHandle): void {
    const size = paddedBytes(bytes.byteLength);
    const fresh: PooledBuffer[] = [];
    // A write to a buffer that exists cannot fail: most uploads are scalars, and scopes would cost more than they do.
    const mayFail = !this.#pool.has(size);
    if (mayFail) this.#openScopes();
    const buffer = this.#pool.take(size, fresh);
    this.#device.queue.writeBuffer(buffer.gpu, 0, bytes);
    this.#unsubmittedUpload += bytes.byteLength;
    if (this.#unsubmittedUpload > mostUnsubmittedUpload) this.#submit([]);
    const verdict = mayFail ? new Verdict(this.#closeScopes("upload", fresh), []) : null;
    output.resolve(new Storage(buffer, this.#pool), size, verdict);
  }

  *#call(task: Extract<Task, { kind: "execute" }>): Generator<void> {
    const { prepared, inputs, outputs } = task;
    const { executable, label } = prepared;
    const fresh: PooledBuffer[] = [];
    const temps: PooledBuffer[] = [];
    const buffers: PooledBuffer[] = [];
    /** By buffer; the call itself holds each until its outputs do. */
    const storages = new Map<number, Storage>();
    const verdicts: Verdict[] = [];
    let own: Promise<FaxError | null> | null = null;
    this.#openScopes();
    try {
      for (const [position, { buffer }] of executable.inputs.entries()) {
        const state = inputs[position]?.state;
        const needed = executable.buffers[buffer]?.bytes ?? 0;
        if (state?.kind !== "ready" || state.bytes < needed) {
          throw new InternalError(`${label}: input ${position} has no storage of ${needed} bytes`);
        }
        buffers[buffer] = state.storage.buffer;
        if (!storages.has(buffer)) storages.set(buffer, state.storage.retain());
        if (state.verdict !== null && !state.verdict.settled) verdicts.push(state.verdict);
      }
      for (const [index, { bytes, role }] of executable.buffers.entries()) {
        if (role === "input") continue;
        const buffer = this.#pool.take(paddedBytes(bytes), fresh);
        buffers[index] = buffer;
        if (role === "temp") temps.push(buffer);
        else storages.set(index, new Storage(buffer, this.#pool).retain());
      }
      const encoder = new CallEncoder(this.#device, prepared, buffers, this.#counters);
      let pieces = 0;
      for (const commands of encoder.commands()) {
        if (pieces++ > 0) yield;
        this.#submit([commands]);
        this.#callSubmits++;
      }
      this.#dispatches += encoder.dispatches;
      own = this.#closeScopes(label, fresh);
      const verdict = new Verdict(own, verdicts);
      for (const [position, { buffer }] of executable.outputs.entries()) {
        const storage = storages.get(buffer);
        if (storage === undefined) throw new InternalError(`${label}: output ${position} is a temporary`);
        outputs[position]?.resolve(storage, paddedBytes(executable.buffers[buffer]?.bytes ?? 0), verdict);
      }
    } finally {
      if (own === null) void this.#closeScopes(label, fresh);
      // Their last use is submitted: whoever takes them next comes later in the queue.
      for (const temp of temps) this.#pool.give(temp);
      for (const storage of storages.values()) storage.release();
    }
  }

  #submit(commands: readonly GPUCommandBuffer[]): void {
    this.#device.queue.submit([...commands]);
    this.#submitted++;
    this.#unsubmittedUpload = 0;
  }

  async #finishSubmitted(): Promise<void> {
    const submitted = this.#submitted;
    // A device that is lost finishes nothing, and everything that waits fails by itself.
    await this.#device.queue.onSubmittedWorkDone().catch(() => undefined);
    this.#completed = Math.max(this.#completed, submitted);
  }

  #openScopes(): void {
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("out-of-memory");
  }

  /** Never rejects. `fresh`: buffers made since the scopes were opened. */
  #closeScopes(what: string, fresh: readonly PooledBuffer[]): Promise<FaxError | null> {
    const scopes = [this.#device.popErrorScope(), this.#device.popErrorScope()];
    return Promise.all(scopes).then(
      ([memory, validation]) => {
        const error = memory ?? validation ?? null;
        if (error === null) return null;
        this.#pool.discard(fresh);
        return commandError(this.name, what, error, error === memory);
      },
      () => this.#lossFound(),
    );
  }

  async #readReady(source: GPUBuffer, dtype: DType, size: number): Promise<HostData | Error> {
    if (size === 0) return allocateData(dtype, 0);
    this.#openScopes();
    try {
      return await this.#readback.read(source, dtype, size, (fresh) => this.#closeScopes("read", fresh));
    } catch (error) {
      await nextTurn();
      return this.#lost ?? (error instanceof Error ? error : new InternalError(String(error)));
    }
  }

  /** An operation of the device was cut off: its loss is reported about then. */
  async #lossFound(): Promise<FaxError> {
    await nextTurn();
    return this.#lost ?? lostError(this.name, { reason: "unknown", message: "an operation was cut off" });
  }

  #lose(error: FaxError): void {
    this.#lost ??= error;
  }
}

/** Its kernels are compiled, or will never be. */
function isDecided(prepared: PreparedExecutable): boolean {
  return prepared.compiled || prepared.error !== null;
}

/** Why a task cannot run: its kernels or one of its inputs. */
function failureOf(task: Task): Error | null {
  if (task.kind === "upload") return null;
  if (task.prepared.error !== null) return task.prepared.error;
  for (const { state } of task.inputs) {
    if (state.kind === "failed") return state.error;
    if (state.kind === "ready" && state.verdict?.error) return state.verdict.error;
  }
  return null;
}
