/**
 * One WebGPU device as the product sees it: values go up, programs run, values come down. Every method returns at once;
 * what a value depends on runs in order, at once where nothing stands in the way (pipelines compiled, memory and queue
 * within their budgets), else when the event loop turns.
 */
import { type FaxError, InternalError } from "@fax/compiler/diagnostics";
import { type AdapterProfile, allocateData, type DType, type Executable } from "@fax/compiler/executable";
import type { BufferSpec, HostArray, HostData, ValueSpec } from "@fax/compiler/executable";
import { type BoundBuffer, BufferPool, type PooledBuffer } from "./buffer-pool.ts";
import { BufferUsage } from "./buffer-usage.ts";
import { BindGroups } from "./bind-groups.ts";
import { commandsPerSubmit, Recorder } from "./encode.ts";
import { commandError, limitError, lostError, stalledError } from "./gpu-error.ts";
import { BufferHandle, Storage, Verdict } from "./handle.ts";
import { encodeHostData } from "./host-data.ts";
import { LoopCounters } from "./loop-counters.ts";
import { PipelineCache } from "./pipelines.ts";
import { paddedBytes, PreparedExecutable } from "./prepared.ts";
import { Readback } from "./readback.ts";
import { bytesOfScalar, type Scalar, scalarSlots, ScalarSlots } from "./scalars.ts";
import { Watchdog } from "./watchdog.ts";
import { nextTurn, overheadPerBuffer, Reclaimer } from "./reclaim.ts";
import { type Task, TaskQueue } from "./task-queue.ts";

/** Submits that the device has not finished; more wait. */
const mostInFlight = 256;
/** Calls with more dispatches are recorded piece by piece, with turns of the event loop between. */
const mostAtOnce = 4 * commandsPerSubmit;
/** Dawn holds the bytes of writes until something is submitted. */
const mostUnsubmittedUpload = 16 * 2 ** 20;
/** Calls that are submitted together: enough to share the cost of a submit, few enough that the device starts soon. */
const callsPerBatch = 64;
const commandsPerBatch = 256;
/** Operations and bytes after which a batch is worth a submit: some tens of microseconds of the device. */
const workPerBatch = { gpu: 2 ** 26, cpu: 2 ** 18 } as const;
/** A submit is cut off after so many, in seconds of a slow device, so that progress shows. */
const mostWorkPerSubmit = 2 ** 33;
/** Submits after which the device is asked whether it is done with them. */
const submitsPerCheck = 16;

/** Counts since the device was opened, and bytes of device memory now. */
export interface DeviceStats {
  /** Of commands; several calls may share one. */
  readonly submits: number;
  readonly dispatches: number;
  readonly pipelines: number;
  /** Made; a steady loop makes none. */
  readonly buffers: number;
  readonly bindGroups: number;
  /** Bytes of all values, `peakBytes` the most of them and of temporaries at once, `poolBytes` kept for reuse. */
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly poolBytes: number;
}

/** Calls and reads that are recorded, and not submitted yet. */
interface Batch {
  readonly serial: number;
  readonly verdict: Verdict;
  readonly label: string;
  /** Buffers made for it. */
  readonly fresh: PooledBuffer[];
  /** Error scopes are open already, and not only around the submit. */
  scoped: boolean;
  calls: number;
  /** Numbers that its calls take. */
  scalars: number;
  work: number;
}

type CallInput = BufferHandle | Scalar;
type CallInputs = readonly CallInput[];
type ExecuteTask = Extract<Task, { kind: "execute" }>;

