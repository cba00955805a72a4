/**
 * Calls of programs: each finds its inputs, takes buffers for the rest, records its commands into the batch, and settles
 * its outputs.
 */
import { beginPhase, endPhase, InternalError } from "@fax/compiler/diagnostics";
import type { AdapterProfile, BufferSpec, ValueSpec } from "@fax/compiler/executable";
import { type BoundBuffer, type BufferPool, markUsed, partOf, type PooledBuffer } from "./buffer-pool.ts";
import type { Recorder } from "./encode.ts";
import { BufferHandle, Storage, Verdict } from "./handle.ts";
import { fillArena, findArena, ownArena, settleIn } from "./input-arenas.ts";
import type { LoopCounters } from "./loop-counters.ts";
import { type InputArena, paddedBytes, type PreparedExecutable } from "./prepared.ts";
import { bytesOfScalar, type Scalar, scalarSlots, type ScalarSlots } from "./scalars.ts";
import { type Batch, mostWorkPerSubmit, type Submitter } from "./submitter.ts";
import type { Task } from "./task-queue.ts";

export type CallInputs = readonly (BufferHandle | Scalar)[];
export type ExecuteTask = Extract<Task, { kind: "execute" }>;

interface Parts {
  readonly profile: AdapterProfile;
  readonly pool: BufferPool;
  readonly recorder: Recorder;
  readonly counters: LoopCounters;
  readonly scalars: ScalarSlots;
  readonly submitter: Submitter;
}

/** A call while it is recorded. */
interface Call {
  readonly prepared: PreparedExecutable;
  readonly inputs: CallInputs;
  readonly outputs: readonly BufferHandle[];
  /** Submitted by itself. */
  readonly alone: boolean;
  batch: Batch;
  /** By index of the executable. */
  readonly buffers: BoundBuffer[];
  readonly storages: (Storage | undefined)[];
  readonly temps: PooledBuffer[];
  /** The call itself holds them until its outputs do; an input's once for each position. */
  readonly held: Storage[];
  /** Made for numbers that need buffers. */
  readonly own: readonly BufferHandle[];
}

export class Calls {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Runs a call without loops. Expects inputs that are ready. */
  run(task: ExecuteTask): void {
    const call = this.#open(task);
    try {
      this.#bind(call);
      const begun = beginPhase();
      this.#parts.recorder.record(call.prepared, call.buffers);
      endPhase("encode", begun);
      this.#settle(call);
    } finally {
      this.#close(call);
    }
  }

  /** The same with loops; yields after each piece that is submitted, where other calls may go between. */
  *runLoops(task: ExecuteTask): Generator<void> {
    const { recorder, submitter } = this.#parts;
    const call = this.#open(task);
    try {
      this.#bind(call);
      const begun = beginPhase();
      const pieces = recorder.recordLoops(call.prepared, call.buffers, mostWorkPerSubmit);
      while (!pieces.next().done) {
        const before = call.batch.verdict;
        submitter.flush();
        yield;
        call.batch = submitter.open(call.prepared.label, call.alone);
        call.batch.calls++;
        call.batch.verdict.dependOn(before);
      }
      endPhase("encode", begun);
      this.#settle(call);
    } finally {
      this.#close(call);
    }
  }

  write(bytes: Uint8Array<ArrayBufferLike>, output: BufferHandle): void {
    const { pool, submitter } = this.#parts;
    const size = paddedBytes(bytes.byteLength);
    const fresh: PooledBuffer[] = [];
    // A write to a buffer that exists cannot fail, and scopes would cost more than it does.
    const mayFail = !pool.has(size);
    if (mayFail) submitter.pushScopes();
    const buffer = pool.take(size, fresh);
    submitter.write(buffer, bytes);
    let verdict: Verdict | null = null;
    if (mayFail) {
      verdict = new Verdict();
      verdict.decide(submitter.popScopes("upload", fresh));
    }
    output.resolve(new Storage(buffer, pool), buffer, size, verdict);
  }

