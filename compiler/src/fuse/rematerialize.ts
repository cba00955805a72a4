/**
 * Computes values another time instead of keeping them: for one that is alive at the peak, is not read there and is read
 * again later, its definition (with what it needs and is not in memory then) is repeated before its later readers. Taken
 * are those that free most bytes, for as long as there are too many alive, for the least work.
 *
 * Expects what `program` was fused from; gives units for another fusion. The repeated operations are the same on the same
 * inputs, so results keep their bits.
 */
import { type AdapterProfile, allocatedBytes } from "../executable.ts";
import { type Expr, loadExpr, type LoopCounter, type Tensor } from "../lower/expr.ts";
import { type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { dispatchCost } from "./cost.ts";
import { type Def, definedBy, definitionsIn, type LoopUnit, type Stacked, type Unit } from "./definition.ts";
import { costOfKernel } from "./kernel-cost.ts";
import type { FusedProgram } from "./kernel.ts";
import { boundTensors } from "./kernel-tensors.ts";
import { type Lifetime, type Timeline, timelineOf } from "./lifetimes.ts";
import { bytesOfTensor, liveBytes } from "./live-bytes.ts";
import type { NormalGraph } from "./normalize.ts";
import { alone, repeated } from "./repeat.ts";
import { repeatStacked, stackedRecipe } from "./repeat-stacked.ts";
import { UnitTimes } from "./unit-times.ts";

export interface RematerializeOptions {
  readonly profile: AdapterProfile;
  /** Inputs, by position, that the caller gives up. */
  readonly donated: readonly number[];
  /** As many bytes may be alive at once. */
  readonly target: number;
}

/** A result of a reduction so much smaller than what is computed from it is kept longer rather than computed again. */
const smallShare = 8;
/** Longer chains are not repeated. */
const mostRepeated = 64;

/** What it takes to have a tensor at a time. */
interface Recipe {
  /** Definitions to repeat, and later repetitions that run earlier now; each after what it reads. */
  readonly steps: readonly { readonly def: Def; readonly isMoved: boolean }[];
  /** What is read in another version, by tensor. */
  readonly named: ReadonlyMap<number, Tensor>;
  /** What must be in memory then. */
  readonly needed: ReadonlySet<number>;
  /** Bytes of those of them that would not be alive else. */
  readonly extended: number;
  /** Beyond what is computed without it. */
  readonly flops: number;
  readonly work: number;
}

/** A value that need not be alive between two times. */
interface Choice {
  readonly tensor: Tensor;
  readonly from: number;
  readonly at: number;
  readonly saved: number;
  /** Too many bytes at a time, freed for a unit of work. */
  readonly score: number;
  /** What must be in memory instead. */
  readonly needed: ReadonlySet<number>;
  apply(units: readonly Unit[]): Unit[];
}

/** A value to be computed again when it is next read, at `at`. */
interface Repetition {
  readonly tensor: Tensor;
  readonly peak: number;
  readonly at: number;
  readonly saved: number;
  /** Nothing reads it earlier. */
  readonly isDelayed: boolean;
  readonly recipe: Recipe;
}

/** Null if nothing helps. */
export function rematerialize(
  normal: NormalGraph,
  program: FusedProgram,
  options: RematerializeOptions,
  pool: ExprPool,
): Unit[] | null {
  return new Rematerializer(normal, program, options, pool).run();
}

class Rematerializer {
  readonly #options: RematerializeOptions;
  readonly #pool: ExprPool;
  readonly #timeline: Timeline;
  readonly #times: UnitTimes;
  readonly #live: number[];
  readonly #defs = new Map<number, Def>();
  /** Which body a definition stands in, by the list of its units. */
  readonly #levels = new Map<number, number>();
  /** All definitions of one value, by the tensor of the first. */
  readonly #versions = new Map<number, Tensor[]>();
  readonly #given: ReadonlySet<number>;
  readonly #kept: ReadonlySet<number>;
  readonly #chosen = new Set<number>();
  readonly #needed = new Set<number>();
  /** All loops, with the units among which they stand. */
  readonly #loops: {
    readonly loop: LoopUnit;
    readonly level: readonly Unit[];
  }[] = [];
  #units: Unit[];

  constructor(normal: NormalGraph, program: FusedProgram, options: RematerializeOptions, pool: ExprPool) {
    const { profile, donated } = options;
    this.#options = options;
    this.#pool = pool;
    this.#timeline = timelineOf(program);
    this.#times = new UnitTimes(normal.units, this.#timeline);
    this.#live = liveBytes(program, profile, donated, this.#timeline);
    this.#units = this.#times.inOrder(normal.units);
    this.#given = new Set(normal.inputs.flatMap((tensor, i) => (donated.includes(i) ? [] : [tensor.id])));
    // A part of an arena goes with the whole arena alone.
    const parts = program.arenas.flatMap(({ members }) => members.map((member) => member.tensor));
    this.#kept = new Set([...normal.outputs, ...resultsIn(this.#units), ...parts].map(({ id }) => id));
    this.#survey(this.#units, 0);
  }

  run(): Unit[] | null {
    const choices: Choice[] = [];
    for (;;) {
      const peak = this.#live.indexOf(Math.max(...this.#live));
      if ((this.#live[peak] ?? 0) <= this.#options.target) break;
      const choice = this.#best(peak);
      if (!choice) break;
      choices.push(choice);
      this.#chosen.add(choice.tensor.id);
      for (const id of choice.needed) this.#needed.add(id);
      for (let time = choice.from + 1; time < choice.at; time++)
        this.#live[time] = (this.#live[time] ?? 0) - choice.saved;
    }
    for (const choice of choices) this.#units = choice.apply(this.#units);
    return choices.length > 0 ? this.#units : null;
  }

  #survey(units: readonly Unit[], level: number): void {
    for (const unit of units) {
      if (unit.kind === "loop") {
        this.#loops.push({ loop: unit, level: units });
        this.#survey(unit.body, unit.counter.id);
        continue;
      }
      const { tensor } = unit;
      this.#defs.set(tensor.id, unit);
      this.#levels.set(tensor.id, level);
      const of = unit.again?.of ?? tensor.id;
      this.#versions.set(of, [...(this.#versions.get(of) ?? []), tensor]);
    }
  }

  #bytesOf(tensor: Tensor): number {
    return allocatedBytes(bytesOfTensor(tensor, this.#options.profile));
  }

  #best(peak: number): Choice | null {
    const choices = [...this.#timeline.lifetimes.values()].flatMap((lifetime) => this.#consider(lifetime, peak) ?? []);
    for (const { loop, level } of this.#loops) {
      for (const entry of loop.stacked) choices.push(...this.#considerStacked(loop, entry, level, peak));
    }
    return choices.reduce<Choice | null>((best, choice) => (choice.score > (best?.score ?? 0) ? choice : best), null);
  }

  #isOpen({ id }: Tensor): boolean {
    return !this.#kept.has(id) && !this.#chosen.has(id) && !this.#needed.has(id);
  }

  /** For each time between two, what is too much and would go. */
  #gain(from: number, at: number, saved: number): number {
    let gain = 0;
    for (let time = from + 1; time < at; time++) {
      gain += Math.min(saved, Math.max(0, (this.#live[time] ?? 0) - this.#options.target));
    }
    return gain;
  }

  #consider({ tensor, start, end, kernel }: Lifetime, peak: number): Choice | null {
    if (kernel === null || !this.#defs.has(tensor.id) || !this.#isOpen(tensor)) return null;
    if (timeOf(start) >= peak || timeOf(end) <= peak) return null;
    const reads = this.#times.readsOf(tensor);
    if (reads.some(({ first, last }) => first <= peak && last >= peak)) return null;
    const at = Math.min(...reads.flatMap(({ first }) => (first > peak ? [first] : [])));
    const from = Math.max(timeOf(start), ...reads.flatMap(({ last }) => (last < peak ? [last] : [])));
    if (!Number.isFinite(at)) return null;
    const isDelayed = reads.every(({ first }) => first > peak);
    const recipe = this.#recipe(tensor, at, isDelayed);
    if (recipe === null) return null;
    const saved = this.#bytesOf(tensor) - recipe.extended;
    if (saved <= 0) return null;
    const score = this.#gain(from, at, saved) / (recipe.work + dispatchCost);
    const repetition = { tensor, peak, at, saved, isDelayed, recipe };
    const apply = (units: readonly Unit[]): Unit[] => this.#apply(units, repetition);
    return { tensor, from, at, saved, score, needed: recipe.needed, apply };
  }

  #considerStacked(loop: LoopUnit, entry: Stacked, level: readonly Unit[], peak: number): Choice[] {
    const { output: tensor, element } = entry;
    const isAlive = this.#isThere(tensor, peak) && this.#isOpen(tensor);
    const recipe = isAlive ? stackedRecipe(loop, entry, level, (stack) => !this.#chosen.has(stack.id)) : null;
    const from = this.#times.of(loop)?.first;
    if (recipe === null || from === undefined) return [];
    const spans = recipe.readers.flatMap((reader) => this.#times.of(reader.loop) ?? []);
    const needed = [...recipe.stacks.values(), ...recipe.outer].filter(({ id }) => !this.#given.has(id));
    const extended = needed.filter((other) => spans.some(({ first }) => !this.#isThere(other, first)));
    const saved = [...extended, element].reduce((left, other) => left - this.#bytesOf(other), this.#bytesOf(tensor));
    if (saved <= 0) return [];
    const rounds = recipe.readers.reduce((sum, reader) => sum + reader.loop.counter.length, 0);
    const costs = recipe.repeated.map((def) => costOfKernel(alone(def), this.#options.profile));
    const flops = costs.reduce((sum, cost) => sum + rounds * cost.flops, 0);
    const work = costs.reduce((sum, cost) => sum + rounds * cost.bytesMoved, flops);
    const at = 1 + Math.max(...spans.map(({ last }) => last));
    const score = this.#gain(from - 1, at, saved) / (work + rounds * dispatchCost);
    const label = this.#defs.get(element.id)?.labels.at(-1) ?? "a value";
    const reason = `${typeOf(element)} of ${label} is computed again in each iteration instead of being stacked: saves ${count(saved)} bytes at the peak for ${count(flops)} FLOPs`;
    const apply = (units: readonly Unit[]): Unit[] => this.#applyStacked(units, loop.counter, tensor, reason);
    return [
      {
        tensor,
        from: from - 1,
        at,
        saved,
        score,
        needed: new Set(needed.map(({ id }) => id)),
        apply,
      },
    ];
  }

  #applyStacked(units: readonly Unit[], counter: LoopCounter, output: Tensor, reason: string): Unit[] {
    const loop = units.find((unit) => unit.kind === "loop" && unit.counter === counter);
    if (loop?.kind !== "loop") {
      return units.map((unit) =>
        unit.kind === "loop"
          ? {
              ...unit,
              body: this.#applyStacked(unit.body, counter, output, reason),
            }
          : unit,
      );
    }
    const entry = loop.stacked.find((other) => other.output === output);
    // Other choices may have changed the loop.
    const recipe = entry && stackedRecipe(loop, entry, units, (stack) => !this.#chosen.has(stack.id));
    if (!recipe) return [...units];
    const { units: changed, made } = repeatStacked(units, recipe, { after: [], reason }, this.#pool);
    for (const { def, reader } of made) {
      const span = this.#times.of(reader);
      if (span) this.#times.set(def.tensor, span);
    }
    return changed;
  }

  #recipe(tensor: Tensor, at: number, isDelayed: boolean): Recipe | null {
    const level = this.#levels.get(tensor.id);
    const steps: { def: Def; isMoved: boolean }[] = [];
    const named = new Map<number, Tensor>();
    const needed = new Set<number>();
    const visited = new Set<number>();
    let extended = 0;
    const visit = (def: Def, isMoved: boolean): void => {
      if (visited.has(def.tensor.id) || visited.size > mostRepeated) return;
      visited.add(def.tensor.id);
      for (const load of loadsOf([def.body])) provide(load.tensor);
      steps.push({ def, isMoved });
    };
    const provide = (operand: Tensor): void => {
      if (named.has(operand.id) || this.#given.has(operand.id)) return;
      const def = this.#defs.get(operand.id);
      const versions = [operand, ...(this.#versions.get(def?.again?.of ?? operand.id) ?? [])];
      const there = versions.find((version) => this.#isThere(version, at));
      if (there) {
        if (there !== operand) named.set(operand.id, there);
        needed.add(there.id);
        return;
      }
      const later = versions.flatMap((version) => {
        const other = this.#defs.get(version.id);
        const span = other && this.#times.of(other);
        return other?.again && span && span.first >= at && this.#levels.get(version.id) === level ? [other] : [];
      })[0];
      if (later) {
        if (later.tensor !== operand) named.set(operand.id, later.tensor);
        visit(later, true);
        return;
      }
      const lifetime = this.#timeline.lifetimes.get(operand.id);
      const isSmall = def?.kind === "reduce" && this.#bytesOf(operand) * smallShare <= this.#bytesOf(tensor);
      if (lifetime && (!def || isSmall)) {
        extended += this.#bytesOf(operand);
        needed.add(operand.id);
      } else if (def) {
        visit(def, false);
      }
    };
    const def = this.#defs.get(tensor.id);
    if (!def) return null;
    visit(def, false);
    if (visited.size > mostRepeated) return null;
    const extra = steps.filter((step) => !step.isMoved && !(isDelayed && step.def === def));
    const costs = extra.map((step) => costOfKernel(alone(step.def), this.#options.profile));
    const flops = costs.reduce((sum, cost) => sum + cost.flops, 0);
    const work = costs.reduce((sum, cost) => sum + cost.bytesMoved, flops);
    return { steps, named, needed, extended, flops, work };
  }

  #isThere(tensor: Tensor, at: number): boolean {
    const lifetime = this.#timeline.lifetimes.get(tensor.id);
    if (!lifetime || this.#chosen.has(tensor.id)) return false;
    return timeOf(lifetime.start) < at && timeOf(lifetime.end) >= at;
  }

  #apply(units: readonly Unit[], choice: Repetition): Unit[] {
    if (units.some((unit) => unit.kind !== "loop" && unit.tensor === choice.tensor)) return this.#repeat(units, choice);
    return units.map((unit) => (unit.kind === "loop" ? { ...unit, body: this.#apply(unit.body, choice) } : unit));
  }

  /** At the level that defines the tensor; its units are in the order in which they run. */
  #repeat(units: readonly Unit[], choice: Repetition): Unit[] {
    const { tensor, peak, at, recipe } = choice;
    const movable = new Set(recipe.steps.flatMap((step) => (step.isMoved ? [step.def.tensor.id] : [])));
    const moved = new Set<number>();
    const before: Unit[] = [];
    const after: Unit[] = [];
    /** Read by some before and by some after: each has its own. */
    const both: Def[] = [];
    const swapped = new Set([tensor.id]);
    for (const unit of units) {
      const span = this.#times.of(unit);
      const reads = [...swapped].some((id) => readsTensor(unit, id));
      const isLate = after.length > 0 || (reads && span !== null && span.first > peak);
      if (!isLate) {
        before.push(unit);
        if (!reads || unit.kind === "loop" || span === null || span.last <= peak) continue;
        both.push(unit);
        swapped.add(unit.tensor.id);
      } else if (unit.kind !== "loop" && movable.has(unit.tensor.id)) {
        moved.add(unit.tensor.id);
      } else {
        after.push(unit);
      }
    }
    if (after.length === 0) return [...units];
    const again = {
      after: this.#lastBefore(before, choice),
      reason: this.#reason(choice),
    };
    const named = new Map(recipe.named);
    const repeat = (def: Def): Def => {
      const load = (tensor: Tensor, index: readonly Expr[]): Expr | undefined => {
        const other = named.get(tensor.id);
        return other && this.#pool.intern(loadExpr(other, index));
      };
      const made = repeated(def, { load }, again, this.#pool);
      named.set(def.tensor.id, made.tensor);
      this.#times.set(made.tensor, { first: at, last: at });
      return made;
    };
    const inserted = [...recipe.steps, ...both.map((def) => ({ def, isMoved: false }))].flatMap(({ def, isMoved }) => {
      if (!isMoved) return [repeat(def)];
      if (!moved.has(def.tensor.id)) return [];
      this.#times.set(def.tensor, { first: at, last: at });
      return [
        {
          ...this.#renamed(def, named),
          again: { ...again, of: def.again?.of ?? def.tensor.id },
        },
      ];
    });
    const readers = new Map([...swapped].flatMap((id) => [[id, named.get(id)] as const]));
    const late = after.map((unit) => this.#renamed(unit, readers));
    return [...before, ...inserted, ...late];
  }

  #renamed<U extends Unit>(unit: U, named: ReadonlyMap<number, Tensor | undefined>): U {
    const load = (tensor: Tensor, index: readonly Expr[]): Expr | undefined => {
      const other = named.get(tensor.id);
      return other && this.#pool.intern(loadExpr(other, index));
    };
    if (unit.kind !== "loop") return { ...unit, body: this.#pool.rewrite(unit.body, { load }) };
    return {
      ...unit,
      body: unit.body.map((inner) => this.#renamed(inner, named)),
      carries: unit.carries.map((carry) => ({
        ...carry,
        init: named.get(carry.init.id) ?? carry.init,
      })),
    };
  }

  /** What keeps it from running earlier: the last of what its first reader reads, or else what runs before that. */
  #lastBefore(before: readonly Unit[], { tensor, peak, at }: Repetition): number[] {
    const reader = this.#timeline.kernels.find(({ time }) => time === at)?.kernel;
    const read = new Set(reader ? boundTensors(reader).loaded : []);
    let [last, latest] = [null as Tensor | null, -1];
    for (const other of before.flatMap(definedBy)) {
      const lifetime = this.#timeline.lifetimes.get(other.id);
      if (!lifetime || other === tensor || timeOf(lifetime.start) >= at) continue;
      const time = timeOf(lifetime.start);
      const rank = read.has(other) && time > peak ? time + at : time;
      if (rank > latest) [last, latest] = [other, rank];
    }
    return last ? [last.id] : [];
  }

  #reason({ tensor, at, saved, isDelayed, recipe }: Repetition): string {
    const label = this.#defs.get(tensor.id)?.labels.at(-1) ?? "a value";
    const reader = this.#timeline.kernels.find(({ time }) => time === at)?.kernel.name ?? "a loop";
    return `${typeOf(tensor)} of ${label} is computed ${isDelayed ? "only" : "again"} for ${reader}: saves ${count(saved)} bytes at the peak for ${count(recipe.flops)} FLOPs`;
  }
}

function typeOf({ dtype, shape }: Tensor): string {
  return `${dtype}[${shape.join(",")}]`;
}

function timeOf(moment: number): number {
  return Math.floor(moment / 2);
}

/** Values that a loop hands on: they are alive until it ends. */
function resultsIn(units: readonly Unit[]): Tensor[] {
  return units.flatMap((unit) =>
    unit.kind === "loop" ? [...unit.carries.map(({ result }) => result), ...resultsIn(unit.body)] : [],
  );
}

function readsTensor(unit: Unit, id: number): boolean {
  if (unit.kind !== "loop") return loadsOf([unit.body]).some((load) => load.tensor.id === id);
  return startsFrom(unit, id) || [...definitionsIn(unit.body)].some((def) => readsTensor(def, id));
}

function startsFrom({ carries, body }: LoopUnit, id: number): boolean {
  return (
    carries.some(({ init }) => init.id === id) || body.some((inner) => inner.kind === "loop" && startsFrom(inner, id))
  );
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
