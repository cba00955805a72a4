/**
 * Which kernel computes each tensor of a level, and what reads it: from that follows what a kernel must store, and which
 * buffers it binds. Kept up to date while definitions are grouped.
 */
import type { Tensor } from "../lower/expr.ts";
import { type LoopUnit, readBy, type Unit } from "./definition.ts";
import { Group, type Member, type ScheduledLoop } from "./group.ts";

export interface StoredRegardless {
  /** Tensors that must be in memory whatever reads them. */
  readonly forced: ReadonlySet<number>;
  /** How many stacked outputs an element is stored to. */
  readonly stackedStores: (tensor: number) => number;
}

export class DefUse {
  readonly #regardless: StoredRegardless;
  readonly #producers = new Map<number, Group | ScheduledLoop>();
  /** Definitions (by tensor) and loops that read a tensor. */
  readonly #readers = new Map<number, Set<number | LoopUnit>>();
  /** Arenas' own tensors: they are in memory, since what lies there is. */
  readonly #arenas = new Set<number>();

  constructor(units: readonly Unit[], regardless: StoredRegardless) {
    this.#regardless = regardless;
    for (const unit of units) {
      for (const tensor of readBy(unit)) this.addReader(tensor, unit.kind === "loop" ? unit : unit.tensor.id);
    }
  }

  addReader(tensor: number, reader: number | LoopUnit): void {
    const readers = this.#readers.get(tensor) ?? new Set();
    this.#readers.set(tensor, readers.add(reader));
  }

  /** The definition of a tensor is left out: it reads nothing any more. */
  removeReader(reader: number): void {
    for (const readers of this.#readers.values()) readers.delete(reader);
  }

  addArena(tensor: number): void {
    this.#arenas.add(tensor);
  }

  setProducer(tensor: number, producer: Group | ScheduledLoop): void {
    this.#producers.set(tensor, producer);
  }

  producerOf(tensor: number): Group | ScheduledLoop | undefined {
    return this.#producers.get(tensor);
  }

  /** Whether something but the definitions `inside` wants a tensor in memory. */
  isStored(tensor: number, inside: Pick<ReadonlySet<number>, "has">): boolean {
    const readers = [...(this.#readers.get(tensor) ?? [])];
    return (
      this.#regardless.forced.has(tensor) ||
      this.#arenas.has(tensor) ||
      readers.some((reader) => typeof reader !== "number" || !inside.has(reader))
    );
  }

  stackedStores(tensor: number): number {
    return this.#regardless.stackedStores(tensor);
  }

  /** Whether a tensor is in memory whatever becomes of the kernels that read it. */
  isGiven(tensor: number): boolean {
    return this.#regardless.forced.has(tensor) || this.stackedStores(tensor) > 0;
  }

  /** Tensors that the group's kernel binds; those that it stores rows of count once for each. */
  boundBy(group: Group): number[] {
    const inside = [...group.byTensor.keys()];
    const stored = inside.filter((tensor) => this.isStored(tensor, group.byTensor));
    const stacked = inside.flatMap((tensor) =>
      Array.from({ length: this.stackedStores(tensor) }, (_, i) => -1 - tensor - i / 1024),
    );
    return [...group.loaded().keys(), ...stored, ...stacked];
  }

  /** What one group alone reads from another that gives nothing else. */
  onlyRead(from: Group, group: Group): Tensor | null {
    const [only, ...others] = from.members.filter(({ def }) => this.isStored(def.tensor.id, from.byTensor));
    const isStacked = from.members.some(({ def }) => this.stackedStores(def.tensor.id) > 0);
    if (!only || others.length > 0 || isStacked || this.isGiven(only.def.tensor.id)) return null;
    const readers = [...(this.#readers.get(only.def.tensor.id) ?? [])];
    const alone = readers.every((reader) => typeof reader === "number" && group.byTensor.has(reader));
    return alone ? only.def.tensor : null;
  }

  /** The products that read elements of a kernel's rows, if nothing else outside of the kernel does. */
  productsThatRead(elements: readonly Member[]): Group[] | null {
    const products = new Set<Group>();
    for (const { def } of elements) {
      const { id } = def.tensor;
      if (this.isGiven(id)) return null;
      for (const reader of this.#readers.get(id) ?? []) {
        if (typeof reader !== "number") return null;
        const group = this.#producers.get(reader);
        if (!(group instanceof Group)) return null;
        if (group.contraction) products.add(group);
        else if (!group.byTensor.has(id)) return null;
      }
    }
    return products.size > 0 ? [...products] : null;
  }
}
