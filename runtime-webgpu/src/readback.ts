/** Copies values into memory that the host can map, and out of it. */
import type { AdapterProfile, DType, HostData } from "@fax/compiler/executable";
import { storageBytes } from "@fax/compiler/executable";
import { type BoundBuffer, BufferPool, type PooledBuffer } from "./buffer-pool.ts";
import { BufferUsage, MapModeRead } from "./buffer-usage.ts";
import type { Recorder } from "./encode.ts";
import { decodeHostData } from "./host-data.ts";
import { paddedBytes } from "./prepared.ts";

/** A copy that is recorded; to be mapped once it is submitted. */
export interface Copy {
  readonly staging: PooledBuffer;
  readonly dtype: DType;
  readonly size: number;
  readonly bytes: number;
}

export class Readback {
  readonly #profile: AdapterProfile;
  readonly #staging: BufferPool;

  constructor(device: GPUDevice, profile: AdapterProfile) {
    this.#profile = profile;
    this.#staging = new BufferPool(device, BufferUsage.mapRead | BufferUsage.copyDst);
  }

  /** Staging buffers made so far. */
  get made(): number {
    return this.#staging.made;
  }

  /** Bytes of device memory that a read of so many elements needs; whether there is a buffer for them. */
  has(dtype: DType, size: number): boolean {
    return this.#staging.has(this.#bytes(dtype, size));
  }

  record(source: BoundBuffer, dtype: DType, size: number, recorder: Recorder, fresh: PooledBuffer[]): Copy {
    const bytes = this.#bytes(dtype, size);
    const staging = this.#staging.take(bytes, fresh);
    recorder.copy(source, staging, bytes);
    return { staging, dtype, size, bytes };
  }

  async map({ staging, dtype, size, bytes }: Copy): Promise<HostData> {
    try {
      await staging.gpu.mapAsync(MapModeRead, 0, bytes);
      return decodeHostData(staging.gpu.getMappedRange(0, bytes), dtype, size, this.#profile);
    } catch (error) {
      staging.broken = true;
      throw error;
    } finally {
      if (!staging.broken) staging.gpu.unmap();
      this.#staging.give(staging);
    }
  }

  #bytes(dtype: DType, size: number): number {
    return paddedBytes(size * storageBytes(dtype, this.#profile));
  }
}
