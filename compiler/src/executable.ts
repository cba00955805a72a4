/**
 * The executable format: what a compiled program is, without the compiler and without any device API. Buffers are known
 * by index, sizes and offsets are in bytes, kernels are source text of the named language.
 */
import type { DType } from "./ir/dtype.ts";
import type { Shape } from "./ir/shape.ts";

/** What a device takes and gives: the host arrays, and f16 as bits. */
export type { DType } from "./ir/dtype.ts";
export { allocateData, f16Bits, f16BitsToNumber, type HostArray, type HostData } from "./ir/host-array.ts";

export interface BufferSpec {
  readonly bytes: number;
  /** `input`: given by the caller; `output`: new at each call and handed to the caller; `temp`: lives during the call. */
  readonly role: "input" | "output" | "temp";
  /** Of an input: the caller gives it up; the program may write it, and an output may be it. */
  readonly donated?: boolean;
  /**
   * It is a part of another buffer, from a byte on, and has that buffer's role. The buffer around inputs is no input itself: a
   * call finds the inputs there, in their places, or brings them together first.
   */
  readonly within?: { readonly buffer: number; readonly offset: number };
  /** What it holds, for reading plans and profiles. */
  readonly label: string;
}

/** Parts of buffers begin at multiples of it: what every device can bind. */
export const partAlignment = 256;

export interface KernelCode {
  readonly name: string;
  readonly language: "wgsl";
  readonly source: string;
  readonly entryPoint: string;
  /** Features that the source enables, by WebGPU's names. */
  readonly features: readonly string[];
  /**
   * Group 0 of the source: binding i is storage, read-only or not. Group 1, if `counters` > 0, binding j is a uniform
   * `u32` with a dynamic offset that holds the iteration of the j-th loop around the dispatch, outermost first.
   */
  readonly bindings: readonly { readonly access: "read" | "read_write" }[];
  readonly counters: number;
}

/** Which buffer a binding takes. In iteration t of the innermost loop around it, buffer `even` or `odd` by t's parity. */
export type BufferRef = number | { readonly even: number; readonly odd: number };

export type Step =
  | {
      readonly kind: "dispatch";
      /** Index into `kernels`. */
      readonly kernel: number;
      readonly buffers: readonly BufferRef[];
      readonly workgroups: readonly [number, number, number];
      /** For profiles and cost reports. */
      readonly flops: number;
      readonly bytesMoved: number;
    }
  | { readonly kind: "copy"; readonly from: BufferRef; readonly to: BufferRef; readonly bytes: number }
  | { readonly kind: "loop"; readonly length: number; readonly body: readonly Step[] };

export interface ValueSpec {
  readonly dtype: DType;
  /** The shape in memory: a group's axis leads. */
  readonly shape: Shape;
  readonly buffer: number;
}

export interface Executable {
  readonly buffers: readonly BufferSpec[];
  readonly kernels: readonly KernelCode[];
  readonly steps: readonly Step[];
  readonly inputs: readonly ValueSpec[];
  /** Several outputs may share a buffer, and an output's buffer may be an input's: the value is the input then. */
  readonly outputs: readonly ValueSpec[];
  /** What temps and outputs take of a device, as `allocatedBytes` counts; they exist at once. Inputs count apart. */
  readonly peakBytes: number;
  /** The most bytes of values that are alive at once: what no plan of these steps could go below. */
  readonly peakLowerBound: number;
}

/** What a buffer takes of a device: allocations are multiples of 256 bytes. */
export function allocatedBytes(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / 256)) * 256;
}

/** What code generation may use, read from an adapter (or fixed, for looking at code without one). */
export interface AdapterProfile {
  /** `cpu`: a software adapter, where workgroup memory and barriers are dear and threads few. */
  readonly class: "gpu" | "cpu";
  readonly name: string;
  readonly features: readonly ("shader-f16" | "subgroups")[];
  readonly subgroupSize: number;
  readonly limits: {
    readonly maxStorageBuffersPerShaderStage: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxBufferSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxComputeWorkgroupSizeX: number;
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeWorkgroupsPerDimension: number;
  };
}

/** WebGPU's guaranteed minimum, for compiling without an adapter. */
export const baselineProfile: AdapterProfile = {
  class: "gpu",
  name: "WebGPU baseline",
  features: [],
  subgroupSize: 0,
  limits: {
    maxStorageBuffersPerShaderStage: 8,
    maxStorageBufferBindingSize: 134217728,
    maxBufferSize: 268435456,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeWorkgroupsPerDimension: 65535,
  },
};

/** Bytes of one element in a device buffer. Without `shader-f16`, f16 values are kept in f32, rounded to f16. */
export function storageBytes(dtype: DType, profile: AdapterProfile): number {
  return dtype === "f16" && profile.features.includes("shader-f16") ? 2 : 4;
}
