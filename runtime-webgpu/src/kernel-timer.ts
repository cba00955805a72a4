/** Times of kernels by timestamp queries: every dispatch in a pass of its own, which costs some microseconds each. */
import { BufferUsage, MapModeRead } from "./buffer-usage.ts";

/** One dispatch. */
export interface KernelTime {
  readonly name: string;
  /** By the device's own clock, in ns. */
  readonly start: number;
  readonly duration: number;
  readonly flops: number;
  readonly bytes: number;
  /** Which submit it belonged to, and when that was, in ms of `performance.now()`. */
  readonly submitted: number;
}

type Timed = Pick<KernelTime, "name" | "flops" | "bytes">;

/** What WebGPU allows in one set. */
const mostQueries = 4096;

export class KernelTimer {
  readonly #device: GPUDevice;
  readonly #times: KernelTime[] = [];
  readonly #reading = new Set<Promise<void>>();
  #set: GPUQuerySet | null = null;
  #timed: Timed[] = [];
  #results: { readonly set: GPUQuerySet; readonly mapped: GPUBuffer; readonly timed: readonly Timed[] } | null = null;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** For the pass of a dispatch; what exceeds the queries of a command buffer is not timed. */
  pass(timed: Timed): GPUComputePassDescriptor {
    const first = 2 * this.#timed.length;
    if (first + 2 > mostQueries) return {};
    this.#set ??= this.#device.createQuerySet({ type: "timestamp", count: mostQueries });
    this.#timed.push(timed);
    return {
      timestampWrites: { querySet: this.#set, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 },
    };
  }

  /** The last commands of a command buffer. */
  resolve(encoder: GPUCommandEncoder): void {
    const set = this.#set;
    if (set === null) return;
    const timed = this.#timed;
    const size = 16 * timed.length;
    const resolved = this.#device.createBuffer({ size, usage: BufferUsage.queryResolve | BufferUsage.copySrc });
    const mapped = this.#device.createBuffer({ size, usage: BufferUsage.mapRead | BufferUsage.copyDst });
    encoder.resolveQuerySet(set, 0, 2 * timed.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, mapped, 0, size);
    this.#results = { set, mapped, timed };
    this.#set = null;
    this.#timed = [];
  }

  /** After the submit. */
  collect(): void {
    const results = this.#results;
    if (results === null) return;
    this.#results = null;
    const { set, mapped, timed } = results;
    const submitted = performance.now();
    const reading = mapped.mapAsync(MapModeRead).then(
      () => {
        const stamps = new BigUint64Array(mapped.getMappedRange());
        for (const [i, kernel] of timed.entries()) {
          const [start, end] = [Number(stamps[2 * i]), Number(stamps[2 * i + 1])];
          this.#times.push({ ...kernel, start, duration: Math.max(0, end - start), submitted });
        }
        mapped.destroy();
        set.destroy();
      },
      // A device that is lost has no times.
      () => undefined,
    );
    this.#reading.add(reading);
    void reading.then(() => this.#reading.delete(reading));
  }

  /** All that was submitted until now. */
  async finish(): Promise<readonly KernelTime[]> {
    await Promise.all(this.#reading);
    return this.#times;
  }
}
