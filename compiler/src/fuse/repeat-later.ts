/**
 * A value is computed again for what reads it from some time on:
 *
 *     y = f(x);  a = g(y);  …  b = h(y)   ⇒   y = f(x);  a = g(y);  …  y' = f(x);  b = h(y')
 *
 * The first definition is dead where nothing read it.
 */
import { type Expr, loadExpr, type Tensor } from "../lower/expr.ts";
import type { ExprPool } from "../lower/expr-pool.ts";
import { type Def, definedBy, readBy, type Unit } from "./definition.ts";
import { boundTensors } from "./kernel-tensors.ts";
import { kernelAt, type Timeline, timeOf } from "./lifetimes.ts";
import type { KnownProgram, Recipe } from "./recipe.ts";
import { repeated } from "./repeat.ts";

export interface Repetition {
  readonly tensor: Tensor;
  /** What reads it until then reads the first definition. */
  readonly peak: number;
  /** When it is next read. */
  readonly at: number;
  readonly recipe: Recipe;
  readonly reason: string;
}

/** By tensor: the one that is read instead. */
type Renaming = ReadonlyMap<number, Tensor | undefined>;

export function repeatLater(
  units: readonly Unit[],
  choice: Repetition,
  known: Pick<KnownProgram, "times" | "timeline">,
  pool: ExprPool,
): Unit[] {
  if (units.some((unit) => unit.kind !== "loop" && unit.tensor === choice.tensor)) {
    return repeatBeside(units, choice, known, pool);
  }
  return units.map((unit) =>
    unit.kind === "loop" ? { ...unit, body: repeatLater(unit.body, choice, known, pool) } : unit,
  );
}

/** At the level that defines the tensor; its units are in the order in which they run. */
function repeatBeside(
  units: readonly Unit[],
  choice: Repetition,
  { times, timeline }: Pick<KnownProgram, "times" | "timeline">,
  pool: ExprPool,
): Unit[] {
  const { tensor, peak, at, recipe, reason } = choice;
  const movable = new Set(recipe.steps.flatMap((step) => (step.isMoved ? [step.def.tensor.id] : [])));
  const moved = new Set<number>();
  const before: Unit[] = [];
  const after: Unit[] = [];
  /** Read by some before and by some after: each has its own. */
  const both: Def[] = [];
  const swapped = new Set([tensor.id]);
  for (const unit of units) {
    const span = times.of(unit);
    const reads = readBy(unit).some((id) => swapped.has(id));
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
  const again = { after: lastBefore(before, choice, timeline), reason };
  const named = new Map(recipe.named);
  const repeat = (def: Def): Def => {
    const made = repeated(def, { load: loadFrom(named, pool) }, again, pool);
    named.set(def.tensor.id, made.tensor);
    times.set(made.tensor, { first: at, last: at });
    return made;
  };
  const inserted = [...recipe.steps, ...both.map((def) => ({ def, isMoved: false }))].flatMap(({ def, isMoved }) => {
    if (!isMoved) return [repeat(def)];
    if (!moved.has(def.tensor.id)) return [];
    times.set(def.tensor, { first: at, last: at });
    return [{ ...renamed(def, named, pool), again: { ...again, of: def.again?.of ?? def.tensor.id } }];
  });
  const readers = new Map([...swapped].flatMap((id) => [[id, named.get(id)] as const]));
  const late = after.map((unit) => renamed(unit, readers, pool));
  return [...before, ...inserted, ...late];
}

/** Loads of the tensors that are named read another. */
function loadFrom(named: Renaming, pool: ExprPool): (tensor: Tensor, index: readonly Expr[]) => Expr | undefined {
  return (tensor, index) => {
    const other = named.get(tensor.id);
    return other && pool.intern(loadExpr(other, index));
  };
}

function renamed<U extends Unit>(unit: U, named: Renaming, pool: ExprPool): U {
  if (unit.kind !== "loop") return { ...unit, body: pool.rewrite(unit.body, { load: loadFrom(named, pool) }) };
  return {
    ...unit,
    body: unit.body.map((inner) => renamed(inner, named, pool)),
    carries: unit.carries.map((carry) => ({ ...carry, init: named.get(carry.init.id) ?? carry.init })),
  };
}

/** What keeps it from running earlier: the last of what its first reader reads, or else what runs before that. */
function lastBefore(before: readonly Unit[], { tensor, peak, at }: Repetition, timeline: Timeline): number[] {
  const reader = kernelAt(at, timeline);
  const read = new Set(reader ? boundTensors(reader).loaded : []);
  let [last, latest] = [null as Tensor | null, -1];
  for (const other of before.flatMap(definedBy)) {
    const lifetime = timeline.lifetimes.get(other.id);
    if (!lifetime || other === tensor || timeOf(lifetime.start) >= at) continue;
    const time = timeOf(lifetime.start);
    const rank = read.has(other) && time > peak ? time + at : time;
    if (rank > latest) [last, latest] = [other, rank];
  }
  return last ? [last.id] : [];
}