export class WebGPUDevice {
  readonly profile: AdapterProfile;
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #pipelines: PipelineCache;
  readonly #counters: LoopCounters;
  readonly #groups: BindGroups;
  readonly #scalars: ScalarSlots;
  readonly #recorder: Recorder;
  readonly #readback: Readback;
  readonly #reclaimer: Reclaimer;
  readonly #watchdog: Watchdog;
  readonly #prepared = new WeakMap<Executable, PreparedExecutable>();
  readonly #owners = new FinalizationRegistry<BufferHandle>((handle) => handle.drop());
  readonly #queue = new TaskQueue();
  #draining: Promise<void> | null = null;
  #batch: Batch | null = null;
  #batches = 0;
  /** Submits what is recorded when the event loop turns. */
  #turn: NodeJS.Immediate | null = null;
  #lost: FaxError | null = null;
  #submitted = 0;
  #completed = 0;
  #checked = 0;
  #unsubmittedUpload = 0;
  #callSubmits = 0;

  /** `patience`: ms without any progress of the device after which reads of values fail. */
  constructor(device: GPUDevice, profile: AdapterProfile, { patience = 300_000 } = {}) {
    this.profile = profile;
    this.#device = device;
    this.#pool = new BufferPool(device, BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst);
    this.#pipelines = new PipelineCache(device, profile.name);
    this.#counters = new LoopCounters(device, this.#pipelines);
    this.#groups = new BindGroups(device);
    this.#scalars = new ScalarSlots(device, profile);
    this.#recorder = new Recorder(device, this.#counters, this.#groups);
    this.#readback = new Readback(device, profile);
    this.#reclaimer = new Reclaimer(
      profile.class,
      () => this.#pool.usedBytes + this.#pool.usedCount * overheadPerBuffer,
    );
    this.#watchdog = new Watchdog(patience, () => stalledError(profile.name, patience));
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
      dispatches: this.#recorder.dispatches,
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
    handle.use();
    try {
      return await this.#watchdog.guard(this.#read(handle, dtype, size));
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
    this.#flush();
    await this.#finishSubmitted();
  }

