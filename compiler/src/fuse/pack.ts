/**
 * Many small kernels of one form → one kernel over arenas. Kernels that compute the same of tensors of their own, element
 * by element, compute it of all of them at once where those lie one after the other: the first tensors of all in one arena,
 * the second ones in another, at the same positions. An optimizer's update of a whole tree of parameters then binds as many
 * buffers as that of a single parameter.
 *
 * Expects groups before single values are absorbed. Between two tensors lies what nobody computes with: an arena's kernel runs over
 * the gaps as well, and stores there whatever comes out.
 */
import { partAlignment } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import { type Axis, axisExpr, type Expr, loadExpr, newAxis, newTensor, type Tensor } from "../lower/expr.ts";
import { axesIn, type ExprPool } from "../lower/expr-pool.ts";
import { copiedElementCost, copyCost, dispatchCost, mostParts, smallWork } from "./cost.ts";
import { Group, type Member, type Scheduled, type ScheduledLoop } from "./group.ts";
import type { Arena } from "./kernel.ts";

/** A tensor that is still needed keeps its whole arena in memory. */
const mostElements = 2 ** 22;
/** Larger kernels keep a device busy by themselves. */
const mostWork = 4 * smallWork;

/** What a tensor is to the program. Tensors of an arena come, stay and go together. */
export type Role = "input" | "output" | "temp";

export interface PackOptions {
  readonly maxBindings: number;
  /** Null for what must have a buffer of its own. */
  readonly roleOf: (tensor: Tensor) => Role | null;
  /** Whether something outside of its kernel wants a member's value in memory. */
  readonly isStored: (tensor: Tensor, group: Group) => boolean;
}

export interface Packed {
  readonly arenas: readonly Arena[];
  /** In place of groups. */
  readonly packs: readonly { readonly pack: Group; readonly parts: readonly Group[] }[];
}

/** A group as a part of a pack. */
interface Part {
  readonly group: Group;
  /** Its own tensors, in the order of the form's slots. */
  readonly tensors: readonly Tensor[];
}

interface Home {
  readonly arena: Arena;
  readonly offset: number;
}

/** What parts have in common: expressions over slots instead of tensors. */
interface Form {
  readonly slots: readonly { readonly tensor: Tensor; readonly role: Role }[];
  /** What is stored to which slot. */
  readonly stores: readonly { readonly slot: number; readonly body: Expr; readonly member: Member }[];
  /** What all parts read single elements of. */
  readonly shared: ReadonlySet<Tensor>;
  readonly parts: Part[];
}

export function packGroups(scheduled: (Group | ScheduledLoop)[], options: PackOptions, pool: ExprPool): Packed {
  return new Packer(scheduled, options, pool).pack();
}

class Packer {
  readonly #scheduled: (Group | ScheduledLoop)[];
  readonly #options: PackOptions;
  readonly #pool: ExprPool;
  readonly #arenas: Arena[] = [];
  readonly #homes = new Map<number, Home>();
  /** Tensors in place of a form's own, by dtype, and the axis that they are read along. */
  readonly #slotTensors = new Map<string, Tensor[]>();
  readonly #along = newAxis(mostElements);

  constructor(scheduled: (Group | ScheduledLoop)[], options: PackOptions, pool: ExprPool) {
    this.#scheduled = scheduled;
    this.#options = options;
    this.#pool = pool;
  }

  pack(): Packed {
    const packs: { pack: Group; parts: readonly Group[] }[] = [];
    for (const form of this.#forms()) {
      for (const parts of this.#batches(form)) {
        const pack = this.#packed(form, parts);
        if (pack) packs.push({ pack, parts: parts.map(({ group }) => group) });
      }
    }
    return { arenas: this.#arenas, packs };
  }

  #forms(): Form[] {
    const forms = new Map<string, Form>();
    for (const item of this.#scheduled) {
      const found = item instanceof Group && this.#formOf(item);
      if (!found) continue;
      const { key, form } = found;
      const known = forms.get(key);
      if (known) known.parts.push(...form.parts);
      else forms.set(key, form);
    }
    return [...forms.values()].filter(({ parts }) => parts.length > 1);
  }

