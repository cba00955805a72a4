/**
 * Fused program → static memory plan. Tensors that may share a buffer by what they mean (the states of a loop's carry, a
 * value computed over one that is read for the last time, a reshape) become one slot; slots whose lifetimes do not
 * overlap then share buffers, largest first. Inputs are never written, but for donated ones: what is stored later may take
 * their place.
 */
import { type AdapterProfile, allocatedBytes, type BufferRef, type BufferSpec, storageBytes } from "../executable.ts";
import { invariant } from "../diagnostics/index.ts";
import type { Tensor } from "../lower/expr.ts";
import { typeText } from "../lower/print-expr.ts";
import { writesOver } from "./in-place.ts";
import { boundTensors } from "./kernel-tensors.ts";
import type { FusedProgram } from "./kernel.ts";
import { type LoopSpan, type Lifetime, timelineOf, type Timeline } from "./lifetimes.ts";
import { bytesOfTensor, liveBytes } from "./live-bytes.ts";
import type { LoopPlan, MemoryPlan, PlannedCopy } from "./memory-plan-types.ts";

interface Interval {
  readonly start: number;
  readonly end: number;
}

/** What will be one buffer, or a part of a buffer's life. */
interface Slot {
  readonly bytes: number;
  readonly role: BufferSpec["role"];
  readonly label: string;
  /** Of an input: others may have its buffer once it is read for the last time. */
  readonly donated: boolean;
  readonly intervals: readonly Interval[];
}

/** Which role a merged slot keeps. */
const rank = { temp: 0, output: 1, input: 2 } as const;

/** Where a tensor lies; what lies in an arena: so many bytes after the beginning of the arena's slot. */
type Place = { slot: number } | { even: number; odd: number } | { around: number; offset: number };

/** `donated`: inputs, by position, that the caller gives up. */
export function planMemory(
  program: FusedProgram,
  profile: AdapterProfile,
  donated: readonly number[] = [],
): MemoryPlan {
  return new Planner(program, profile, donated).plan();
}

class Planner {
  readonly #program: FusedProgram;
  readonly #profile: AdapterProfile;
  readonly #donated: ReadonlySet<number>;
  readonly #timeline: Timeline;
  /** Merged slots are gone; `#merged` leads from them to what holds them now. */
  readonly #slots: (Slot | null)[] = [];
  readonly #merged = new Map<number, number>();
  readonly #places = new Map<number, Place>();
  readonly #reasons: string[] = [];

  constructor(program: FusedProgram, profile: AdapterProfile, donated: readonly number[]) {
    this.#program = program;
    this.#profile = profile;
    this.#donated = new Set(donated);
    this.#timeline = timelineOf(program);
  }

