/**
 * The iterations of loops, as uniforms: one buffer holds 0, 1, 2, … a dynamic offset apart, filled ahead, and a dispatch
 * says by its offset which iteration it is.
 */
import { BufferUsage } from "./buffer-usage.ts";
import type { PipelineCache } from "./pipelines.ts";

const leastLength = 1024;
const mostWordsAtOnce = 2 ** 20;
/** WGSL's size of a uniform `u32`. */
const uniformBytes = 4;

export class LoopCounters {
  readonly stride: number;
  readonly #device: GPUDevice;
  readonly #pipelines: PipelineCache;
  #buffer: GPUBuffer | null = null;
  #length = 0;
  #groups: (GPUBindGroup | undefined)[] = [];

  constructor(device: GPUDevice, pipelines: PipelineCache) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.stride = device.limits.minUniformBufferOffsetAlignment;
  }

  /** Whether so many iterations need a new buffer, for which nothing that is not submitted may use the present one. */
  grows(length: number): boolean {
    return length > this.#length;
  }

  /** To be called before anything is encoded that uses them: growing replaces the buffer. */
  reserve(length: number): void {
    if (length <= this.#length) return;
    const most = Math.floor(this.#device.limits.maxBufferSize / this.stride);
    const grown = Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(length, leastLength))));
    this.#buffer?.destroy();
    this.#groups = [];
    this.#buffer = this.#device.createBuffer({
      size: grown * this.stride,
      usage: BufferUsage.uniform | BufferUsage.copyDst,
    });
    this.#length = grown;
    const words = this.stride / 4;
    const atOnce = Math.floor(mostWordsAtOnce / words);
    for (let start = 0; start < grown; start += atOnce) {
      const count = Math.min(atOnce, grown - start);
      const data = new Uint32Array(count * words);
      for (let i = 0; i < count; i++) data[i * words] = start + i;
      this.#device.queue.writeBuffer(this.#buffer, start * this.stride, data);
    }
  }

  group(count: number): GPUBindGroup {
    const buffer = this.#buffer as GPUBuffer;
    return (this.#groups[count] ??= this.#device.createBindGroup({
      layout: this.#pipelines.counterLayout(count),
      entries: Array.from({ length: count }, (_, binding) => ({
        binding,
        resource: { buffer, offset: 0, size: uniformBytes },
      })),
    }));
  }
}