  /** Ends the device; values that are not read yet are lost. */
  destroy(): void {
    this.#flush();
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
    await null;
    let sinceBreath = 0;
    for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) {
      if (task.kind === "execute" && !isDecided(task.prepared)) {
        this.#flush();
        await task.prepared.compiling;
      }
      if (this.#reclaimer.overBudget) await this.#reclaimer.reclaim();
      if (this.#submitted - this.#completed >= mostInFlight) await this.#finishSubmitted();
      if (task.kind === "execute" && task.prepared.dispatches > mostAtOnce) await this.#runInPieces(task);
      else this.#runAtOnce(task);
      // Whoever waits for one of the values goes on.
      if (++sinceBreath % callsPerBatch === 0) await null;
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
      if (task.kind === "execute") for (const input of task.inputs) if (input instanceof BufferHandle) input.unuse();
    }
  }

  #write(bytes: Uint8Array<ArrayBufferLike>, output: BufferHandle): void {
    const size = paddedBytes(bytes.byteLength);
    const fresh: PooledBuffer[] = [];
    // A write to a buffer that exists cannot fail, and scopes would cost more than it does.
    const mayFail = !this.#pool.has(size);
    if (mayFail) this.#openScopes();
    const buffer = this.#pool.take(size, fresh);
    // Writes overtake what is recorded.
    if (this.#batch !== null && buffer.batch === this.#batch.serial) this.#flush();
    this.#device.queue.writeBuffer(buffer.gpu, 0, bytes);
    this.#unsubmittedUpload += bytes.byteLength;
    if (this.#unsubmittedUpload > mostUnsubmittedUpload) this.#submit(null);
    let verdict: Verdict | null = null;
    if (mayFail) {
      verdict = new Verdict();
      verdict.decide(this.#closeScopes("upload", fresh));
    }
    output.resolve(new Storage(buffer, this.#pool), size, verdict);
  }

  *#call(task: ExecuteTask): Generator<void> {
    const { prepared, outputs } = task;
    const { executable, label } = prepared;
    const own: BufferHandle[] = [];
    const inputs = this.#withBuffers(prepared, task.inputs, own);
    // What no device has seen yet may be refused, and large buffers may not be had: it then takes nothing else with it.
    const alone = !prepared.proven || prepared.large.some((bytes) => !this.#pool.has(bytes));
    const full = this.#batch !== null && this.#batch.scalars + inputs.length > scalarSlots;
    if (alone || full || this.#counters.grows(prepared.longestLoop)) this.#flush();
    let batch = this.#open(label, alone);
    const buffers: BoundBuffer[] = [];
    const temps: PooledBuffer[] = [];
    /** By buffer; the call itself holds each until its outputs do. */
    const storages: (Storage | undefined)[] = [];
    try {
      for (let index = 0; index < executable.buffers.length; index++) {
        const { bytes, role } = executable.buffers[index] as BufferSpec;
        if (role === "input") continue;
        const buffer = this.#take(bytes, batch);
        buffers[index] = buffer;
        if (role === "temp") temps.push(buffer);
        else storages[index] = new Storage(buffer, this.#pool).retain();
      }
      const preference = (buffers.find((buffer) => buffer !== undefined)?.id ?? 0) * inputs.length;
      for (let position = 0; position < inputs.length; position++) {
        const input = inputs[position] as CallInput;
        const index = (executable.inputs[position] as ValueSpec).buffer;
        const { bytes, donated } = executable.buffers[index] as BufferSpec;
        if (!(input instanceof BufferHandle)) {
          buffers[index] = this.#scalars.take(input, preference + position, batch.serial);
          batch.scalars++;
          continue;
        }
        const { state } = input;
        if (state.kind !== "ready" || state.bytes < bytes) {
          throw new InternalError(`${label}: input ${position} has no storage of ${bytes} bytes`);
        }
        if (state.verdict !== null) batch.verdict.dependOn(state.verdict);
        if (storages[index] !== undefined) continue;
        const storage = donated === true && state.storage.isShared ? this.#copyOf(state.storage, batch) : state.storage;
        storages[index] = storage.retain();
        buffers[index] = storage.buffer;
      }
      batch.calls++;
      batch.work += prepared.work;
      if (prepared.hasLoops) {
        for (const _ of this.#recorder.recordLoops(prepared, buffers, mostWorkPerSubmit)) {
          const before = batch.verdict;
          this.#flush();
          yield;
          batch = this.#open(label, alone);
          batch.calls++;
          batch.verdict.dependOn(before);
        }
      } else {
        this.#recorder.record(prepared, buffers);
      }
      for (let position = 0; position < outputs.length; position++) {
        const index = (executable.outputs[position] as ValueSpec).buffer;
        const storage = storages[index];
        if (storage === undefined) throw new InternalError(`${label}: output ${position} is a temporary`);
        const bytes = paddedBytes((executable.buffers[index] as BufferSpec).bytes);
        (outputs[position] as BufferHandle).resolve(storage, bytes, batch.verdict);
      }
      if (!prepared.proven) void this.#prove(prepared, batch.verdict);
    } finally {
      for (const buffer of buffers) if (buffer !== undefined) buffer.batch = batch.serial;
      // Their last use is recorded: whoever takes them next comes later.
      for (const temp of temps) this.#pool.give(temp);
      for (const storage of storages) storage?.release();
      for (const handle of own) handle.drop();
      const enough = batch.calls >= callsPerBatch || this.#recorder.recorded >= commandsPerBatch;
      if (alone || enough || batch.work >= workPerBatch[this.profile.class]) this.#flush();
    }
  }

  /**
   * Numbers whose buffers are handed on or written get buffers of their own, which `own` collects; so do more than there
   * are slots for.
   */
  #withBuffers(prepared: PreparedExecutable, inputs: CallInputs, own: BufferHandle[]): CallInputs {
    if (!prepared.needsBuffers && inputs.length <= scalarSlots) return inputs;
    return inputs.map((input, position) => {
      if (input instanceof BufferHandle) return input;
      if (prepared.needsBuffer[position] !== true && inputs.length <= scalarSlots) return input;
      const handle = new BufferHandle();
      this.#write(bytesOfScalar(input, this.profile), handle);
      own.push(handle);
      return handle;
    });
  }

  async #prove(prepared: PreparedExecutable, verdict: Verdict): Promise<void> {
    await null;
    await verdict.done;
    if (verdict.error === null) prepared.proven = true;
  }
  /** A donated value that another handle shares is spared. */
  #copyOf(shared: Storage, batch: Batch): Storage {
    const { buffer } = shared;
    const copy = this.#take(buffer.capacity, batch);
    this.#recorder.copy(buffer, copy, buffer.capacity);
    buffer.batch = batch.serial;
    return new Storage(copy, this.#pool);
  }

  #take(bytes: number, batch: Batch): PooledBuffer {
    const size = paddedBytes(bytes);
    if (!batch.scoped && !this.#pool.has(size)) this.#openBatchScopes(batch);
    return this.#pool.take(size, batch.fresh);
  }

  /** The batch that is being recorded. It is submitted at the latest when the event loop turns. */
  #open(label: string, scoped: boolean): Batch {
    let batch = this.#batch;
    if (batch === null) {
      const serial = this.#batches++;
      batch = { serial, verdict: new Verdict(), label, fresh: [], scoped: false, calls: 0, scalars: 0, work: 0 };
      this.#batch = batch;
      this.#turn ??= setImmediate(() => {
        this.#turn = null;
        this.#flush();
      });
    }
    if (scoped && !batch.scoped) this.#openBatchScopes(batch);
    return batch;
  }

  #openBatchScopes(batch: Batch): void {
    this.#openScopes();
    batch.scoped = true;
  }

  /** Submits what is recorded. */
  #flush(): void {
    const batch = this.#batch;
    if (batch === null) return;
    this.#batch = null;
    if (!batch.scoped) this.#openScopes();
    this.#scalars.write();
    const commands = this.#recorder.finish();
    if (commands !== null) {
      this.#submit(commands);
      if (batch.calls > 0) this.#callSubmits++;
    }
    const label = batch.calls > 1 ? `${batch.label} and ${batch.calls - 1} more` : batch.label;
    batch.verdict.decide(this.#closeScopes(label, batch.fresh));
    const heavy = batch.work >= mostWorkPerSubmit / submitsPerCheck;
    if (heavy || this.#submitted - this.#checked >= submitsPerCheck) void this.#finishSubmitted();
  }

  #submit(commands: GPUCommandBuffer | null): void {
    this.#device.queue.submit(commands === null ? [] : [commands]);
    this.#submitted++;
    this.#unsubmittedUpload = 0;
  }

  async #finishSubmitted(): Promise<void> {
    const submitted = this.#submitted;
    this.#checked = submitted;
    // A device that is lost finishes nothing, and everything that waits fails by itself.
    await this.#device.queue.onSubmittedWorkDone().catch(() => undefined);
    this.#finished(submitted);
  }

  #finished(submitted: number): void {
    this.#completed = Math.max(this.#completed, submitted);
    this.#watchdog.progress();
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

  async #read(handle: BufferHandle, dtype: DType, size: number): Promise<HostData> {
    if (handle.state.kind === "pending") await handle.whenResolved();
    const { state } = handle;
    if (state.kind === "failed") throw state.error;
    if (state.kind !== "ready") throw new InternalError(`a buffer that is ${state.kind} is read`);
    if (this.#lost !== null) throw this.#lost;
    const batch = this.#open("read", size > 0 && !this.#readback.has(dtype, size));
    const copy =
      size > 0 ? this.#readback.record(state.storage.buffer, dtype, size, this.#recorder, batch.fresh) : null;
    this.#flush();
    const submitted = this.#submitted;
    const outcome = copy === null ? allocateData(dtype, 0) : await this.#readback.map(copy).catch(asError);
    await batch.verdict.done;
    if (state.verdict !== null && !state.verdict.settled) await state.verdict.done;
    const refused = state.verdict?.error ?? batch.verdict.error;
    if (refused) throw refused;
    if (outcome instanceof Error) {
      await nextTurn();
      throw this.#lost ?? outcome;
    }
    this.#finished(submitted);
    return outcome;
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
