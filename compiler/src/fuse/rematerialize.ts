/**
 * Computes values another time instead of keeping them: for one that is alive at the peak, is not read there and is read
 * again later, its definition (with what it needs and is not in memory then) is repeated before its later readers. Taken
 * are those that free most bytes, for as long as there are too many alive, for the least work.
 *
 * Expects what `program` was fused from; gives units for another fusion. The repeated operations are the same on the same
 * inputs, so results keep their bits.
 */
import { type AdapterProfile, allocatedBytes } from "../executable.ts";
import { axisExpr, type Expr, loadExpr, newAxis, newTensor, type Tensor } from "../lower/expr.ts";
import { type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { dispatchCost } from "./cost.ts";
import { type Again, type Def, definedBy, definitionsIn, type LoopUnit, type Unit } from "./definition.ts";
import { costOfKernel } from "./kernel-cost.ts";
import type { FusedProgram, Kernel } from "./kernel.ts";
import { boundTensors } from "./kernel-tensors.ts";
import { type Lifetime, type Timeline, timelineOf } from "./lifetimes.ts";
import { bytesOfTensor, liveBytes } from "./live-bytes.ts";
import type { NormalGraph } from "./normalize.ts";
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

interface Choice {
  readonly tensor: Tensor;
  readonly peak: number;
  /** When it is read again. */
  readonly at: number;
  readonly from: number;
  readonly saved: number;
  readonly score: number;
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
      for (const id of choice.recipe.needed) this.#needed.add(id);
      for (let time = choice.from + 1; time < choice.at; time++)
        this.#live[time] = (this.#live[time] ?? 0) - choice.saved;
    }
    for (const choice of choices) this.#units = this.#apply(this.#units, choice);
    return choices.length > 0 ? this.#units : null;
  }

  #survey(units: readonly Unit[], level: number): void {
    for (const unit of units) {
      if (unit.kind === "loop") {
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
    let best: Choice | null = null;
    for (const lifetime of this.#timeline.lifetimes.values()) {
      const choice = this.#consider(lifetime, peak);
      if (choice && choice.score > (best?.score ?? 0)) best = choice;
    }
    return best;
  }

  #consider({ tensor, start, end, kernel }: Lifetime, peak: number): Choice | null {
    if (kernel === null || !this.#defs.has(tensor.id) || this.#kept.has(tensor.id)) return null;
    if (this.#chosen.has(tensor.id) || this.#needed.has(tensor.id)) return null;
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
    let gain = 0;
    for (let time = from + 1; time < at; time++) {
      gain += Math.min(saved, Math.max(0, (this.#live[time] ?? 0) - this.#options.target));
    }
    return { tensor, peak, at, from, saved, isDelayed, recipe, score: gain / (recipe.work + dispatchCost) };
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

  #apply(units: readonly Unit[], choice: Choice): Unit[] {
    if (units.some((unit) => unit.kind !== "loop" && unit.tensor === choice.tensor)) return this.#repeat(units, choice);
    return units.map((unit) => (unit.kind === "loop" ? { ...unit, body: this.#apply(unit.body, choice) } : unit));
  }

  /** At the level that defines the tensor; its units are in the order in which they run. */
  #repeat(units: readonly Unit[], choice: Choice): Unit[] {
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
    const again = { after: this.#lastBefore(before, choice), reason: this.#reason(choice) };
    const named = new Map(recipe.named);
    const repeat = (def: Def): Def => {
      const made = this.#copyOf(def, named, again);
      named.set(def.tensor.id, made.tensor);
      this.#times.set(made.tensor, { first: at, last: at });
      return made;
    };
    const inserted = [...recipe.steps, ...both.map((def) => ({ def, isMoved: false }))].flatMap(({ def, isMoved }) => {
      if (!isMoved) return [repeat(def)];
      if (!moved.has(def.tensor.id)) return [];
      this.#times.set(def.tensor, { first: at, last: at });
      return [{ ...this.#renamed(def, named), again: { ...again, of: def.again?.of ?? def.tensor.id } }];
    });
    const readers = new Map([...swapped].flatMap((id) => [[id, named.get(id)] as const]));
    const late = after.map((unit) => this.#renamed(unit, readers));
    return [...before, ...inserted, ...late];
  }

  #copyOf(def: Def, named: ReadonlyMap<number, Tensor>, again: Omit<Again, "of">): Def {
    const fresh = new Map(
      [...def.axes, ...(def.kind === "reduce" ? def.over : [])].map((axis) => [axis.id, newAxis(axis.size)]),
    );
    const axis = (id: number): Expr | undefined => {
      const own = fresh.get(id);
      return own && this.#pool.intern(axisExpr(own));
    };
    const load = (tensor: Tensor, index: readonly Expr[]): Expr | undefined => {
      const other = named.get(tensor.id);
      return other && this.#pool.intern(loadExpr(other, index));
    };
    const renamed = {
      tensor: newTensor(def.tensor.dtype, def.tensor.shape),
      axes: def.axes.map(({ id, size }) => fresh.get(id) ?? newAxis(size)),
      body: this.#pool.rewrite(def.body, { axis, load }),
      again: { ...again, of: def.again?.of ?? def.tensor.id },
    };
    if (def.kind === "map") return { ...def, ...renamed };
    return { ...def, ...renamed, over: def.over.map(({ id, size }) => fresh.get(id) ?? newAxis(size)) };
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
      carries: unit.carries.map((carry) => ({ ...carry, init: named.get(carry.init.id) ?? carry.init })),
    };
  }

  /** What keeps it from running earlier: the last of what its first reader reads, or else what runs before that. */
  #lastBefore(before: readonly Unit[], { tensor, peak, at }: Choice): number[] {
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

  #reason({ tensor, at, saved, isDelayed, recipe }: Choice): string {
    const label = this.#defs.get(tensor.id)?.labels.at(-1) ?? "a value";
    const reader = this.#timeline.kernels.find(({ time }) => time === at)?.kernel.name ?? "a loop";
    const type = `${tensor.dtype}[${tensor.shape.join(",")}]`;
    return `${type} of ${label} is computed ${isDelayed ? "only" : "again"} for ${reader}: saves ${count(saved)} bytes at the peak for ${count(recipe.flops)} FLOPs`;
  }
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

/** A definition as a kernel of its own. */
function alone(def: Def): Kernel {
  const { tensor, axes, body, labels } = def;
  const shared = { name: labels.join("_"), rows: axes, reasons: [] };
  return def.kind === "reduce"
    ? {
        ...shared,
        stages: [{ kind: "reduce", axes: def.over, reductions: [{ id: tensor.id, reducer: def.reducer, body }] }],
      }
    : { ...shared, stages: [{ kind: "store", axes: [], once: false, stores: [{ tensor, index: [], value: body }] }] };
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