  /** Null unless the group reads and stores its tensors each at the row itself, and besides them only single elements. */
  #formOf(group: Group): { readonly key: string; readonly form: Form } | null {
    // What is computed a second time runs late, apart from the first.
    if (group.members.some(({ def }) => def.again !== undefined)) return null;
    if (group.contraction || group.reduces || group.hasInner || group.rows.length === 0 || group.rowCount === 0)
      return null;
    if (group.work > mostWork) return null;
    const tensors: Tensor[] = [];
    const roles: Role[] = [];
    const shared = new Set<Tensor>();
    const slotOf = (tensor: Tensor, index: readonly Expr[]): number | null => {
      const role = this.#options.roleOf(tensor);
      if (role === null || !isAtRow(tensor, index, group.rows)) return null;
      const known = tensors.indexOf(tensor);
      if (known >= 0) return known;
      roles.push(role);
      return tensors.push(tensor) - 1;
    };
    let fits = true;
    const load = (tensor: Tensor, index: readonly Expr[]): Expr | undefined => {
      if (axesIn(index).size === 0) {
        shared.add(tensor);
        return undefined;
      }
      const slot = slotOf(tensor, index);
      if (slot !== null) return this.#slotLoad(tensor, slot);
      fits = false;
      return undefined;
    };
    const memo = new Map<Expr, Expr>();
    const stored = group.members.filter((member) => this.#options.isStored(member.def.tensor, group));
    const bodies = stored.map((member) => this.#pool.rewrite(member.body, { load }, memo));
    const stores = stored.map((member, i) => ({
      slot: slotOf(member.def.tensor, member.position) ?? -1,
      body: bodies[i] as Expr,
      member,
    }));
    const besideSlots = bodies.some((body) => [...axesIn([body])].some((axis) => axis !== this.#along.id));
    if (!fits || besideSlots || stores.some(({ slot }) => slot < 0)) return null;
    if (tensors.some((tensor) => shared.has(tensor))) return null;
    const slots = tensors.map((tensor, i) => ({ tensor: this.#slotTensor(tensor, i), role: roles[i] as Role }));
    const key = [
      ...slots.map(({ tensor, role }) => `${tensor.dtype} ${role}`),
      ...stores.map(({ slot, body }) => `${slot} ${this.#pool.idOf(body)}`),
    ].join(";");
    return { key, form: { slots, stores, shared, parts: [{ group, tensors }] } };
  }

  #slotTensor({ dtype }: Tensor, slot: number): Tensor {
    let tensors = this.#slotTensors.get(dtype);
    if (!tensors) this.#slotTensors.set(dtype, (tensors = []));
    return (tensors[slot] ??= newTensor(dtype, [mostElements]));
  }

  #slotLoad(tensor: Tensor, slot: number): Expr {
    return this.#pool.intern(loadExpr(this.#slotTensor(tensor, slot), [axisExpr(this.#along)]));
  }

  /**
   * Parts that need nothing of each other, and whose tensors may lie together, as many as an arena holds. What lies in an
   * arena already stays there, and the others take the same positions in arenas beside it.
   */
  #batches(form: Form): Part[][] {
    const batches: {
      readonly parts: Part[];
      readonly arenas: string;
      readonly taken: Set<Tensor>;
      elements: number;
    }[] = [];
    for (const part of form.parts) {
      const arenas = this.#arenasOf(form, part);
      if (arenas === null) continue;
      const size = alignedSize(part, alignmentOf(form));
      const batch = batches.find(
        (other) =>
          other.arenas === arenas &&
          other.elements + size <= mostElements &&
          !part.tensors.some((tensor) => other.taken.has(tensor)) &&
          areApart(
            other.parts.map(({ group }) => group),
            part.group,
          ),
      );
      if (!batch) {
        batches.push({ parts: [part], arenas, taken: new Set(part.tensors), elements: size });
        continue;
      }
      batch.parts.push(part);
      batch.elements += size;
      for (const tensor of part.tensors) batch.taken.add(tensor);
    }
    return batches.map(({ parts }) => parts);
  }

  /** Names the arenas that a part's tensors lie in, by slot; null where they cannot lie side by side. */
  #arenasOf({ shared }: Form, { tensors }: Part): string | null {
    if ([...shared].some(({ id }) => this.#homes.has(id))) return null;
    const homes = tensors.map(({ id }) => this.#homes.get(id));
    if (new Set(homes.flatMap((home) => home?.offset ?? [])).size > 1) return null;
    return homes.map((home) => home?.arena.tensor.id ?? "").join();
  }

  #packed(form: Form, parts: readonly Part[]): Group | null {
    // Packs that were made since may have taken tensors, and lead from one part to another.
    const groups = parts.map(({ group }) => group);
    const known = new Set(parts.map((part) => this.#arenasOf(form, part)));
    if (known.size > 1 || known.has(null)) return null;
    if (!groups.every((group, i) => areApart(groups.slice(0, i), group))) return null;
    const reason = this.#whyPack(form, parts);
    const arenas = reason === null ? null : this.#layOut(form, parts);
    if (reason === null || arenas === null) return null;
    const [first] = arenas;
    const row = newAxis(first?.tensor.shape[0] ?? 0);
    const at = [this.#pool.intern(axisExpr(row))];
    const pack = new Group([row], false, Math.max(...groups.map(({ order }) => order)));
    const load = (tensor: Tensor): Expr | undefined => {
      const arena = arenas[form.slots.findIndex((own) => own.tensor === tensor)];
      return arena && this.#pool.intern(loadExpr(arena.tensor, at));
    };
    const memo = new Map<Expr, Expr>();
    for (const { slot, body: expr, member } of form.stores) {
      const { tensor } = arenas[slot] as Arena;
      const body = this.#pool.rewrite(expr, { load }, memo);
      const def = { kind: "map", tensor, axes: [row], body, labels: member.def.labels } as const;
      pack.add({ def, position: at, inner: [], body, value: body, stage: 0, once: false });
    }
    pack.reasons.push(...(groups[0]?.reasons ?? []), reason);
    this.#replace(parts, pack);
    return pack;
  }

  /** The arenas of the slots, by what is there already; null where some tensor cannot lie in its place. */
  #layOut(form: Form, parts: readonly Part[]): Arena[] | null {
    const alignment = alignmentOf(form);
    const homes = form.slots.map((_, slot) => this.#homes.get(parts[0]?.tensors[slot]?.id ?? -1)?.arena);
    const sizes = new Set(homes.flatMap((arena) => arena?.tensor.shape[0] ?? []));
    let [elements = 0] = sizes;
    if (sizes.size > 1) return null;
    const offsets = parts.map((part) => {
      const home = part.tensors.map(({ id }) => this.#homes.get(id)).find((found) => found !== undefined);
      if (home) return home.offset;
      elements += alignedSize(part, alignment);
      return elements - alignedSize(part, alignment);
    });
    if (offsets.some((offset) => offset % alignment !== 0)) return null;
    // A kernel that stores an arena stores all of it.
    const storesPart = form.stores.some(({ slot }) => (homes[slot]?.members.length ?? parts.length) !== parts.length);
    const arenas = form.slots.map(
      ({ tensor: { dtype } }, slot): Arena =>
        homes[slot] ?? {
          tensor: newTensor(dtype, [elements]),
          members: parts
            .map(({ tensors }, i) => ({ tensor: tensors[slot] as Tensor, offset: offsets[i] as number }))
            .toSorted((a, b) => a.offset - b.offset),
        },
    );
    const added = arenas.filter((arena) => !homes.includes(arena));
    if (storesPart || added.some((arena) => this.#mixes(arena))) return null;
    for (const arena of added) this.#addArena(arena);
    return arenas;
  }

  #addArena(arena: Arena): void {
    this.#arenas.push(arena);
    for (const { tensor, offset } of arena.members) this.#homes.set(tensor.id, { arena, offset });
  }

  /** One dispatch instead of several must be worth the copies of inputs that nothing brings together. */
  #whyPack({ slots, stores, shared }: Form, parts: readonly Part[]): string | null {
    const { maxBindings } = this.#options;
    const together = Math.max(1, Math.min(mostParts, Math.floor((maxBindings - shared.size) / slots.length)));
    const small = parts.filter(({ group }) => group.work <= smallWork).length;
    const dispatches = parts.length - small + Math.ceil(small / together);
    const given = slots.filter(({ role }) => role === "input").length;
    const returned = stores.filter(({ slot }) => slots[slot]?.role === "output").length;
    // What a call gives is in arenas of the same layout when the next one takes it: state needs no copies.
    const copied = Math.max(0, given - returned);
    const copies = copied * parts.length;
    const elements = parts.reduce((sum, { tensors: [first] }) => sum + sizeOf(first?.shape ?? []), 0);
    const cost = copies * copyCost + copied * elements * copiedElementCost;
    if ((dispatches - 1) * dispatchCost <= cost) return null;
    const price = copies > 0 ? `, for at most ${copies} copies a call` : "";
    return `${parts.length} kernels of this form are one: their tensors lie together in ${slots.length} arenas, which saves ${dispatches - 1} dispatches${price}`;
  }

  #mixes(arena: Arena): boolean {
    const homes = new Map(arena.members.map(({ tensor }) => [tensor.id, arena]));
    return this.#scheduled.some((item) => item instanceof Group && mixes(item, item, homes));
  }

  #replace(parts: readonly Part[], pack: Group): void {
    const gone = new Set<Scheduled>(parts.map(({ group }) => group));
    for (const group of gone) for (const dependency of group.dependencies) pack.dependencies.add(dependency);
    const kept = this.#scheduled.filter((item) => !gone.has(item));
    for (const item of kept) {
      const before = item.dependencies.size;
      for (const group of gone) item.dependencies.delete(group);
      if (item.dependencies.size < before) item.dependencies.add(pack);
    }
    this.#scheduled.splice(0, this.#scheduled.length, ...kept, pack);
  }
}

function isAtRow(tensor: Tensor, index: readonly Expr[], rows: readonly Axis[]): boolean {
  const long = index.filter((_, d) => tensor.shape[d] !== 1);
  return long.length === rows.length && long.every((at, d) => at.op === "axis" && at.axis === rows[d]);
}

/** In elements, so that arenas of all types have the same positions. */
function alignmentOf({ slots }: Form): number {
  return partAlignment / (slots.some(({ tensor }) => tensor.dtype === "f16") ? 2 : 4);
}

function alignedSize({ tensors: [first] }: Part, alignment: number): number {
  return Math.ceil(sizeOf(first?.shape ?? []) / alignment) * alignment;
}

/** Whether one group stores a part of an arena that the other reads: no kernel may do both. */
export function mixes(a: Group, b: Group, homes: ReadonlyMap<Tensor["id"], Arena>): boolean {
  if (homes.size === 0) return false;
  const read = new Set([...b.loaded().keys()].map((id) => homes.get(id)));
  return [...a.byTensor.keys()].some((id) => homes.has(id) && read.has(homes.get(id)));
}

/** Whether none of the groups leads to the other one, nor the other way round. */
function areApart(groups: readonly Group[], other: Group): boolean {
  return !reaches([other], new Set(groups)) && !reaches(groups, new Set([other]));
}

function reaches(from: readonly Scheduled[], targets: ReadonlySet<Scheduled>): boolean {
  const seen = new Set<Scheduled>();
  const waiting = from.flatMap((item) => [...item.dependencies]);
  for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) {
    if (seen.has(item)) continue;
    if (targets.has(item)) return true;
    seen.add(item);
    waiting.push(...item.dependencies);
  }
  return false;
}
