/**
 * When the definitions of a fused program run, by the times of its `Timeline`. One that is computed where it is read runs
 * whenever its readers do.
 */
import type { Tensor } from "../lower/expr.ts";
import { loadsOf } from "../lower/expr-pool.ts";
import { isMovement } from "./cost.ts";
import { type Def, definedBy, type LoopUnit, type Unit } from "./definition.ts";
import { partsOf } from "./kernel.ts";
import { boundTensors } from "./kernel-tensors.ts";
import { type LoopSpan, type Timeline, timeOf } from "./lifetimes.ts";

export interface Span {
  readonly first: number;
  readonly last: number;
}

export class UnitTimes {
  readonly #timeline: Timeline;
  /** By the tensors that definitions are of. */
  readonly #spans = new Map<number, Span>();
  /** When what is in memory, or reduced within a kernel, is computed. */
  readonly #computed = new Map<number, number>();
  readonly #loops: ReadonlyMap<number, LoopSpan>;

  constructor(units: readonly Unit[], timeline: Timeline) {
    this.#timeline = timeline;
    this.#loops = new Map(timeline.loops.map((loop) => [loop.step.counter.id, loop]));
    for (const { tensor, start } of timeline.lifetimes.values()) this.#computed.set(tensor.id, timeOf(start));
    for (const { kernel, time } of timeline.kernels) {
      for (const tensor of boundTensors(kernel).stored) this.#computed.set(tensor.id, time);
      for (const stage of partsOf(kernel).flatMap((part) => part.stages)) {
        if (stage.kind === "reduce") for (const { id } of stage.reductions) this.#computed.set(id, time);
      }
    }
    this.#survey(units, () => {});
  }

  /** Null for what never runs. */
  of(unit: Unit): Span | null {
    if (unit.kind !== "loop") return this.#spans.get(unit.tensor.id) ?? null;
    const loop = this.#loops.get(unit.counter.id);
    return loop ? { first: loop.start, last: loop.end } : null;
  }

  /** For a definition that is new. */
  set(tensor: Tensor, span: Span): void {
    this.#spans.set(tensor.id, span);
  }

  /** The units in the order in which they run, without those that never do. */
  inOrder(units: readonly Unit[]): Unit[] {
    const timed = units.flatMap((unit) => {
      const span = this.of(unit);
      if (span === null) return [];
      return [{ unit: unit.kind === "loop" ? { ...unit, body: this.inOrder(unit.body) } : unit, first: span.first }];
    });
    return timed.sort((a, b) => a.first - b.first).map(({ unit }) => unit);
  }

  /** When steps of the level that defines a tensor read it: a loop that does so further inside reads it all the time. */
  readsOf(tensor: Tensor): Span[] {
    const lifetime = this.#timeline.lifetimes.get(tensor.id);
    if (!lifetime) return [];
    const own = new Set(lifetime.loops);
    const at = (time: number): Span => {
      const around = this.#timeline.loops.filter((loop) => !own.has(loop) && loop.start < time && time < loop.end);
      const outermost = around.reduce<LoopSpan | null>((a, b) => (a && a.start < b.start ? a : b), null);
      return outermost ? { first: outermost.start, last: outermost.end } : { first: time, last: time };
    };
    const times: number[] = [];
    for (const { kernel, time } of this.#timeline.kernels) {
      if (boundTensors(kernel).loaded.includes(tensor)) times.push(time);
    }
    for (const { step, start, end } of this.#timeline.loops) {
      for (const { init, result } of step.carries) {
        if (init === tensor) times.push(start);
        if (result === tensor) times.push(end);
      }
    }
    return times.map(at);
  }

  /** Backwards, since a definition in no kernel of its own takes the times of its readers. */
  #survey(units: readonly Unit[], readOutside: (tensor: Tensor, span: Span) => void): void {
    const here = new Set(units.flatMap(definedBy).map(({ id }) => id));
    const readers = new Map<number, Span>();
    const read = (tensor: Tensor, span: Span): void => {
      if (here.has(tensor.id)) readers.set(tensor.id, union(readers.get(tensor.id), span));
      else readOutside(tensor, span);
    };
    for (const unit of units.toReversed()) {
      if (unit.kind === "loop") this.#surveyLoop(unit, read);
      else this.#surveyDef(unit, readers.get(unit.tensor.id), read);
    }
  }

  #surveyDef(def: Def, readers: Span | undefined, read: (tensor: Tensor, span: Span) => void): void {
    const time = this.#computed.get(def.tensor.id);
    const own = time === undefined ? undefined : { first: time, last: time };
    // Readers look through movement, also where its result is in memory.
    const span = own && !(isMovement(def) && readers) ? own : readers && union(own, readers);
    if (!span) return;
    this.#spans.set(def.tensor.id, span);
    for (const load of loadsOf([def.body])) read(load.tensor, span);
  }

  #surveyLoop({ counter, carries, stacked, body }: LoopUnit, read: (tensor: Tensor, span: Span) => void): void {
    const loop = this.#loops.get(counter.id);
    if (!loop) return;
    const whole = { first: loop.start, last: loop.end };
    for (const { init } of carries) read(init, { first: loop.start, last: loop.start });
    const ends = carries.map(({ result }): [Tensor, number] => [result, loop.end]);
    const elements = stacked.map(({ element, output }): [Tensor, number] => {
      return [element, this.#computed.get(output.id) ?? loop.end];
    });
    const kept = [...ends, ...elements];
    for (const [tensor, time] of kept) {
      if (!this.#computed.has(tensor.id)) this.#computed.set(tensor.id, time);
    }
    this.#survey(body, (tensor) => read(tensor, whole));
  }
}

function union(a: Span | undefined, b: Span): Span {
  return a ? { first: Math.min(a.first, b.first), last: Math.max(a.last, b.last) } : b;
}