  #open({ prepared, inputs: given, outputs }: ExecuteTask): Call {
    const { pool, counters, submitter } = this.#parts;
    const own: BufferHandle[] = [];
    const inputs = this.#withBuffers(prepared, given, own);
    // What no device has seen yet may be refused, and large buffers may not be had: it then takes nothing else with it.
    const alone = !prepared.proven || prepared.large.some((bytes) => !pool.has(bytes));
    const full = (submitter.batch?.scalars ?? 0) + inputs.length > scalarSlots;
    if (alone || full || counters.grows(prepared.longestLoop)) submitter.flush();
    const batch = submitter.open(prepared.label, alone);
    return { prepared, inputs, outputs, alone, batch, buffers: [], storages: [], temps: [], held: [], own };
  }

  /** Finds or takes a buffer for each of the executable's. */
  #bind(call: Call): void {
    const { prepared, inputs, batch, buffers, storages, temps, held } = call;
    const { pool, scalars } = this.#parts;
    const { executable, label } = prepared;
    let taken: BoundBuffer | null = null;
    for (let index = 0; index < executable.buffers.length; index++) {
      const { bytes, role, within } = executable.buffers[index] as BufferSpec;
      if (role === "input" || within !== undefined) continue;
      const buffer = this.#take(bytes, batch);
      taken ??= buffer;
      buffers[index] = buffer;
      if (role === "temp") temps.push(buffer);
      else held.push((storages[index] = new Storage(buffer, pool).retain()));
    }
    const preference = (taken?.id ?? 0) * inputs.length;
    for (let position = 0; position < inputs.length; position++) {
      const input = inputs[position] as BufferHandle | Scalar;
      const index = (executable.inputs[position] as ValueSpec).buffer;
      const { bytes } = executable.buffers[index] as BufferSpec;
      if (!(input instanceof BufferHandle)) {
        buffers[index] = scalars.take(input, preference + position, batch.serial);
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
    for (const position of prepared.donated) this.#takeOver(call, position);
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
  }

  #settle({ prepared, outputs, storages, buffers, batch }: Call): void {
    const { executable, label } = prepared;
    for (let position = 0; position < outputs.length; position++) {
      const index = (executable.outputs[position] as ValueSpec).buffer;
      const storage = storages[index];
      if (storage === undefined) throw new InternalError(`${label}: output ${position} is a temporary`);
      const bytes = paddedBytes((executable.buffers[index] as BufferSpec).bytes);
      (outputs[position] as BufferHandle).resolve(storage, buffers[index] as BoundBuffer, bytes, batch.verdict);
    }
    if (!prepared.proven) void prove(prepared, batch.verdict);
  }

  /** Whatever became of it. */
  #close({ alone, batch, buffers, temps, held, own }: Call): void {
    const { pool, submitter } = this.#parts;
    for (const buffer of buffers) if (buffer !== undefined) markUsed(buffer, batch.serial);
    for (const storage of held) markUsed(storage.buffer, batch.serial);
    // Their last use is recorded: whoever takes them next comes later.
    for (const temp of temps) pool.give(temp);
    for (const storage of held) storage.release();
    for (const handle of own) handle.drop();
    if (alone || submitter.isEnough(batch)) submitter.flush();
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
      this.write(bytesOfScalar(input, this.#parts.profile), handle);
      own.push(handle);
      return handle;
    });
  }

  /** A donated value that something else needs is spared: the call writes a copy. */
  #takeOver({ prepared, inputs, batch, buffers, storages, held }: Call, position: number): void {
    const { executable } = prepared;
    const input = inputs[position] as BufferHandle;
    const index = (executable.inputs[position] as ValueSpec).buffer;
    // Of the storage: the handle that is given up, and this call. Of the handle: this call.
    if ((storages[index] as Storage).references <= 2 && input.uses <= 1) return;
    const { bytes } = executable.buffers[index] as BufferSpec;
    const copy = this.#take(bytes, batch);
    this.#parts.recorder.copy(buffers[index] as BoundBuffer, copy, bytes);
    held.push((storages[index] = new Storage(copy, this.#parts.pool).retain()));
    buffers[index] = copy;
  }

  /** Where the arena's inputs lie together, held for the call; donated ones where nothing else needs what is there. */
  #bindArena(arena: InputArena, inputs: CallInputs, batch: Batch): { storage: Storage; buffer: BoundBuffer } {
    const found = findArena(arena, inputs);
    if (found !== null && (!arena.donated || ownArena(arena, inputs, found.storage))) {
      found.storage.retain();
      return found;
    }
    const buffer = this.#take(arena.bytes, batch);
    const storage = new Storage(buffer, this.#parts.pool).retain();
    fillArena(arena, inputs, storage, this.#parts.recorder);
    if (!arena.donated) settleIn(arena, inputs, storage, batch.verdict);
    return { storage, buffer };
  }

  #take(bytes: number, batch: Batch): PooledBuffer {
    const { pool, submitter } = this.#parts;
    const size = paddedBytes(bytes);
    if (!batch.scoped && !pool.has(size)) submitter.openScopes(batch);
    return pool.take(size, batch.fresh);
  }
}

async function prove(prepared: PreparedExecutable, verdict: Verdict): Promise<void> {
  await Promise.resolve();
  await verdict.done;
  if (verdict.error === null) prepared.proven = true;
}
