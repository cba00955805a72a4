/**
 * The scalars of calls, such as a learning rate: they lie in one buffer, each in a slot that a kernel can be bound to, and
 * go up together before the calls that read them. A slot that holds the value already is written no more.
 */
import { InternalError } from "@fax/compiler/diagnostics";
import { type AdapterProfile, type DType, f16Bits, f16BitsToNumber, storageBytes } from "@fax/compiler/executable";
import { type BoundBuffer, nextBufferId } from "./buffer-pool.ts";
import { BufferUsage } from "./buffer-usage.ts";

/** A number that a program takes; its value is known to the host. */
export interface Scalar {
  readonly dtype: DType;
  readonly value: number;
}

/** How many numbers the calls that are submitted together can take. */
export const scalarSlots = 256;

interface Slot extends BoundBuffer {
  bits: number;
}

export class ScalarSlots {
  readonly #device: GPUDevice;
  readonly #profile: AdapterProfile;
  /** Of a slot, in words. */
  readonly #stride: number;
  readonly #words: Uint32Array<ArrayBuffer>;
  #buffer: GPUBuffer | null = null;
  #slots: readonly Slot[] = [];
  /** Slots from the first to before the last are to be written. */
  #first = scalarSlots;
  #last = 0;

  constructor(device: GPUDevice, profile: AdapterProfile) {
    this.#device = device;
    this.#profile = profile;
    this.#stride = device.limits.minStorageBufferOffsetAlignment / 4;
    this.#words = new Uint32Array(scalarSlots * this.#stride);
  }

  /**
   * A slot that holds the number for the calls of `batch`, which take at most `scalarSlots`. The same `preference` leads to
   * the same slot as long as it is free.
   */
  take({ dtype, value }: Scalar, preference: number, batch: number): BoundBuffer {
    const bits = bitsOf(dtype, value, this.#profile);
    if (this.#buffer === null) this.#open();
    for (let probe = 0; probe < scalarSlots; probe++) {
      const index = (preference + probe) % scalarSlots;
      const slot = this.#slots[index] as Slot;
      if (slot.bits !== bits) {
        if (slot.batch === batch) continue;
        slot.bits = bits;
        this.#words[index * this.#stride] = bits;
        this.#first = Math.min(this.#first, index);
        this.#last = Math.max(this.#last, index + 1);
      }
      slot.batch = batch;
      return slot;
    }
    throw new InternalError("more numbers than there are slots");
  }

  /** Before the commands that read the slots are submitted. */
  write(): void {
    if (this.#buffer === null || this.#first >= this.#last) return;
    const start = this.#first * this.#stride;
    this.#device.queue.writeBuffer(this.#buffer, 4 * start, this.#words, start, this.#last * this.#stride - start);
    this.#first = scalarSlots;
    this.#last = 0;
  }

  #open(): void {
    const gpu = this.#device.createBuffer({
      size: this.#words.byteLength,
      usage: BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst,
    });
    this.#buffer = gpu;
    this.#slots = Array.from({ length: scalarSlots }, (_, i) => ({
      gpu,
      offset: 4 * i * this.#stride,
      id: nextBufferId(),
      // A new buffer holds zeros.
      bits: 0,
      batch: -1,
      whole: null,
      parts: null,
    }));
  }
}

/** What an upload of the number writes. */
export function bytesOfScalar({ dtype, value }: Scalar, profile: AdapterProfile): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.of(bitsOf(dtype, value, profile)).buffer);
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** The word that a kernel reads. */
function bitsOf(dtype: DType, value: number, profile: AdapterProfile): number {
  switch (dtype) {
    case "f32":
      return bitsOfFloat(value);
    case "f16":
      return storageBytes(dtype, profile) === 2 ? f16Bits(value) : bitsOfFloat(f16BitsToNumber(f16Bits(value)));
    case "i32":
    case "u32":
      return value >>> 0;
    case "bool":
      return value === 0 ? 0 : 1;
    default:
      return dtype satisfies never;
  }
}

function bitsOfFloat(value: number): number {
  float[0] = value;
  return floatBits[0] as number;
}
