/**
 * One WebGPU device as the product sees it: values go up, programs run, values come down. Every method returns at once;
 * what a value depends on runs in order, at once where nothing stands in the way (pipelines compiled, memory and queue
 * within their budgets), else when the event loop turns.
 */
import { beginPhase, endPhase, type FaxError, InternalError } from "@fax/compiler/diagnostics";
import { type AdapterProfile, allocateData, type DType, type Executable } from "@fax/compiler/executable";
import type { BufferSpec, HostArray, HostData, KernelCode, ValueSpec } from "@fax/compiler/executable";
import { type BoundBuffer, BufferPool, markUsed, partOf, type PooledBuffer } from "./buffer-pool.ts";
import { BufferUsage } from "./buffer-usage.ts";
import { BindGroups } from "./bind-groups.ts";
import { commandsPerSubmit, Recorder } from "./encode.ts";
import { limitError, lostError, stalledError } from "./gpu-error.ts";
import { BufferHandle, Storage, Verdict } from "./handle.ts";
import { encodeHostData } from "./host-data.ts";
import { fillArena, findArena, ownArena, settleIn } from "./input-arenas.ts";
import { type KernelTime, KernelTimer } from "./kernel-timer.ts";
import { LoopCounters } from "./loop-counters.ts";
import { PipelineCache } from "./pipelines.ts";
import { type InputArena, paddedBytes, PreparedExecutable } from "./prepared.ts";
import { Readback } from "./readback.ts";
import { bytesOfScalar, type Scalar, scalarSlots, ScalarSlots } from "./scalars.ts";
import { Watchdog } from "./watchdog.ts";
import { nextTurn, overheadPerBuffer, Reclaimer } from "./reclaim.ts";
import { type Batch, mostWorkPerSubmit, Submitter } from "./submitter.ts";
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
  readonly #submitter: Submitter;
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
    this.#scalars = new ScalarSlots(device, profile);
    this.#recorder = new Recorder(device, this.#counters, this.#groups);
    this.#readback = new Readback(device, profile);
    this.#reclaimer = new Reclaimer(
      profile.class,
      () => this.#pool.usedBytes + this.#pool.usedCount * overheadPerBuffer,
    );
    this.#watchdog = new Watchdog(patience, () => stalledError(profile.name, patience));
    this.#submitter = new Submitter(device, profile, {
      pool: this.#pool,
      recorder: this.#recorder,
      scalars: this.#scalars,
      watchdog: this.#watchdog,
      loss: () => this.#lost,
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
    try {
      return await this.#watchdog.guard(this.#read(handle, dtype, size));
    } finally {
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
    while (this.#draining !== null) await this.#draining;
    this.#submitter.flush();
    await this.#submitter.finish();
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
    const pieces = this.#run(task);
    while (!pieces.next().done);
  }

  async #runInPieces(task: Task): Promise<void> {
    const pieces = this.#run(task);
    while (!pieces.next().done) await this.#submitter.finish();
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
    if (mayFail) this.#submitter.pushScopes();
    const buffer = this.#pool.take(size, fresh);
    this.#submitter.write(buffer, bytes);
    let verdict: Verdict | null = null;
    if (mayFail) {
      verdict = new Verdict();
      verdict.decide(this.#submitter.popScopes("upload", fresh));
    }
    output.resolve(new Storage(buffer, this.#pool), buffer, size, verdict);
  }

  *#call(task: ExecuteTask): Generator<void> {
    const { prepared, outputs } = task;
    const { executable, label } = prepared;
    const own: BufferHandle[] = [];
    const inputs = this.#withBuffers(prepared, task.inputs, own);
    // What no device has seen yet may be refused, and large buffers may not be had: it then takes nothing else with it.
    const alone = !prepared.proven || prepared.large.some((bytes) => !this.#pool.has(bytes));
    const full = (this.#submitter.batch?.scalars ?? 0) + inputs.length > scalarSlots;
    if (alone || full || this.#counters.grows(prepared.longestLoop)) this.#submitter.flush();
    let batch = this.#submitter.open(label, alone);
    const buffers: BoundBuffer[] = [];
    const temps: PooledBuffer[] = [];
    /** By buffer. */
    const storages: (Storage | undefined)[] = [];
    /** The call itself holds them until its outputs do; an input's once for each position. */
    const held: Storage[] = [];
    try {
      for (let index = 0; index < executable.buffers.length; index++) {
        const { bytes, role, within } = executable.buffers[index] as BufferSpec;
        if (role === "input" || within !== undefined) continue;
        const buffer = this.#take(bytes, batch);
        buffers[index] = buffer;
        if (role === "temp") temps.push(buffer);
        else held.push((storages[index] = new Storage(buffer, this.#pool).retain()));
      }
      const preference = (buffers.find((buffer) => buffer !== undefined)?.id ?? 0) * inputs.length;
      for (let position = 0; position < inputs.length; position++) {
        const input = inputs[position] as CallInput;
        const index = (executable.inputs[position] as ValueSpec).buffer;
        const { bytes } = executable.buffers[index] as BufferSpec;
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
        held.push(state.storage.retain());
        if (prepared.packed[position] === true) continue;
        storages[index] = state.storage;
        buffers[index] = state.buffer;
      }
      for (const position of prepared.donated) {
        const input = inputs[position] as BufferHandle;
        const index = (executable.inputs[position] as ValueSpec).buffer;
        const storage = storages[index] as Storage;
        // Of the storage: the handle that is given up, and this call. Of the handle: this call.
        if (storage.references <= 2 && input.uses <= 1) continue;
        const { bytes } = executable.buffers[index] as BufferSpec;
        const copy = this.#copyOf(buffers[index] as BoundBuffer, bytes, batch);
        held.push((storages[index] = copy.retain()));
        buffers[index] = copy.buffer;
      }
      for (const arena of prepared.arenas) {
        const { storage, buffer } = this.#bindArena(arena, inputs, batch);
        held.push((storages[arena.buffer] = storage));
        buffers[arena.buffer] = buffer;
      }
      for (const { index, buffer, offset } of prepared.parts) {
        storages[index] = storages[buffer];
        buffers[index] = partOf(buffers[buffer] as BoundBuffer, offset);
      }
      batch.calls++;
      batch.work += prepared.work;
      const begun = beginPhase();
      if (prepared.hasLoops) {
        const pieces = this.#recorder.recordLoops(prepared, buffers, mostWorkPerSubmit);
        while (!pieces.next().done) {
          const before = batch.verdict;
          this.#submitter.flush();
          yield;
          batch = this.#submitter.open(label, alone);
          batch.calls++;
          batch.verdict.dependOn(before);
        }
      } else {
        this.#recorder.record(prepared, buffers);
      }
      endPhase("encode", begun);
      for (let position = 0; position < outputs.length; position++) {
        const index = (executable.outputs[position] as ValueSpec).buffer;
        const storage = storages[index];
        if (storage === undefined) throw new InternalError(`${label}: output ${position} is a temporary`);
        const bytes = paddedBytes((executable.buffers[index] as BufferSpec).bytes);
        (outputs[position] as BufferHandle).resolve(storage, buffers[index] as BoundBuffer, bytes, batch.verdict);
      }
      if (!prepared.proven) void this.#prove(prepared, batch.verdict);
    } finally {
      for (const buffer of buffers) if (buffer !== undefined) markUsed(buffer, batch.serial);
      for (const storage of held) markUsed(storage.buffer, batch.serial);
      // Their last use is recorded: whoever takes them next comes later.
      for (const temp of temps) this.#pool.give(temp);
      for (const storage of held) storage.release();
      for (const handle of own) handle.drop();
      if (alone || this.#submitter.isEnough(batch)) this.#submitter.flush();
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
    await Promise.resolve();
    await verdict.done;
    if (verdict.error === null) prepared.proven = true;
  }
  /** A donated value that something else needs is spared. */
  #copyOf(shared: BoundBuffer, bytes: number, batch: Batch): Storage {
    const copy = this.#take(bytes, batch);
    this.#recorder.copy(shared, copy, bytes);
    return new Storage(copy, this.#pool);
  }

  /** Where the arena's inputs lie together, held for the call; donated ones where nothing else needs what is there. */
  #bindArena(arena: InputArena, inputs: CallInputs, batch: Batch): { storage: Storage; buffer: BoundBuffer } {
    const found = findArena(arena, inputs);
    if (found !== null && (!arena.donated || ownArena(arena, inputs, found.storage))) {
      found.storage.retain();
      return found;
    }
    const buffer = this.#take(arena.bytes, batch);
    const storage = new Storage(buffer, this.#pool).retain();
    fillArena(arena, inputs, storage, this.#recorder);
    if (!arena.donated) settleIn(arena, inputs, storage, batch.verdict);
    return { storage, buffer };
  }

  #take(bytes: number, batch: Batch): PooledBuffer {
    const size = paddedBytes(bytes);
    if (!batch.scoped && !this.#pool.has(size)) this.#submitter.openScopes(batch);
    return this.#pool.take(size, batch.fresh);
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
