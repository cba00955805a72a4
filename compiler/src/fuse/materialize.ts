/**
 * Which maps are computed into memory and which are recomputed where they are read. Expects normal units; gives the
 * definitions that remain, every load of which reads a tensor in memory (an input, another remaining definition, a
 * loop's value), with the reason for each decision.
 */
import { sizeOf } from "../ir/shape.ts";
import type { Expr, Tensor } from "../lower/expr.ts";
import { axesIn, type ExprPool, loadsOf, nodesOf } from "../lower/expr-pool.ts";
import {
  costOf,
  dispatchCost,
  extentOf,
  fewestBusyRows,
  isContraction,
  isMovement,
  loadCost,
  maxBodyNodes,
  recomputed,
  roundTripCost,
} from "./cost.ts";
import { countText } from "./count-text.ts";
import { type Def, definitionsIn, type MapDef, type Unit } from "./definition.ts";
import { splitBody } from "./split-body.ts";

export interface Materialized {
  readonly units: readonly Unit[];
  /** Why a definition is in memory, or what was inlined into it; by tensor. */
  readonly reasons: ReadonlyMap<number, readonly string[]>;
}

/** Beyond this many different ways of reading a value its recomputation is not followed further. */
const maxAccesses = 24;

/** Two loads and a few operations: what an operand of a contraction may cost and still be recomputed for each tile. */
const cheapOperandCost = 15;

/** A point of `root`'s space reads the value at `index`. */
interface Access {
  readonly root: Def;
  readonly index: readonly Expr[];
}

export function materialize(
  units: readonly Unit[],
  outputs: readonly Tensor[],
  maxBindings: number,
  pool: ExprPool,
): Materialized {
  const forced = new Map<number, string>();
  for (const tensor of outputs) forced.set(tensor.id, "an output of the program");
  forceLoopValues(units, forced);
  const decider = new Decider(units, forced, pool);
  decider.decide(units);
  const resolver = new Resolver(decider, maxBindings, pool);
  const resolved = resolver.resolveUnits(units);
  return { units: withoutUnread(resolved, forced), reasons: resolver.reasons };
}

function forceLoopValues(units: readonly Unit[], forced: Map<number, string>): void {
  for (const unit of units) {
    if (unit.kind !== "loop") continue;
    for (const { init, result } of unit.carries) {
      forced.set(init.id, "the first value of a loop's carry").set(result.id, "the next value of a loop's carry");
    }
    for (const { element } of unit.stacked) forced.set(element.id, "an element of a loop's stacked output");
    forceLoopValues(unit.body, forced);
  }
}

/** Decides backwards, since what reading a value again costs depends on who reads it. */
class Decider {
  readonly #defs = new Map<number, Def>();
  readonly #forced: ReadonlyMap<number, string>;
  readonly #pool: ExprPool;
  /** Cost of an element with everything that it is made of, up to reductions and what is surely in memory. */
  readonly #chainCost = new Map<number, number>();
  /** Reductions whose kernel could store the value besides, since it is computed from their result at the same index. */
  readonly #anchored = new Set<number>();
  readonly #accesses = new Map<number, Map<string, Access>>();
  /** How often the loops around a definition run it. */
  readonly #trips = new Map<number, number>();
  /** Reasons for tensors in memory, and for those that are not. */
  readonly stored = new Map<number, string>();
  readonly inlined = new Map<number, string>();

  constructor(units: readonly Unit[], forced: ReadonlyMap<number, string>, pool: ExprPool) {
    this.#forced = forced;
    this.#pool = pool;
    for (const def of definitionsIn(units)) {
      this.#defs.set(def.tensor.id, def);
      if (def.kind === "map") this.#survey(def);
    }
    this.#countTrips(units, 1);
  }

