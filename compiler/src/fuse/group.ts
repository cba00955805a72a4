/** A kernel in the making: definitions that share a space of rows. */
import type { Axis, Expr, Tensor } from "../lower/expr.ts";
import { type ExprPool, type Load, loadsOf } from "../lower/expr-pool.ts";
import { costOf, extentOf, fewestBusyRows } from "./cost.ts";
import type { Def, LoopUnit } from "./definition.ts";
import type { InnerSum } from "./kernel.ts";

export interface Member {
  readonly def: Def;
  /** Where in its tensor the value goes, over the rows and `inner`; what reads it at the same row reads there. */
  readonly position: readonly Expr[];
  /** Axes within a row: those that a reduction runs over, or the further axes of a map. */
  readonly inner: readonly Axis[];
  /** Over the rows and `inner`; loads read tensors of other kernels alone. */
  readonly body: Expr;
  /** The result as other members see it: a `reduced` expression, or the body. */
  readonly value: Expr;
  /** Reductions of stage n read those of stages below n. */
  readonly stage: number;
  /** A single value in a kernel of many rows: the first of them stores it. */
  readonly once: boolean;
}

/** Something that runs as a whole, and what must run before it. */
export interface Scheduled {
  readonly dependencies: Set<Scheduled>;
  /** The place in the program of its last definition. */
  order: number;
}

export class Group implements Scheduled {
  readonly dependencies = new Set<Scheduled>();
  rows: readonly Axis[];
  /** Of the rows, those that only products have, which follow reductions of the other rows. */
  columns: readonly Axis[] = [];
  /** What its loops compute at each point of theirs. */
  readonly inner: InnerSum[] = [];
  readonly members: Member[] = [];
  readonly byTensor = new Map<number, Member>();
  readonly reasons: string[] = [];
  contraction: boolean;
  order: number;

  constructor(rows: readonly Axis[], contraction: boolean, order: number) {
    this.rows = rows;
    this.contraction = contraction;
    this.order = order;
  }

  /** What its members load. */
  #loads = new Set<Load>();
  #loaded = new Map<number, Tensor>();

  add(member: Member): void {
    this.members.push(member);
    this.byTensor.set(member.def.tensor.id, member);
    for (const load of loadsOf([member.body])) this.#note(load);
  }

  #note(load: Load): void {
    this.#loads.add(load);
    this.#loaded.set(load.tensor.id, load.tensor);
  }

  /** Takes in a product that has further rows. */
  widen(member: Member, columns: readonly Axis[]): void {
    this.columns = columns;
    this.rows = [...this.rows, ...columns];
    this.contraction = true;
    this.add(member);
  }

  /** Takes in what a product gave it through memory: `value` stands for what was read there, made of the product's sum. */
  computeInPlace({ sum, read, value, from }: InPlace, pool: ExprPool): void {
    this.inner.push(sum);
    const load = (tensor: Tensor): Expr | undefined => (tensor === read ? value : undefined);
    this.#refill(
      this.members.splice(0).map((member): Member => {
        const body = pool.rewrite(member.body, { load });
        return { ...member, body, value: member.def.kind === "map" ? body : member.value };
      }),
    );
    for (const dependency of from.dependencies) this.dependencies.add(dependency);
    this.dependencies.delete(from);
  }

  /** Leaves out what is no longer wanted in memory, and is no part of what is. */
  drop(members: readonly Member[]): void {
    const own = this.members.splice(0).filter((member) => !members.includes(member));
    for (const { def } of members) this.byTensor.delete(def.tensor.id);
    this.#refill(own);
  }

  /** The product gets another body, of which one factor has `inner` sums and is the same along `columns`. */
  stream(body: Expr, columns: readonly Axis[], inner: readonly InnerSum[]): void {
    this.columns = columns;
    this.inner.push(...inner);
    const own = this.members.splice(0);
    this.#refill(own.map((member) => (member.def.kind === "reduce" ? { ...member, body } : member)));
  }

  #refill(members: readonly Member[]): void {
    this.#loads = new Set();
    this.#loaded = new Map();
    for (const { body } of this.inner) for (const load of loadsOf([body])) this.#note(load);
    for (const member of members) this.add(member);
  }

  get loads(): ReadonlySet<Load> {
    return this.#loads;
  }

  /** Single values alone, which any kernel can compute besides. */
  get isScalar(): boolean {
    return this.rows.length === 0 && !this.reduces && !this.hasInner;
  }

  /** Takes the members of a scalar group: what they give is computed in place wherever it is read here. */
  absorb(scalars: Group, pool: ExprPool): void {
    const own = this.members.splice(0);
    this.#loads = new Set();
    this.#loaded = new Map();
    for (const member of scalars.members) this.add({ ...member, once: true });
    const load = (tensor: Tensor): Expr | undefined => scalars.byTensor.get(tensor.id)?.value;
    for (const member of own) {
      const body = pool.rewrite(member.body, { load });
      this.add({ ...member, body, value: member.def.kind === "map" ? body : member.value });
    }
    this.reasons.push(
      ...scalars.reasons,
      `${scalars.members.length === 1 ? "a single value is" : "single values are"} stored by the first row`,
    );
    this.order = Math.max(this.order, scalars.order);
  }

  get reduces(): boolean {
    return this.members.some((member) => member.def.kind === "reduce");
  }

  get hasInner(): boolean {
    return this.members.some((member) => member.inner.length > 0);
  }

  get rowCount(): number {
    return extentOf(this.rows);
  }

  /** What it computes, in the units of `dispatchCost`. */
  get work(): number {
    let work = 0;
    for (const { body, inner } of this.members) work += costOf([body]) * extentOf(inner);
    const lanes = Math.min(fewestBusyRows, this.rowCount) / fewestBusyRows;
    return (work * this.rowCount) / lanes;
  }

  /** Tensors that the kernel reads from memory. */
  loaded(): ReadonlyMap<number, Tensor> {
    return this.#loaded;
  }
}

export interface InPlace {
  readonly sum: InnerSum;
  readonly read: Tensor;
  readonly value: Expr;
  readonly from: Group;
}

export class ScheduledLoop implements Scheduled {
  readonly dependencies = new Set<Scheduled>();
  readonly unit: LoopUnit;
  readonly order: number;

  constructor(unit: LoopUnit, order: number) {
    this.unit = unit;
    this.order = order;
  }
}

/** Whether `from` must run after `target`. */
export function dependsOn(from: Scheduled, target: Scheduled, seen: Set<Scheduled> = new Set()): boolean {
  if (from === target) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  for (const dependency of from.dependencies) if (dependsOn(dependency, target, seen)) return true;
  return false;
}

/** Dependencies first; otherwise in program order. */
export function inOrder<S extends Scheduled>(items: readonly S[]): S[] {
  const waiting = [...items].sort((a, b) => a.order - b.order);
  const done = new Set<Scheduled>();
  const ordered: S[] = [];
  const visit = (item: S): void => {
    if (done.has(item)) return;
    done.add(item);
    for (const other of waiting) if (item.dependencies.has(other)) visit(other);
    ordered.push(item);
  };
  for (const item of waiting) visit(item);
  return ordered;
}
