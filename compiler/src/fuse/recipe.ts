/**
 * What it takes to have a value at a time when it is not in memory: its definition is repeated, and those of what it reads
 * where that is not in memory either.
 */
import type { AdapterProfile } from "../executable.ts";
import type { Tensor } from "../lower/expr.ts";
import { loadsOf } from "../lower/expr-pool.ts";
import type { Def } from "./definition.ts";
import { costOfKernel } from "./kernel-cost.ts";
import type { Timeline } from "./lifetimes.ts";
import { allocatedBytesOf } from "./live-bytes.ts";
import { alone } from "./repeat.ts";
import type { UnitSurvey } from "./unit-survey.ts";
import type { UnitTimes } from "./unit-times.ts";

/** A result of a reduction so much smaller than what is computed from it is kept longer rather than computed again. */
const smallShare = 8;
/** Longer chains are not repeated. */
const mostRepeated = 64;

/** What it takes to have a tensor at a time. */
export interface Recipe {
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

/** The fused program, and its definitions. */
export interface KnownProgram {
  readonly survey: UnitSurvey;
  readonly times: UnitTimes;
  readonly timeline: Timeline;
  /** Tensors that are in memory all the time. */
  readonly given: ReadonlySet<number>;
  readonly profile: AdapterProfile;
  /** Whether a tensor is in memory when the step at a time begins, and may stay there. */
  isThere(tensor: Tensor, at: number): boolean;
}

/** Null if the chain would be too long. `isDelayed`: nothing reads the value earlier, so that it is computed only then. */
export function recipeFor(tensor: Tensor, at: number, isDelayed: boolean, known: KnownProgram): Recipe | null {
  const { survey, times, timeline, given, profile } = known;
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
    if (named.has(operand.id) || given.has(operand.id)) return;
    const def = survey.definitionOf(operand);
    const versions = survey.versionsOf(operand);
    const there = versions.find((version) => known.isThere(version, at));
    if (there) {
      if (there !== operand) named.set(operand.id, there);
      needed.add(there.id);
      return;
    }
    const later = versions.flatMap((version) => {
      const other = survey.definitionOf(version);
      const span = other && times.of(other);
      return other?.again && span && span.first >= at && survey.areBeside(version, tensor) ? [other] : [];
    })[0];
    if (later) {
      if (later.tensor !== operand) named.set(operand.id, later.tensor);
      visit(later, true);
      return;
    }
    const lifetime = timeline.lifetimes.get(operand.id);
    const isSmall =
      def?.kind === "reduce" && allocatedBytesOf(operand, profile) * smallShare <= allocatedBytesOf(tensor, profile);
    if (lifetime && (!def || isSmall)) {
      extended += allocatedBytesOf(operand, profile);
      needed.add(operand.id);
    } else if (def) {
      visit(def, false);
    }
  };
  const def = survey.definitionOf(tensor);
  if (!def) return null;
  visit(def, false);
  if (visited.size > mostRepeated) return null;
  const extra = steps.filter((step) => !step.isMoved && !(isDelayed && step.def === def));
  const costs = extra.map((step) => costOfKernel(alone(step.def), profile));
  const flops = costs.reduce((sum, cost) => sum + cost.flops, 0);
  const work = costs.reduce((sum, cost) => sum + cost.bytesMoved, flops);
  return { steps, named, needed, extended, flops, work };
}
