/**
 * Computes values another time instead of keeping them: for one that is alive at the peak, is not read there and is read
 * again later, its definition (with what it needs and is not in memory then) is repeated before its later readers. Taken
 * are those that free most bytes, for as long as there are too many alive, for the least work.
 *
 * Expects what `program` was fused from; gives units for another fusion. The repeated operations are the same on the same
 * inputs, so results keep their bits.
 */
import type { AdapterProfile } from "../executable.ts";
import type { LoopCounter, Tensor } from "../lower/expr.ts";
import type { ExprPool } from "../lower/expr-pool.ts";
import { typeText } from "../lower/print-expr.ts";
import { countText } from "./count-text.ts";
import { dispatchCost } from "./cost.ts";
import type { LoopUnit, Stacked, Unit } from "./definition.ts";
import { costOfKernel } from "./kernel-cost.ts";
import type { FusedProgram } from "./kernel.ts";
import { kernelAt, type Lifetime, timelineOf, timeOf } from "./lifetimes.ts";
import { allocatedBytesOf, liveBytes } from "./live-bytes.ts";
import type { NormalGraph } from "./normalize.ts";
import { type KnownProgram, recipeFor } from "./recipe.ts";
import { alone } from "./repeat.ts";
import { repeatLater } from "./repeat-later.ts";
import { repeatStacked, stackedRecipe } from "./repeat-stacked.ts";
import { UnitSurvey } from "./unit-survey.ts";
import { UnitTimes } from "./unit-times.ts";

export interface RematerializeOptions {
  readonly profile: AdapterProfile;
  /** Inputs, by position, that the caller gives up. */
  readonly donated: readonly number[];
  /** As many bytes may be alive at once. */
  readonly target: number;
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
  readonly #known: KnownProgram;
  readonly #live: number[];
  readonly #kept: ReadonlySet<number>;
  readonly #chosen = new Set<number>();
  readonly #needed = new Set<number>();
  #units: Unit[];

  constructor(normal: NormalGraph, program: FusedProgram, options: RematerializeOptions, pool: ExprPool) {
    const { profile, donated } = options;
    this.#options = options;
    this.#pool = pool;
    const timeline = timelineOf(program);
    const times = new UnitTimes(normal.units, timeline);
    this.#live = liveBytes(program, profile, donated, timeline);
    this.#units = times.inOrder(normal.units);
    this.#known = {
      survey: new UnitSurvey(this.#units),
      times,
      timeline,
      given: new Set(normal.inputs.flatMap((tensor, i) => (donated.includes(i) ? [] : [tensor.id]))),
      profile,
      isThere: (tensor, at) => this.#isThere(tensor, at),
    };
    // A part of an arena goes with the whole arena alone.
    const parts = program.arenas.flatMap(({ members }) => members.map((member) => member.tensor));
    this.#kept = new Set([...normal.outputs, ...resultsIn(this.#units), ...parts].map(({ id }) => id));
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

  #bytesOf(tensor: Tensor): number {
    return allocatedBytesOf(tensor, this.#known.profile);
  }

  #best(peak: number): Choice | null {
    const choices = [...this.#known.timeline.lifetimes.values()].flatMap(
      (lifetime) => this.#consider(lifetime, peak) ?? [],
    );
    for (const { loop, level } of this.#known.survey.loops) {
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
    if (kernel === null || !this.#known.survey.definitionOf(tensor) || !this.#isOpen(tensor)) return null;
    if (timeOf(start) >= peak || timeOf(end) <= peak) return null;
    const reads = this.#known.times.readsOf(tensor);
    if (reads.some(({ first, last }) => first <= peak && last >= peak)) return null;
    const at = Math.min(...reads.flatMap(({ first }) => (first > peak ? [first] : [])));
    const from = Math.max(timeOf(start), ...reads.flatMap(({ last }) => (last < peak ? [last] : [])));
    if (!Number.isFinite(at)) return null;
    const isDelayed = reads.every(({ first }) => first > peak);
    const recipe = recipeFor(tensor, at, isDelayed, this.#known);
    if (recipe === null) return null;
    const saved = this.#bytesOf(tensor) - recipe.extended;
    if (saved <= 0) return null;
    const score = this.#gain(from, at, saved) / (recipe.work + dispatchCost);
    const apply = (units: readonly Unit[]): Unit[] => {
      const reason = this.#reason(tensor, at, saved, isDelayed, recipe.flops);
      return repeatLater(units, { tensor, peak, at, recipe, reason }, this.#known, this.#pool);
    };
    return { tensor, from, at, saved, score, needed: recipe.needed, apply };
  }

  #considerStacked(loop: LoopUnit, entry: Stacked, level: readonly Unit[], peak: number): Choice[] {
    const { output: tensor, element } = entry;
    const isAlive = this.#isThere(tensor, peak) && this.#isOpen(tensor);
    const recipe = isAlive ? stackedRecipe(loop, entry, level, (stack) => !this.#chosen.has(stack.id)) : null;
    const from = this.#known.times.of(loop)?.first;
    if (recipe === null || from === undefined) return [];
    const spans = recipe.readers.flatMap((reader) => this.#known.times.of(reader.loop) ?? []);
    const needed = [...recipe.stacks.values(), ...recipe.outer].filter(({ id }) => !this.#known.given.has(id));
    const extended = needed.filter((other) => spans.some(({ first }) => !this.#isThere(other, first)));
    const saved = [...extended, element].reduce((left, other) => left - this.#bytesOf(other), this.#bytesOf(tensor));
    if (saved <= 0) return [];
    const rounds = recipe.readers.reduce((sum, reader) => sum + reader.loop.counter.length, 0);
    const costs = recipe.repeated.map((def) => costOfKernel(alone(def), this.#known.profile));
    const flops = costs.reduce((sum, cost) => sum + rounds * cost.flops, 0);
    const work = costs.reduce((sum, cost) => sum + rounds * cost.bytesMoved, flops);
    const at = 1 + Math.max(...spans.map(({ last }) => last));
    const score = this.#gain(from - 1, at, saved) / (work + rounds * dispatchCost);
    const label = this.#known.survey.definitionOf(element)?.labels.at(-1) ?? "a value";
    const reason = `${typeText(element)} of ${label} is computed again in each iteration instead of being stacked: saves ${countText(saved)} bytes at the peak for ${countText(flops)} FLOPs`;
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
      const span = this.#known.times.of(reader);
      if (span) this.#known.times.set(def.tensor, span);
    }
    return changed;
  }

  #isThere(tensor: Tensor, at: number): boolean {
    const lifetime = this.#known.timeline.lifetimes.get(tensor.id);
    if (!lifetime || this.#chosen.has(tensor.id)) return false;
    return timeOf(lifetime.start) < at && timeOf(lifetime.end) >= at;
  }

  #reason(tensor: Tensor, at: number, saved: number, isDelayed: boolean, flops: number): string {
    const label = this.#known.survey.definitionOf(tensor)?.labels.at(-1) ?? "a value";
    const reader = kernelAt(at, this.#known.timeline)?.name ?? "a loop";
    return `${typeText(tensor)} of ${label} is computed ${isDelayed ? "only" : "again"} for ${reader}: saves ${countText(saved)} bytes at the peak for ${countText(flops)} FLOPs`;
  }
}

/** Values that a loop hands on: they are alive until it ends. */
function resultsIn(units: readonly Unit[]): Tensor[] {
  return units.flatMap((unit) =>
    unit.kind === "loop" ? [...unit.carries.map(({ result }) => result), ...resultsIn(unit.body)] : [],
  );
}