  #countTrips(units: readonly Unit[], trips: number): void {
    for (const unit of units) {
      if (unit.kind === "loop") this.#countTrips(unit.body, trips * unit.counter.length);
      else this.#trips.set(unit.tensor.id, trips);
    }
  }

  #survey(def: MapDef): void {
    let cost = costOf([def.body]);
    for (const load of loadsOf([def.body])) {
      const producer = this.#defs.get(load.tensor.id);
      const follows = producer?.kind === "reduce" || this.#anchored.has(load.tensor.id);
      if (follows && sizeOf(load.tensor.shape) === sizeOf(def.tensor.shape) && isWhole(load.index, def)) {
        this.#anchored.add(def.tensor.id);
      }
      if (producer?.kind === "map" && !this.#forced.has(load.tensor.id)) {
        cost += (this.#chainCost.get(load.tensor.id) ?? 0) - loadCost;
      }
    }
    this.#chainCost.set(def.tensor.id, Math.min(cost, 1e6));
  }

  decide(units: readonly Unit[]): void {
    for (const unit of units.toReversed()) {
      if (unit.kind === "loop") {
        this.decide(unit.body);
        continue;
      }
      if (unit.kind === "reduce" || !this.#isInlined(unit)) {
        this.#read(unit, [{ root: unit, index: null }]);
      } else {
        this.#read(unit, [...this.#accessesOf(unit.tensor.id).values()]);
      }
    }
  }

  #isInlined(def: MapDef): boolean {
    const { tensor } = def;
    const why = this.#forced.get(tensor.id) ?? this.#whyStored(def);
    if (why !== null) this.stored.set(tensor.id, why);
    else if (def.again) this.inlined.set(tensor.id, def.again.reason);
    return why === null;
  }

  #whyStored(def: MapDef): string | null {
    const { tensor } = def;
    const accesses = [...this.#accessesOf(tensor.id).values()];
    const size = sizeOf(tensor.shape);
    const cost = this.#chainCost.get(tensor.id) ?? 0;
    if (isMovement(def)) return null;
    if (accesses.length > maxAccesses) return `read in more than ${maxAccesses} ways`;
    const trips = this.#trips.get(tensor.id) ?? 1;
    let evaluations = 0;
    let work = -size;
    for (const access of accesses) {
      const rounds = (this.#trips.get(access.root.tensor.id) ?? trips) / trips;
      const times = rounds * evaluationsOf(access, size, cost);
      evaluations += times;
      work += (times * fewestBusyRows) / Math.min(fewestBusyRows, extentOf(access.root.axes));
    }
    const again = evaluations - size;
    if (again > 0 && this.#anchored.has(tensor.id)) {
      return `computed with the reduction that it follows, instead of ${countText(evaluations)} times by its readers`;
    }
    if (size === 1 && cost <= 200) {
      const readers = new Set(accesses.map(({ root }) => root)).size;
      if (readers === 1 || recomputed(cost, evaluations) <= dispatchCost) return null;
      return `${readers} readers would each compute a single value of ${cost} operations, for ${countText(evaluations)} elements together: that is dearer than a kernel`;
    }
    // Its readers load a stored value instead.
    const extra = work * Math.max(0, cost - loadCost);
    const memory = dispatchCost + roundTripCost * size;
    if (extra > memory) {
      return `recomputation (${countText(again)} more elements of ${cost} operations) is dearer than memory (${countText(4 * size)} bytes written)`;
    }
    if (again > 0) {
      this.inlined.set(
        tensor.id,
        `recomputing ${def.labels[0] ?? "it"} (${countText(again)} more elements of ${cost} operations) is cheaper than ${countText(4 * size)} bytes through memory`,
      );
    }
    return null;
  }

  #accessesOf(tensor: number): Map<string, Access> {
    let accesses = this.#accesses.get(tensor);
    if (!accesses) this.#accesses.set(tensor, (accesses = new Map<string, Access>()));
    return accesses;
  }

  /** Notes what `def`'s body reads, at each place where the body is evaluated. */
  #read(def: Def, places: readonly { readonly root: Def; readonly index: readonly Expr[] | null }[]): void {
    const loads = loadsOf([def.body]).filter((load) => this.#defs.get(load.tensor.id)?.kind === "map");
    if (loads.length === 0) return;
    for (const { root, index } of places) {
      const at = new Map(def.axes.map((axis, d) => [axis.id, index?.[d]]));
      const memo = new Map<Expr, Expr>();
      for (const load of loads) {
        const accesses = this.#accessesOf(load.tensor.id);
        if (accesses.size > maxAccesses) continue;
        const composed =
          index === null ? load.index : this.#pool.rewriteAll(load.index, { axis: (id) => at.get(id) }, memo);
        accesses.set(`${root.tensor.id}: ${this.#pool.keyOf(composed)}`, { root, index: composed });
      }
    }
  }
}

/** How often the value is computed for one access, when what a reduction's loop does not change is kept. */
function evaluationsOf({ root, index }: Access, size: number, cost: number): number {
  const rows = extentOf(root.axes);
  if (root.kind === "map") return rows;
  const used = axesIn(index);
  const inner = root.over.some((axis) => used.has(axis.id)) ? extentOf(root.over) : 1;
  if (inner > 1 && isContraction(root)) {
    // A tiled schedule evaluates operands once for each tile; a cheap one is free beside the products.
    return cost <= cheapOperandCost ? size : Math.max(size, (rows * inner) / 16);
  }
  return rows * inner;
}

/** Whether `index` runs through a tensor of the definition's size exactly once: its axes in some order, or a reshape. */
function isWhole(index: readonly Expr[], def: Def): boolean {
  const used = axesIn(index);
  return def.axes.every((axis) => axis.size === 1 || used.has(axis.id));
}

/** Substitutes forwards, and stores after all what would bind too many tensors or grow too large. */
class Resolver {
  readonly #decider: Decider;
  readonly #maxBindings: number;
  readonly #pool: ExprPool;
  readonly #inline = new Map<number, MapDef>();
  readonly #notes = new Map<number, ReadonlySet<number>>();
  /** Definitions that were to be inlined, in order, for the level that defines them. */
  readonly #levels: Unit[][] = [];
  readonly reasons = new Map<number, string[]>();

  constructor(decider: Decider, maxBindings: number, pool: ExprPool) {
    this.#decider = decider;
    this.#maxBindings = maxBindings;
    this.#pool = pool;
  }

