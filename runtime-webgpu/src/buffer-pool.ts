/**
 * Device buffers, reused by size class: little more than what was asked for, since a program asks for the same sizes
 * again and again. A buffer may be taken again as soon as its last use is recorded: commands run in
 * order. What a buffer held before is still in it. The one made first is taken first: however a program's values are
 * freed, its calls meet the same buffers together again, and so their bind groups.
 */
import { allocatedBytes } from "@fax/compiler/executable";
import { IdHeap } from "./id-heap.ts";

/** What a kernel is bound to: a buffer, from an offset on. */
export interface BoundBuffer {
  readonly gpu: GPUBuffer;
  readonly offset: number;
  /** Never given twice in a process: names the buffer and the offset in keys of bind groups. */
  readonly id: number;
  /** The last batch of calls that uses it, or a part of it. */
  batch: number;
  /** What it is a part of; null for a whole buffer. */
  readonly whole: BoundBuffer | null;
  /** By offset, those that were asked for. */
  parts: Map<number, BoundBuffer> | null;
}

export interface PooledBuffer extends BoundBuffer {
  /** Size of the allocation; what it holds may be less. */
  readonly capacity: number;
  /** The device could not make it: never to be used again. */
  broken: boolean;
}

let nextId = 0;

export function nextBufferId(): number {
  return nextId++;
}

/** From `offset` bytes on; asked for again it is the same object, and so are the bind groups that it is in. */
export function partOf(buffer: BoundBuffer, offset: number): BoundBuffer {
  if (offset === 0) return buffer;
  const whole = buffer.whole ?? buffer;
  const start = buffer.offset + offset;
  whole.parts ??= new Map();
  let part = whole.parts.get(start);
  if (part === undefined) {
    part = { gpu: whole.gpu, offset: start, id: nextBufferId(), batch: -1, whole, parts: null };
    whole.parts.set(start, part);
  }
  return part;
}

export function markUsed(buffer: BoundBuffer, batch: number): void {
  (buffer.whole ?? buffer).batch = batch;
}

const idleFloor = 256 * 2 ** 20;

export class BufferPool {
  readonly #device: GPUDevice;
  readonly #usage: GPUBufferUsageFlags;
  readonly #maxSize: number;
  readonly #idle = new Map<number, IdHeap<PooledBuffer>>();
  #idleBytes = 0;
  #usedBytes = 0;
  #usedCount = 0;
  #peakBytes = 0;
  #made = 0;

  constructor(device: GPUDevice, usage: GPUBufferUsageFlags) {
    this.#device = device;
    this.#usage = usage;
    this.#maxSize = device.limits.maxBufferSize;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get usedCount(): number {
    return this.#usedCount;
  }

  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Buffers made so far. */
  get made(): number {
    return this.#made;
  }

  /** Forgets how much was used at once before. */
  resetPeak(): void {
    this.#peakBytes = this.#usedBytes;
  }

  /** `fresh` collects a buffer that had to be made: making it may fail, which an error scope around the call sees. */
  take(bytes: number, fresh: PooledBuffer[]): PooledBuffer {
    const capacity = this.#capacity(bytes);
    this.#usedBytes += capacity;
    this.#usedCount++;
    this.#peakBytes = Math.max(this.#peakBytes, this.#usedBytes);
    const idle = this.#idle.get(capacity)?.pop();
    if (idle !== undefined) {
      this.#idleBytes -= capacity;
      return idle;
    }
    const gpu = this.#device.createBuffer({ size: capacity, usage: this.#usage });
    this.#made++;
    const id = nextBufferId();
    const made = { gpu, offset: 0, id, capacity, batch: -1, whole: null, parts: null, broken: false };
    fresh.push(made);
    return made;
  }

  /** Whether `take` finds one, and so cannot fail. */
  has(bytes: number): boolean {
    return (this.#idle.get(this.#capacity(bytes))?.size ?? 0) > 0;
  }

  give(buffer: PooledBuffer): void {
    this.#usedBytes -= buffer.capacity;
    this.#usedCount--;
    if (buffer.broken) {
      buffer.gpu.destroy();
      return;
    }
    this.#idleBytes += buffer.capacity;
    let idle = this.#idle.get(buffer.capacity);
    if (idle === undefined) this.#idle.set(buffer.capacity, (idle = new IdHeap()));
    idle.push(buffer);
    const most = Math.max(idleFloor, this.#peakBytes / 2);
    if (this.#idleBytes > most) this.#trim(most, buffer.capacity);
  }

  /** For buffers whose making failed; those still in use go when they are given back. */
  discard(buffers: readonly PooledBuffer[]): void {
    for (const buffer of buffers) {
      buffer.broken = true;
      if (this.#idle.get(buffer.capacity)?.delete(buffer) !== true) continue;
      this.#idleBytes -= buffer.capacity;
      buffer.gpu.destroy();
    }
  }

  #capacity(bytes: number): number {
    return Math.min(allocatedBytes(bytes), this.#maxSize - (this.#maxSize % 4));
  }

  /** Other classes than the one in use now go first. */
  #trim(most: number, current: number): void {
    for (const [capacity, idle] of this.#idle) {
      if (capacity !== current) this.#trimClass(capacity, idle, most);
    }
    const idle = this.#idle.get(current);
    if (idle !== undefined) this.#trimClass(current, idle, most);
  }

  #trimClass(capacity: number, idle: IdHeap<PooledBuffer>, most: number): void {
    while (this.#idleBytes > most) {
      const buffer = idle.popLast();
      if (buffer === undefined) break;
      this.#idleBytes -= capacity;
      buffer.gpu.destroy();
    }
    if (idle.size === 0) this.#idle.delete(capacity);
  }
}
