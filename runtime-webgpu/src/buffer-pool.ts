/**
 * Device buffers, reused by size class. A buffer may be taken again as soon as its last use is submitted: the queue runs
 * in order. What a buffer held before is still in it.
 */
export interface PooledBuffer {
  readonly gpu: GPUBuffer;
  /** Never given twice in a process: names the buffer in keys of bind groups. */
  readonly id: number;
  /** Size of the allocation; what it holds may be less. */
  readonly capacity: number;
  /** The device could not make it: never to be used again. */
  broken: boolean;
}

let nextId = 0;

const smallest = 256;
const idleFloor = 256 * 2 ** 20;

export class BufferPool {
  readonly #device: GPUDevice;
  readonly #usage: GPUBufferUsageFlags;
  readonly #maxSize: number;
  readonly #idle = new Map<number, PooledBuffer[]>();
  #idleBytes = 0;
  #usedBytes = 0;
  #usedCount = 0;
  #peakBytes = 0;

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
    const made = { gpu, id: nextId++, capacity, broken: false };
    fresh.push(made);
    return made;
  }

  /** Whether `take` finds one, and so cannot fail. */
  has(bytes: number): boolean {
    return (this.#idle.get(this.#capacity(bytes))?.length ?? 0) > 0;
  }

  /** The last taken is the first reused: loops meet the same buffers again, and so their bind groups. */
  give(buffer: PooledBuffer): void {
    this.#usedBytes -= buffer.capacity;
    this.#usedCount--;
    if (buffer.broken) {
      buffer.gpu.destroy();
      return;
    }
    this.#idleBytes += buffer.capacity;
    const idle = this.#idle.get(buffer.capacity);
    // A class that is used moves to the end of the map: trimming starts with those that are not.
    this.#idle.delete(buffer.capacity);
    this.#idle.set(buffer.capacity, idle ?? []);
    (this.#idle.get(buffer.capacity) as PooledBuffer[]).push(buffer);
    this.#trim(Math.max(idleFloor, this.#peakBytes / 2));
  }

  /** For buffers whose making failed; those still in use go when they are given back. */
  discard(buffers: readonly PooledBuffer[]): void {
    for (const buffer of buffers) {
      buffer.broken = true;
      const idle = this.#idle.get(buffer.capacity);
      const at = idle?.indexOf(buffer) ?? -1;
      if (idle === undefined || at < 0) continue;
      idle.splice(at, 1);
      this.#idleBytes -= buffer.capacity;
      buffer.gpu.destroy();
    }
  }

  #capacity(bytes: number): number {
    return Math.min(sizeClass(bytes), this.#maxSize - (this.#maxSize % 4));
  }

  #trim(most: number): void {
    for (const [capacity, idle] of this.#idle) {
      while (this.#idleBytes > most) {
        const buffer = idle.shift();
        if (buffer === undefined) break;
        this.#idleBytes -= capacity;
        buffer.gpu.destroy();
      }
      if (idle.length === 0) this.#idle.delete(capacity);
      if (this.#idleBytes <= most) return;
    }
  }
}

/** Powers of two up to 64 KiB, then four steps between powers: at most a quarter is wasted. */
function sizeClass(bytes: number): number {
  if (bytes <= smallest) return smallest;
  const power = 2 ** Math.ceil(Math.log2(bytes));
  if (power <= 65536) return power;
  const step = power / 8;
  return Math.ceil(bytes / step) * step;
}
