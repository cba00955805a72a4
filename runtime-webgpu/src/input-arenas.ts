/**
 * Inputs that a program wants in one buffer, each in its place. Often they are there already: what one call gave together
 * the next one takes together. Else they are copied there, and stay: as soon as the copies are known to have succeeded,
 * the values are what was copied, so that they are brought together once and not at every call.
 */
import type { BoundBuffer } from "./buffer-pool.ts";
import { partOf } from "./buffer-pool.ts";
import type { Recorder } from "./encode.ts";
import { BufferHandle, type Storage, type Verdict } from "./handle.ts";
import type { InputArena } from "./prepared.ts";
import type { Scalar } from "./scalars.ts";

type CallInputs = readonly (BufferHandle | Scalar)[];

interface Placed {
  readonly handle: BufferHandle;
  readonly storage: Storage;
  readonly buffer: BoundBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** The storage and the part of it in which all members lie as the arena wants them; null where they don't. */
export function findArena(
  arena: InputArena,
  inputs: CallInputs,
): { readonly storage: Storage; readonly buffer: BoundBuffer } | null {
  let storage: Storage | null = null;
  let start = 0;
  for (const { position, offset } of arena.members) {
    const input = inputs[position];
    if (!(input instanceof BufferHandle) || input.state.kind !== "ready") return null;
    const { state } = input;
    if (storage === null) {
      storage = state.storage;
      start = state.buffer.offset - offset;
      if (start < 0 || start + arena.bytes > storage.buffer.capacity) return null;
    } else if (state.storage !== storage || state.buffer.offset !== start + offset) return null;
  }
  return storage === null ? null : { storage, buffer: partOf(storage.buffer, start) };
}

/** Nothing but the members and the call that is being recorded needs the storage that they lie in. */
export function ownArena({ members }: InputArena, inputs: CallInputs, storage: Storage): boolean {
  if (storage.references > 2 * members.length) return false;
  return members.every(({ position }) => (inputs[position] as BufferHandle).uses <= 1);
}

/** Records the copies of all members into the storage; neighbours go in one copy. Expects inputs that are ready. */
export function fillArena(arena: InputArena, inputs: CallInputs, storage: Storage, recorder: Recorder): void {
  const placed = placesOf(arena, inputs);
  for (let i = 0; i < placed.length;) {
    const first = placed[i++] as Placed;
    let end = first.offset + first.bytes;
    for (let next = placed[i]; next !== undefined && follows(first, next); next = placed[++i]) {
      end = next.offset + next.bytes;
    }
    recorder.copy(first.buffer, partOf(storage.buffer, first.offset), end - first.offset);
  }
}

/** Once the copies have succeeded, the members lie in the storage; it is held until then. */
export function settleIn(arena: InputArena, inputs: CallInputs, storage: Storage, verdict: Verdict): void {
  const placed = placesOf(arena, inputs);
  storage.retain();
  verdict.whenSettled(() => {
    if (verdict.error === null) {
      for (const { handle, buffer, offset } of placed) handle.move(buffer, storage, partOf(storage.buffer, offset));
    }
    storage.release();
  });
}

function placesOf({ members }: InputArena, inputs: CallInputs): Placed[] {
  return members.flatMap(({ position, offset, bytes }): Placed[] => {
    const handle = inputs[position];
    if (!(handle instanceof BufferHandle) || handle.state.kind !== "ready") return [];
    const { storage, buffer } = handle.state;
    return [{ handle, storage, buffer, offset, bytes }];
  });
}

function follows(first: Placed, next: Placed): boolean {
  return next.storage === first.storage && next.buffer.offset - first.buffer.offset === next.offset - first.offset;
}