  resolveUnits(units: readonly Unit[]): Unit[] {
    const level: Unit[] = [];
    this.#levels.push(level);
    for (const unit of units) {
      if (unit.kind === "loop") {
        level.push({ ...unit, body: this.resolveUnits(unit.body) });
        continue;
      }
      const def = this.#resolve(unit);
      // An inlined definition stays in its place until it is known that nobody wants it in memory.
      level.push(def);
      const why = this.#decider.stored.get(unit.tensor.id);
      // Readers look through movement, also where its result is wanted in memory.
      if (def.kind === "map" && (why === undefined || isMovement(def))) this.#inline.set(unit.tensor.id, def);
      if (why !== undefined) this.#note(unit.tensor.id, `${unit.labels[0] ?? "value"} is stored: ${why}`);
    }
    this.#levels.pop();
    return level;
  }

  #note(tensor: number, reason: string): void {
    const reasons = this.reasons.get(tensor) ?? [];
    if (!reasons.includes(reason)) this.reasons.set(tensor, [...reasons, reason]);
  }

  #resolve(unit: Def): Def {
    for (;;) {
      const def = this.#substitute(unit);
      const bindings = new Set(loadsOf([def.body]).map((load) => load.tensor.id)).size + 1;
      const nodes = nodesOf([def.body]).length;
      if (bindings <= this.#maxBindings && nodes <= maxBodyNodes) {
        this.#reportInlined(unit);
        return def;
      }
      const heaviest = this.#heaviestOperand(unit, bindings > this.#maxBindings);
      if (heaviest) {
        this.#inline.delete(heaviest.tensor.id);
        const why =
          bindings > this.#maxBindings
            ? `a reader would bind ${bindings} tensors, ${this.#maxBindings} are allowed`
            : `a reader would grow to ${nodes} operations`;
        this.#note(heaviest.tensor.id, `${heaviest.labels[0] ?? "value"} is stored: ${why}`);
        continue;
      }
      if (bindings <= this.#maxBindings) return def;
      const { parts, rest } = splitBody(def, this.#maxBindings, this.#pool);
      for (const part of parts) {
        this.#levels.at(-1)?.push(part);
        this.#note(
          part.tensor.id,
          `a part of ${unit.labels[0] ?? "value"}, which reads ${bindings - 1} tensors, more than a kernel may bind`,
        );
      }
      return rest;
    }
  }

  /** The directly read inlined value that brings most. */
  #heaviestOperand(unit: Def, byBindings: boolean): MapDef | null {
    let [best, most] = [null as MapDef | null, 1];
    for (const load of loadsOf([unit.body])) {
      const operand = this.#inline.get(load.tensor.id);
      if (!operand) continue;
      const weight = byBindings
        ? new Set(loadsOf([operand.body]).map((inner) => inner.tensor.id)).size
        : nodesOf([operand.body]).length;
      if (weight > most) [best, most] = [operand, weight];
    }
    return best;
  }

  #substitute<D extends Def>(unit: D): D {
    const taken = new Set<number>();
    const memos = new Map<string, Expr>();
    const body = this.#pool.rewrite(unit.body, {
      load: (tensor, index) => {
        const def = this.#inline.get(tensor.id);
        if (!def) return undefined;
        taken.add(tensor.id);
        for (const id of this.#notes.get(tensor.id) ?? []) taken.add(id);
        const key = `${tensor.id}: ${this.#pool.keyOf(index)}`;
        const known = memos.get(key);
        if (known) return known;
        const at = new Map(def.axes.map((axis, d) => [axis.id, index[d]]));
        const value = this.#pool.rewrite(def.body, { axis: (id) => at.get(id) });
        memos.set(key, value);
        return value;
      },
    });
    this.#notes.set(unit.tensor.id, taken);
    const inlined = [...taken].map((id) => this.#inline.get(id)).filter((def) => def !== undefined);
    const labels = inlined.filter((def) => !isMovement(def)).flatMap((def) => def.labels);
    const others = [...new Set(labels)].filter((label) => !unit.labels.includes(label));
    return { ...unit, body, labels: [...others, ...unit.labels] };
  }

  #reportInlined(unit: Def): void {
    for (const id of this.#notes.get(unit.tensor.id) ?? []) {
      const reason = this.#decider.inlined.get(id);
      if (reason !== undefined) this.#note(unit.tensor.id, reason);
    }
  }
}

/** Drops what no kernel and no loop reads. */
function withoutUnread(units: readonly Unit[], forced: ReadonlyMap<number, string>): Unit[] {
  const read = new Set(forced.keys());
  return keepRead(units, read);
}

function keepRead(units: readonly Unit[], read: Set<number>): Unit[] {
  const kept: Unit[] = [];
  for (const unit of units.toReversed()) {
    if (unit.kind === "loop") {
      kept.push({ ...unit, body: keepRead(unit.body, read) });
    } else if (read.has(unit.tensor.id)) {
      kept.push(unit);
      for (const load of loadsOf([unit.body])) read.add(load.tensor.id);
    }
  }
  return kept.toReversed();
}
