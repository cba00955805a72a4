/**
 * Bind groups of one device, found again by what they bind: looked up by a hash of numbers, compared exactly. What was
 * not asked for in the last few thousand groups is forgotten.
 */
import type { BoundBuffer } from "./buffer-pool.ts";
import type { BindingLayout } from "./pipelines.ts";

interface Entry {
  readonly layout: BindingLayout;
  readonly ids: readonly number[];
  readonly sizes: readonly number[];
  readonly group: GPUBindGroup;
  /** The next one of the same hash. */
  readonly next: Entry | undefined;
}

/** Groups of a generation; two are kept. */
const generationSize = 8192;

export class BindGroups {
  readonly #device: GPUDevice;
  #young = new Map<number, Entry>();
  #old = new Map<number, Entry>();
  #count = 0;
  #made = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Groups made so far. */
  get made(): number {
    return this.#made;
  }

  /** `buffers` and their `sizes` by binding. */
  get(layout: BindingLayout, buffers: readonly BoundBuffer[], sizes: readonly number[]): GPUBindGroup {
    let hash = layout.id;
    for (let i = 0; i < buffers.length; i++) {
      hash = (Math.imul(hash, 31) + (buffers[i] as BoundBuffer).id) | 0;
      hash = (Math.imul(hash, 31) + (sizes[i] as number)) | 0;
    }
    const known = find(this.#young.get(hash), layout, buffers, sizes);
    if (known !== null) return known;
    return this.#add(hash, layout, buffers, sizes, find(this.#old.get(hash), layout, buffers, sizes));
  }

  #add(
    hash: number,
    layout: BindingLayout,
    buffers: readonly BoundBuffer[],
    sizes: readonly number[],
    old: GPUBindGroup | null,
  ): GPUBindGroup {
    const group = old ?? this.#make(layout, buffers, sizes);
    if (this.#count++ >= generationSize) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#count = 1;
    }
    const ids = buffers.map(({ id }) => id);
    this.#young.set(hash, { layout, ids, sizes: [...sizes], group, next: this.#young.get(hash) });
    return group;
  }

  #make(layout: BindingLayout, buffers: readonly BoundBuffer[], sizes: readonly number[]): GPUBindGroup {
    this.#made++;
    return this.#device.createBindGroup({
      layout: layout.buffers,
      entries: buffers.map(({ gpu, offset }, binding) => ({
        binding,
        resource: { buffer: gpu, offset, size: sizes[binding] as number },
      })),
    });
  }
}

function find(
  first: Entry | undefined,
  layout: BindingLayout,
  buffers: readonly BoundBuffer[],
  sizes: readonly number[],
): GPUBindGroup | null {
  for (let entry = first; entry !== undefined; entry = entry.next) {
    if (entry.layout !== layout || entry.ids.length !== buffers.length) continue;
    let same = true;
    for (let i = 0; same && i < buffers.length; i++) {
      same = entry.ids[i] === (buffers[i] as BoundBuffer).id && entry.sizes[i] === sizes[i];
    }
    if (same) return entry.group;
  }
  return null;
}
