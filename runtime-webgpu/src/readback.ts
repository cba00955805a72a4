/** Copies a value into memory that the host can map, and out of it. */
import type { FaxError } from "@fax/compiler/diagnostics";
import type { AdapterProfile, DType, HostData } from "@fax/compiler/executable";
import { storageBytes } from "@fax/compiler/executable";
import { BufferPool, type PooledBuffer } from "./buffer-pool.ts";
import { BufferUsage, MapModeRead } from "./buffer-usage.ts";
import { decodeHostData } from "./host-data.ts";
import { paddedBytes } from "./prepared.ts";

export class Readback {
  readonly #device: GPUDevice;
  readonly #profile: AdapterProfile;
  readonly #staging: BufferPool;

  constructor(device: GPUDevice, profile: AdapterProfile) {
    this.#device = device;
    this.#profile = profile;
    this.#staging = new BufferPool(device, BufferUsage.mapRead | BufferUsage.copyDst);
  }

  /** `outcome` is the verdict on the commands between its two calls; the copy is submitted before this returns. */
  async read(
    source: GPUBuffer,
    dtype: DType,
    size: number,
    scopes: (fresh: readonly PooledBuffer[]) => Promise<FaxError | null>,
  ): Promise<HostData> {
    const bytes = paddedBytes(size * storageBytes(dtype, this.#profile));
    const fresh: PooledBuffer[] = [];
    const staging = this.#staging.take(bytes, fresh);
    let outcome: Promise<FaxError | null>;
    let mapping: Promise<undefined>;
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, staging.gpu, 0, bytes);
      this.#device.queue.submit([encoder.finish()]);
      mapping = staging.gpu.mapAsync(MapModeRead, 0, bytes);
    } finally {
      outcome = scopes(fresh);
    }
    const [unmappable, refused] = await Promise.all([mapping.then(() => null, asError), outcome]);
    const error = refused ?? unmappable;
    if (error !== null) {
      staging.broken = true;
      this.#staging.give(staging);
      throw error;
    }
    const data = decodeHostData(staging.gpu.getMappedRange(0, bytes), dtype, size, this.#profile);
    staging.gpu.unmap();
    this.#staging.give(staging);
    return data;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
