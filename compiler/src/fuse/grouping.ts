/**
 * Definitions of one level → groups, greedily in program order: a definition joins a kernel that it reads from, else one
 * that runs over the same space and reads the same, else it starts one. Every decision leaves its reason.
 */
import { invariant } from "../diagnostics/index.ts";
import type { AdapterProfile } from "../executable.ts";
import { type Bundle, bundle } from "./bundle.ts";
import type { Axis, Tensor } from "../lower/expr.ts";
import { type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { typeText } from "../lower/print-expr.ts";
import { costOf, dispatchCost, isContraction, maxSerialInner, minParallelRows, recomputed } from "./cost.ts";
import { DefUse, type StoredRegardless } from "./def-use.ts";
import { type Carry, type Def, definedBy, type LoopUnit, readBy, type ReduceDef, type Unit } from "./definition.ts";
import { dependsOn, Group, inOrder, type Member, type Scheduled, ScheduledLoop } from "./group.ts";
import type { Arena } from "./kernel.ts";
import { alignAlone, alignToProducer, alignToSibling, innerExtent, isContiguousInRow } from "./legality.ts";
import { mixes, packGroups, type Role } from "./pack.ts";
import { streamProducts } from "./stream-products.ts";
import { widen } from "./widen.ts";

/** Up to this many elements it does not matter that a row's elements are not neighbours in memory. */
const smallStrided = 65_536;

export interface GroupingOptions extends StoredRegardless {
  readonly maxBindings: number;
  readonly adapter: Pick<AdapterProfile, "class" | "limits"> | undefined;
  readonly reasons: ReadonlyMap<number, readonly string[]>;
  /** Of the loop that the level is the body of. */
  readonly carries: readonly Carry[];
  /** Of tensors that may lie with others in one buffer; null for the others. */
  readonly roleOf: (tensor: Tensor) => Role | null;
}

export interface Grouped {
  readonly arenas: readonly Arena[];
  /** In order. */
  readonly scheduled: readonly (Bundle | ScheduledLoop)[];
  /** Whether something outside of its kernel wants a value in memory. */
  isStored(tensor: Tensor, group: Group): boolean;
}

export function groupUnits(units: readonly Unit[], options: GroupingOptions, pool: ExprPool): Grouped {
  const uses = new DefUse(units, options);
  const grouping = new Grouping(uses, options, pool);
  units.forEach((unit, order) => {
    if (unit.kind === "loop") grouping.addLoop(unit, order);
    else grouping.addDef(unit, order);
  });
  const arenas = grouping.pack();
  grouping.absorbScalars();
  const { scheduled, homes } = grouping;
  const { maxBindings, carries, adapter } = options;
  if (adapter) streamProducts({ scheduled, uses, maxBindings, adapter, pool });
  const bound = (group: Group): number[] => uses.boundBy(group);
  return {
    arenas,
    scheduled: inOrder(bundle(inOrder(scheduled), { maxBindings, carries, bound, homes })),
    isStored: (tensor, group) => uses.isStored(tensor.id, group.byTensor),
  };
}

/** Why a definition does not join, or the member that it becomes. */
type Attempt = (Joining & { readonly detail?: string }) | { readonly refusal: string };

interface Joining {
  readonly member: Member;
  /** Further rows that the kernel gets. */
  readonly columns?: readonly Axis[];
}

interface Choice extends Joining {
  readonly group: Group;
  readonly reason: string;
}

class Grouping {
  readonly scheduled: (Group | ScheduledLoop)[] = [];
  readonly #options: GroupingOptions;
  readonly #pool: ExprPool;
  readonly #uses: DefUse;
  /** In order of their start, and by the sizes of their rows. */
  readonly #places = new Map<Group, number>();
  readonly #byRows = new Map<string, Group[]>();
  /** The arena that a tensor lies in, or is. */
  readonly #homes = new Map<number, Arena>();

  constructor(uses: DefUse, options: GroupingOptions, pool: ExprPool) {
    this.#uses = uses;
    this.#options = options;
    this.#pool = pool;
  }

  addLoop(unit: LoopUnit, order: number): void {
    const loop = new ScheduledLoop(unit, order);
    for (const tensor of readBy(unit)) this.#depend(loop, tensor);
    for (const tensor of definedBy(unit)) this.#uses.setProducer(tensor.id, loop);
    this.scheduled.push(loop);
  }

  addDef(def: Def, order: number): void {
    const { group, member, columns, reason } = this.#choose(def, order);
    for (const tensor of neededBy(def)) this.#depend(group, tensor);
    if (columns) group.widen(member, columns);
    else group.add(member);
    group.order = order;
    if (def.again) group.reasons.push(def.again.reason);
    group.reasons.push(reason, ...(this.#options.reasons.get(def.tensor.id) ?? []));
    this.#uses.setProducer(def.tensor.id, group);
  }

  get homes(): ReadonlyMap<number, Arena> {
    return this.#homes;
  }

  /** Kernels that do the same to tensors of their own become one, over arenas. */
  pack(): readonly Arena[] {
    const { maxBindings, roleOf } = this.#options;
    const isStored = (tensor: Tensor, group: Group): boolean => this.#uses.isStored(tensor.id, group.byTensor);
    const { arenas, packs } = packGroups(this.scheduled, { maxBindings, roleOf, isStored }, this.#pool);
    for (const arena of arenas) {
      this.#uses.addArena(arena.tensor.id);
      for (const { tensor } of [arena, ...arena.members]) this.#homes.set(tensor.id, arena);
    }
    for (const { pack, parts } of packs) {
      for (const tensor of parts.flatMap((part) => [...part.byTensor.keys()])) this.#uses.setProducer(tensor, pack);
    }
    return arenas;
  }

  /** Kernels of single values are no kernels of their own where another can compute them besides. */
  absorbScalars(): void {
    for (const scalars of this.scheduled.filter((item) => item instanceof Group && item.isScalar)) {
      if (!(scalars instanceof Group)) continue;
      const host = this.scheduled.find((item) => item instanceof Group && this.#canHost(item, scalars));
      if (!(host instanceof Group)) continue;
      host.absorb(scalars, this.#pool);
      host.dependencies.delete(scalars);
      for (const dependency of scalars.dependencies) host.dependencies.add(dependency);
      this.scheduled.splice(this.scheduled.indexOf(scalars), 1);
      for (const item of this.scheduled)
        if (item !== host && item.dependencies.delete(scalars)) item.dependencies.add(host);
      for (const tensor of scalars.byTensor.keys()) this.#uses.setProducer(tensor, host);
    }
  }

  #canHost(host: Group, scalars: Group): boolean {
    if (host === scalars || host.contraction || host.isScalar) return false;
    // Nothing may have to run between the two.
    const between = [...host.dependencies].filter((item) => item !== scalars);
    if (between.some((item) => dependsOn(item, scalars)) || dependsOn(scalars, host)) return false;
    const inlined = scalars.members.filter(({ def }) => host.loaded().has(def.tensor.id));
    if (recomputed(costOf(inlined.map(({ value }) => value)), host.rowCount) > dispatchCost) return false;
    if (mixes(host, scalars, this.#homes) || mixes(scalars, host, this.#homes)) return false;
    const inside = new Set([...host.byTensor.keys(), ...scalars.byTensor.keys()]);
    const loaded = new Set([...host.loaded().keys(), ...scalars.loaded().keys()]);
    const read = [...loaded].filter((tensor) => !scalars.byTensor.has(tensor)).length;
    const stored = [...inside].filter((tensor) => this.#uses.isStored(tensor, inside)).length;
    const stacked = [...inside].reduce((sum, tensor) => sum + this.#uses.stackedStores(tensor), 0);
    return read + stored + stacked <= this.#options.maxBindings;
  }

  #depend(item: Scheduled, tensor: number): void {
    const producer = this.#uses.producerOf(tensor);
    if (producer && producer !== item) item.dependencies.add(producer);
  }

  #choose(def: Def, order: number): Choice {
    const refusals: string[] = [];
    const dependencies = new Set(neededBy(def).map((tensor) => this.#uses.producerOf(tensor)));
    const read = new Set(readBy(def).map((tensor) => this.#uses.producerOf(tensor)));
    const producers = [...read].filter((item): item is Group => item instanceof Group && mayHold(item, def));
    for (const group of producers.sort((a, b) => this.#placeOf(b) - this.#placeOf(a))) {
      const attempt = this.#tryVertical(group, def, dependencies);
      if ("member" in attempt) {
        const source = sourceName(group, def);
        const detail = attempt.detail === undefined ? "" : `; ${attempt.detail}`;
        return { group, ...attempt, reason: `${describe(def)} joins: it reads ${source} at its own row${detail}` };
      }
      refusals.push(`not with ${nameOf(group)}: ${attempt.refusal}`);
    }
    for (const group of this.#groupsOver(def).toReversed()) {
      if (dependencies.has(group) || !mayHold(group, def)) continue;
      const member = this.#trySibling(group, def, dependencies);
      if (member) {
        const reason = `${describe(def)} joins: it runs over the same ${def.kind === "reduce" ? "rows and axes" : "points"} and reads the same`;
        return { group, member, reason };
      }
    }
    const rows = def.axes.filter((axis) => axis.size > 1);
    const group = new Group(rows, isContraction(def), order);
    const member = alignAlone(group, def, this.#pool);
    invariant(member, "a definition can always be computed by itself");
    this.#places.set(group, this.scheduled.length);
    this.scheduled.push(group);
    this.#groupsOver(def).push(group);
    const why = refusals.length > 0 ? ` (${refusals.join("; ")})` : "";
    return { group, member, reason: `${describe(def)} starts the kernel${why}` };
  }

  #placeOf(group: Group): number {
    return this.#places.get(group) ?? -1;
  }

  /** Groups over as many rows along each axis as the definition has. */
  #groupsOver(def: Def): Group[] {
    const key = def.axes.flatMap(({ size }) => (size > 1 ? [size] : [])).join(",");
    let groups = this.#byRows.get(key);
    if (!groups) this.#byRows.set(key, (groups = []));
    return groups;
  }

  #tryVertical(group: Group, def: Def, dependencies: ReadonlySet<Scheduled | undefined>): Attempt {
    if (this.#wouldCycle(group, dependencies)) return { refusal: "another kernel would have to run in between" };
    const member = isContraction(def) ? null : alignToProducer(group, def, this.#pool);
    if (!member && def.kind === "reduce") return this.#tryWiden(group, def);
    if (!member) return { refusal: "it reads more than its own row" };
    const refusal = refuseInner(group, member) ?? this.#refuseBindings(group, member);
    return refusal === null ? { member } : { refusal };
  }

  #tryWiden(group: Group, def: ReduceDef): Attempt {
    const inside = new Set([...group.byTensor.keys(), def.tensor.id]);
    const widened = widen(group, def, (tensor) => this.#uses.isStored(tensor, inside), this.#pool);
    if ("refusal" in widened) return widened;
    const refusal = this.#refuseBindings(group, widened.member);
    if (refusal !== null) return { refusal };
    return { member: widened.member, columns: widened.columns, detail: widened.reason };
  }

  #trySibling(group: Group, def: Def, dependencies: ReadonlySet<Scheduled | undefined>): Member | null {
    if (isContraction(def) || group.contraction) return null;
    if (def.kind === "map" && (group.reduces || group.hasInner)) return null;
    const loaded = loadsOf([def.body]);
    if (loaded.length > 0 && !loaded.some(({ tensor }) => group.loaded().has(tensor.id))) return null;
    const member = alignToSibling(group, def, this.#pool);
    if (!member) return null;
    if (def.kind === "reduce") {
      const like = group.members.some((other) => other.def.kind === "reduce" && other.inner === member.inner);
      if (!like) return null;
    }
    const loads = loadsOf([member.body]);
    if (loads.length > 0 && !loads.some((load) => group.loads.has(load))) return null;
    if (this.#refuseBindings(group, member) !== null || this.#wouldCycle(group, dependencies)) return null;
    return member;
  }

  /** Whether something that the definition reads depends on the group by another way. */
  #wouldCycle(group: Group, dependencies: ReadonlySet<Scheduled | undefined>): boolean {
    const seen = new Set<Scheduled>();
    for (const dependency of dependencies) {
      if (dependency && dependency !== group && dependsOn(dependency, group, seen)) return true;
    }
    return false;
  }

  #refuseBindings(group: Group, member: Member): string | null {
    const bound = new Set(group.loaded().keys());
    for (const load of loadsOf([member.body])) bound.add(load.tensor.id);
    let count = bound.size;
    const inside = new Set([...group.byTensor.keys(), member.def.tensor.id]);
    for (const tensor of inside)
      count += Number(this.#uses.isStored(tensor, inside)) + this.#uses.stackedStores(tensor);
    const { maxBindings } = this.#options;
    return count > maxBindings ? `it would bind ${count} buffers, ${maxBindings} are allowed` : null;
  }
}

/** What is computed a second time stays apart from what ran before: it would be kept again. */
function mayHold(group: Group, def: Def): boolean {
  return def.again === undefined || group.members.every((member) => member.def.again !== undefined);
}

/** Tensors that must be there before a definition runs, by id. */
function neededBy(def: Def): number[] {
  return [...readBy(def), ...(def.again?.after ?? [])];
}

/** Why a member does not suit the group's rows, or null. */
function refuseInner(group: Group, member: Member): string | null {
  if (member.inner.length === 0) return null;
  if (group.contraction) return "a contraction takes only epilogues of its own shape";
  if (!group.reduces && member.def.kind === "map") return "it has more elements than the kernel has rows";
  const extent = innerExtent(member);
  if (group.rowCount < minParallelRows && extent > maxSerialInner) {
    return `${group.rowCount} rows of ${extent} elements leave most of a device idle`;
  }
  if (member.def.kind === "map" && !isContiguousInRow(member) && group.rowCount * extent > smallStrided) {
    return "its rows are not contiguous in memory";
  }
  return null;
}

function describe(def: Def): string {
  return `${def.labels.at(-1) ?? "value"} ${typeText(def.tensor)}`;
}

function sourceName(group: Group, def: Def): string {
  const read = new Set(readBy(def));
  const names = group.members
    .filter((member) => read.has(member.def.tensor.id))
    .map(({ def: source }) => describe(source));
  return names.join(" and ");
}

/** A readable name from the operations that a group holds. */
export function nameOf(group: Group): string {
  const labels = [...new Set(group.members.flatMap((member) => member.def.labels))];
  const shown = labels.length > 5 ? [...labels.slice(0, 4), "etc"] : labels;
  return shown.join("_").replace(/[^A-Za-z0-9_]/g, "_");
}