  plan(): MemoryPlan {
    this.#placeTensors();
    for (const { from, to } of this.#timeline.copies) this.#shareAlias(from, to);
    const copies = new Map<number, { before: CarryCopy[]; after: CarryCopy[] }>();
    for (const loop of this.#timeline.loops) copies.set(loop.step.counter.id, this.#planLoop(loop));
    this.#computeInPlace();
    const { buffers, bufferOf } = this.#assign();
    const refOf = (tensor: Tensor): BufferRef => {
      const place = this.#placeOf(tensor);
      if ("around" in place) return this.#partOf(tensor, bufferOf(place.around), place.offset, buffers);
      return "slot" in place ? bufferOf(place.slot) : { even: bufferOf(place.even), odd: bufferOf(place.odd) };
    };
    const toCopy = ({ from, to, bytes }: CarryCopy): PlannedCopy => ({
      from: typeof from === "number" ? bufferOf(from) : refOf(from),
      to: bufferOf(to),
      bytes,
    });
    const loops = new Map<number, LoopPlan>();
    for (const [id, { before, after }] of copies)
      loops.set(id, { before: before.map(toCopy), after: after.map(toCopy) });
    const assignment = new Map<number, BufferRef>();
    for (const { tensor } of this.#timeline.lifetimes.values()) assignment.set(tensor.id, refOf(tensor));
    const own = buffers.filter(({ role, within }) => role !== "input" && within === undefined);
    const peakBytes = own.reduce((sum, { bytes }) => sum + allocatedBytes(bytes), 0);
    const live = liveBytes(this.#program, this.#profile, [...this.#donated], this.#timeline);
    return { buffers, assignment, loops, peakBytes, peakLowerBound: Math.max(0, ...live), reasons: this.#reasons };
  }

  #bytesOf(tensor: Tensor): number {
    return bytesOfTensor(tensor, this.#profile);
  }

  /** Positions among the inputs and outputs; an arena's is what all of it is. */
  #placeTensors(): void {
    const inputs = new Map(this.#program.inputs.map((tensor, i) => [tensor.id, i]));
    const outputs = new Map(this.#program.outputs.map((tensor, i) => [tensor.id, i]));
    const inside = new Map(this.#program.arenas.map((arena) => [arena.tensor.id, arena.members]));
    const members = new Set([...inside.values()].flat().map(({ tensor }) => tensor.id));
    for (const { tensor, start, end, kernel } of this.#timeline.lifetimes.values()) {
      if (members.has(tensor.id)) continue;
      const all = inside.get(tensor.id) ?? [{ tensor, offset: 0 }];
      const given = all.flatMap((member) => inputs.get(member.tensor.id) ?? []);
      const wanted = all.flatMap((member) => outputs.get(member.tensor.id) ?? []);
      const role = given.length > 0 ? "input" : wanted.length > 0 ? "output" : "temp";
      const label = role === "temp" ? (kernel?.name ?? "loop value") : labelOf(role, role === "input" ? given : wanted);
      const donated = role === "input" && given.every((input) => this.#donated.has(input));
      const slot = this.#slots.length;
      this.#slots.push({ bytes: this.#bytesOf(tensor), role, label, donated, intervals: [{ start, end }] });
      this.#places.set(tensor.id, { slot });
      for (const { tensor: part, offset } of inside.get(tensor.id) ?? []) {
        this.#places.set(part.id, { around: slot, offset: offset * storageBytes(part.dtype, this.#profile) });
      }
    }
  }

  /** The buffer of a tensor in an arena: a part of the arena's, added to the buffers where it is not known yet. */
  #partOf(tensor: Tensor, buffer: number, offset: number, buffers: BufferSpec[]): number {
    const bytes = this.#bytesOf(tensor);
    const known = buffers.findIndex(
      ({ within, bytes: other }) => within?.buffer === buffer && within.offset === offset && other === bytes,
    );
    const around = buffers[buffer];
    invariant(around, "a part of a buffer");
    if (known >= 0) return known;
    return buffers.push({ ...around, bytes, within: { buffer, offset } }) - 1;
  }

  #root(slot: number): number {
    const next = this.#merged.get(slot);
    return next === undefined ? slot : this.#root(next);
  }

  #slot(slot: number): Slot {
    const found = this.#slots[this.#root(slot)];
    invariant(found, "a slot that is not merged");
    return found;
  }

  #placeOf(tensor: Tensor): Place {
    const place = this.#places.get(tensor.id);
    invariant(place, `tensor ${tensor.id} has no place`);
    return place;
  }

  /** The slot of a tensor that does not alternate between two. */
  #single(tensor: Tensor): number | null {
    const place = this.#placeOf(tensor);
    return "slot" in place ? this.#root(place.slot) : null;
  }

  #isInside(tensor: Tensor, slot: number): boolean {
    const place = this.#placeOf(tensor);
    return "around" in place && this.#root(place.around) === slot;
  }

  #lifetime(tensor: Tensor): Lifetime {
    const lifetime = this.#timeline.lifetimes.get(tensor.id);
    invariant(lifetime, `tensor ${tensor.id} is never alive`);
    return lifetime;
  }

  #merge(a: number, b: number): number {
    const [into, from] = [this.#root(a), this.#root(b)];
    if (into === from) return into;
    const [x, y] = [this.#slot(into), this.#slot(from)];
    const named = rank[y.role] > rank[x.role] ? y : x;
    this.#slots[into] = { ...named, bytes: Math.max(x.bytes, y.bytes), intervals: [...x.intervals, ...y.intervals] };
    this.#slots[from] = null;
    this.#merged.set(from, into);
    return into;
  }

  #addInterval(slot: number, interval: Interval): void {
    const root = this.#root(slot);
    const found = this.#slot(root);
    this.#slots[root] = { ...found, intervals: [...found.intervals, interval] };
  }

  /** The same value under another shape: one buffer, also where that is an input's. */
  #shareAlias(from: Tensor, to: Tensor): void {
    const [a, b] = [this.#single(from), this.#single(to)];
    invariant(a !== null && b !== null, "aliases stand outside of loops");
    this.#merge(a, b);
    this.#reasons.push(`output ${this.#program.outputs.indexOf(to)} is the buffer of what it reshapes`);
  }

  /**
   * Whether two slots may be one: they are never alive at once, but for `meeting`, a time at which the second is written
   * over the first.
   */
  #compatible(first: number, second: number, meeting: number | null): boolean {
    const [a, b] = [this.#slot(first), this.#slot(second)];
    if (a === b) return true;
    if (isFixed(a) || isFixed(b)) return false;
    if (a.bytes !== b.bytes || (a.role !== "temp" && a.role === b.role)) return false;
    return a.intervals.every((x) =>
      b.intervals.every(
        (y) =>
          x.end < y.start ||
          y.end < x.start ||
          (meeting !== null && x.end <= 2 * meeting + 1 && y.start >= 2 * meeting),
      ),
    );
  }

  #planLoop(loop: LoopSpan): { before: CarryCopy[]; after: CarryCopy[] } {
    const before: CarryCopy[] = [];
    const after: CarryCopy[] = [];
    for (const { init, input, result, final } of loop.step.carries) {
      const start = this.#planCarry(loop, input, result, final, after);
      const first = this.#single(init);
      if (first !== null && first !== this.#root(start) && this.#mayStartIn(init, first, start, loop)) {
        this.#merge(start, first);
      } else if (first !== this.#root(start)) {
        before.push({ from: init, to: start, bytes: this.#bytesOf(init) });
      }
    }
    return { before, after: this.#oneByOne(after, loop) };
  }

  /**
   * Copies that happen at once, in an order in which none overwrites what a later one reads. A result may lie where
   * another carry begins, since an inner loop started there; a ring of such is opened by a slot of its own.
   */
  #oneByOne(copies: readonly CarryCopy[], loop: LoopSpan): CarryCopy[] {
    const waiting = copies.map((copy) => ({ ...copy, from: this.#sourceSlot(copy.from) }));
    const ordered: CarryCopy[] = [];
    while (waiting.length > 0) {
      const isFree = (to: number): boolean =>
        !waiting.some(({ from, to: own }) => own !== to && from === this.#root(to));
      const next = waiting.findIndex(({ to }) => isFree(to));
      if (next >= 0) {
        ordered.push(...waiting.splice(next, 1));
        continue;
      }
      const [first] = waiting;
      invariant(first, "a copy waits");
      const aside = this.#slots.length;
      const interval = { start: 2 * loop.end, end: 2 * loop.end + 1 };
      this.#slots.push({
        bytes: first.bytes,
        role: "temp",
        label: "carry set aside",
        donated: false,
        intervals: [interval],
      });
      ordered.push({ ...first, to: aside });
      waiting[0] = { ...first, from: aside };
    }
    return ordered.filter(({ from, to }) => from !== this.#root(to));
  }

  #sourceSlot(from: Tensor | number): number {
    const slot = typeof from === "number" ? from : this.#single(from);
    invariant(slot !== null, "a copied result has one slot");
    return slot;
  }

  /** Decides where a carry lives; gives the slot that holds its first value. */
  #planCarry(loop: LoopSpan, input: Tensor, result: Tensor, final: Tensor, after: CarryCopy[]): number {
    const [a, b, last] = [this.#single(input), this.#single(result), this.#single(final)];
    invariant(a !== null && b !== null && last !== null, "a carry that no other loop has placed");
    const name = `the carry ${this.#describe(result)}`;
    const { kernel, crossesLoops } = this.#lifetime(result);
    const meeting = kernel && this.#timeline.kernels.find((timed) => timed.kernel === kernel);
    const inPlace = meeting && writesOver(meeting.kernel, input, result) ? meeting.time : null;
    if (this.#compatible(a, b, inPlace)) {
      this.#reasons.push(`${name} is computed in place`);
      return this.#merge(this.#merge(a, b), last);
    }
    const length = loop.step.counter.length;
    const whole = { start: 2 * loop.start, end: 2 * loop.end + 1 };
    const direct = kernel !== null && !crossesLoops && !this.#lifetime(input).crossesLoops;
    if (direct && this.#isAlone(input) && this.#isAlone(result)) {
      this.#addInterval(a, whole);
      this.#addInterval(b, whole);
      this.#places.set(input.id, { even: a, odd: b });
      this.#places.set(result.id, { even: b, odd: a });
      this.#merge((length - 1) % 2 === 0 ? b : a, last);
      this.#reasons.push(`${name} alternates between two buffers: its last value is read while it is computed`);
      return a;
    }
    this.#addInterval(a, whole);
    after.push({ from: result, to: a, bytes: this.#bytesOf(result) });
    this.#reasons.push(`${name} is copied after each iteration: an inner loop touches it`);
    return this.#merge(a, last);
  }

  /** Whether no other tensor has been given the same slot. */
  #isAlone(tensor: Tensor): boolean {
    const slot = this.#single(tensor);
    return slot !== null && this.#slot(slot).intervals.length === 1;
  }

  /** The loop may write over a carry's first value if nothing needs it afterwards. */
  #mayStartIn(init: Tensor, first: number, start: number, loop: LoopSpan): boolean {
    return this.#lifetime(init).end <= 2 * loop.start + 1 && this.#compatible(first, start, loop.start);
  }

  /** Stores a value over one that the same kernel reads for the last time. */
  #computeInPlace(): void {
    for (const { kernel, time } of this.#timeline.kernels) {
      const { loaded, stored } = boundTensors(kernel);
      for (const result of stored) {
        const b = this.#single(result);
        if (b === null || this.#slot(b).intervals.length > 1) continue;
        const over = loaded.find((tensor) => {
          const a = this.#single(tensor);
          return (
            a !== null &&
            a !== b &&
            !loaded.some((part) => this.#isInside(part, a)) &&
            writesOver(kernel, tensor, result) &&
            this.#compatible(a, b, time)
          );
        });
        const a = over && this.#single(over);
        if (a === undefined || a === null || over === undefined) continue;
        this.#reasons.push(
          `${this.#describe(result)} is written over ${this.#describe(over)}, which ${kernel.name} reads last`,
        );
        this.#merge(a, b);
      }
    }
  }

  #describe(tensor: Tensor): string {
    const input = this.#program.inputs.indexOf(tensor);
    if (input >= 0) return `${this.#donated.has(input) ? "the donated " : ""}input ${input}`;
    const { kernel } = this.#lifetime(tensor);
    return `${typeText(tensor)} of ${kernel?.name ?? "a loop"}`;
  }

  /**
   * Slots to buffers: those that need their own first, then temps from the largest down where they fit; of equals the
   * last first, since what leads to an output ends where the output begins.
   */
  #assign(): { buffers: BufferSpec[]; bufferOf: (slot: number) => number } {
    const buffers: BufferSpec[] = [];
    const busy: Interval[][] = [];
    const bufferBySlot = new Map<number, number>();
    const open = (id: number, { bytes, role, label, donated, intervals }: Slot): void => {
      bufferBySlot.set(id, buffers.length);
      buffers.push({ bytes, role, label, ...(donated ? { donated } : {}) });
      busy.push([...intervals]);
    };
    const isFree = (buffer: number, slot: Slot): boolean =>
      (busy[buffer] ?? []).every((x) => slot.intervals.every((y) => x.end < y.start || y.end < x.start));
    const share = (id: number, slot: Slot, buffer: number): void => {
      bufferBySlot.set(id, buffer);
      busy[buffer]?.push(...slot.intervals);
    };
    const slots = [...this.#slots.entries()].filter((entry): entry is [number, Slot] => entry[1] !== null);
    for (const role of ["input", "output"] as const) {
      for (const [id, slot] of slots) {
        if (slot.role !== role) continue;
        const given = buffers.findIndex(
          ({ bytes, donated }, i) => role === "output" && donated === true && bytes === slot.bytes && isFree(i, slot),
        );
        if (given < 0) {
          open(id, slot);
          continue;
        }
        share(id, slot, given);
        this.#reasons.push(`${slot.label} is the buffer of ${buffers[given]?.label}, which is donated`);
      }
    }
    const temps = slots
      .filter(([, slot]) => slot.role === "temp")
      .sort(([, a], [, b]) => b.bytes - a.bytes || endOf(b) - endOf(a));
    for (const [id, slot] of temps) {
      let best: number | null = null;
      buffers.forEach(({ bytes, role, donated }, i) => {
        if (role === "input" && donated !== true) return;
        if (bytes < slot.bytes || bytes >= (buffers[best ?? -1]?.bytes ?? Infinity)) return;
        if (isFree(i, slot)) best = i;
      });
      if (best === null) open(id, slot);
      else share(id, slot, best);
    }
    const bufferOf = (slot: number): number => {
      const buffer = bufferBySlot.get(this.#root(slot));
      invariant(buffer !== undefined, "a slot has a buffer");
      return buffer;
    };
    return { buffers, bufferOf };
  }
}

/** `input 3`, or `inputs 1 to 20`. */
function labelOf(role: string, positions: readonly number[]): string {
  const [first, last] = [Math.min(...positions), Math.max(...positions)];
  return first === last ? `${role} ${first}` : `${role}s ${first} to ${last}`;
}

/** An input that must stay as it is. */
function isFixed({ role, donated }: Slot): boolean {
  return role === "input" && !donated;
}

function endOf({ intervals }: Slot): number {
  return Math.max(...intervals.map((interval) => interval.end));
}

interface CarryCopy {
  /** A tensor, or a slot. */
  readonly from: Tensor | number;
  /** A slot. */
  readonly to: number;
  readonly bytes: number;
}
