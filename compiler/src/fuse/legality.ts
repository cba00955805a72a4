/**
 * Whether a definition can be computed in a kernel's rows, and how. All that its body reads from the kernel must lie at
 * the row that it is computed for, since rows run in any order: then a reduction's result is at hand, and a map's value
 * is computed again in place.
 */
import { sizeOf } from "../ir/shape.ts";
import { type Axis, axisExpr, binaryExpr, constExpr, type Expr } from "../lower/expr.ts";
import { type ExprPool, type Load, loadsOf, nodesOf } from "../lower/expr-pool.ts";
import { extentOf } from "./cost.ts";
import type { Def } from "./definition.ts";
import type { Group, Member } from "./group.ts";

/** How the axes of a definition run in the rows of a group. */
interface Alignment {
  readonly axes: ReadonlyMap<number, Expr>;
  readonly inner: readonly Axis[];
}

/** The member that `def` would be in a group that it reads from; null if some read is not at the same row. */
export function alignToProducer(group: Group, def: Def, pool: ExprPool): Member | null {
  for (const load of loadsOf([def.body])) {
    const producer = group.byTensor.get(load.tensor.id);
    if (!producer) continue;
    const alignment = alongLoad(group, producer, load, def, pool) ?? asReshape(group, def, pool);
    const member = alignment && place(group, def, alignment, pool);
    if (member) return member;
  }
  return null;
}

/** The member that `def` would be in a group of the same rows, axis by axis. */
export function alignToSibling(group: Group, def: Def, pool: ExprPool): Member | null {
  const axes = def.axes.filter((axis) => axis.size > 1);
  if (axes.length !== group.rows.length) return null;
  const map = new Map<number, Expr>();
  for (const [i, row] of group.rows.entries()) {
    const axis = axes[i];
    if (axis === undefined || axis.size !== row.size) return null;
    map.set(axis.id, pool.intern(axisExpr(row)));
  }
  return place(group, def, { axes: map, inner: overOf(def) }, pool);
}

/** The first member of a group of its own. */
export function alignAlone(group: Group, def: Def, pool: ExprPool): Member | null {
  return place(group, def, { axes: new Map(), inner: overOf(def) }, pool);
}

export function overOf(def: Def): Axis[] {
  return def.kind === "reduce" ? def.over.filter((axis) => axis.size > 1) : [];
}

function alongLoad(group: Group, producer: Member, load: Load, def: Def, pool: ExprPool): Alignment | null {
  const met = meetRows(group, producer, load, def, pool);
  if (met === null) return null;
  const { axes, rest } = met;
  if (def.kind === "reduce") return rest.length > 0 ? null : { axes, inner: overOf(def) };
  return { axes, inner: rest };
}

/**
 * Each row axis of the producer's position is met by an axis of the definition, or by a digit of one: then the axis counts
 * through several rows. `rest` are the others that it has.
 */
export function meetRows(
  group: Group,
  producer: Member,
  load: Load,
  def: Def,
  pool: ExprPool,
): { readonly axes: ReadonlyMap<number, Expr>; readonly rest: readonly Axis[] } | null {
  const own = new Set(def.axes.map((axis) => axis.id));
  const rows = new Set(group.rows.map((row) => row.id));
  const met = new Map<Axis, { readonly digit: Digit; readonly row: Expr }[]>();
  for (const [d, position] of producer.position.entries()) {
    if (position.op !== "axis" || !rows.delete(position.axis.id)) continue;
    const digit = digitOf(load.index[d]);
    // An index of another range visits a part of the rows, or more than there are.
    if (digit === null || !own.has(digit.axis.id) || digit.count !== position.axis.size) return null;
    met.set(digit.axis, [...(met.get(digit.axis) ?? []), { digit, row: position }]);
  }
  if (rows.size > 0) return null;
  const axes = new Map<number, Expr>();
  for (const [axis, digits] of met) {
    const number = numberOf(axis, digits);
    if (number === null) return null;
    axes.set(axis.id, pool.intern(number));
  }
  return { axes, rest: def.axes.filter((axis) => axis.size > 1 && !axes.has(axis.id)) };
}

/** `axis / stride % count`: one digit of an axis that counts through several dimensions. */
interface Digit {
  readonly axis: Axis;
  readonly stride: number;
  readonly count: number;
}

function digitOf(index: Expr | undefined): Digit | null {
  if (index?.op === "axis") return { axis: index.axis, stride: 1, count: index.axis.size };
  if (index?.op !== "binary" || index.y.op !== "const" || (index.fn !== "div" && index.fn !== "rem")) return null;
  const by = index.y.value;
  const digit = digitOf(index.x);
  if (digit === null || digit.count % by !== 0) return null;
  if (index.fn === "rem") return { ...digit, count: by };
  return { ...digit, stride: digit.stride * by, count: digit.count / by };
}

/** The axis as a number whose digits are rows; null if some are missing. */
function numberOf(axis: Axis, digits: readonly { readonly digit: Digit; readonly row: Expr }[]): Expr | null {
  let number: Expr = constExpr(0);
  let stride = 1;
  for (const { digit, row } of [...digits].sort((a, b) => a.digit.stride - b.digit.stride)) {
    if (digit.stride !== stride) return null;
    number = binaryExpr("add", binaryExpr("mul", row, constExpr(stride)), number);
    stride *= digit.count;
  }
  return stride === axis.size ? number : null;
}

/** The definition's axes counted through the rows in row-major order. */
function asReshape(group: Group, def: Def, pool: ExprPool): Alignment | null {
  if (sizeOf(def.tensor.shape) !== group.rowCount) return null;
  let linear: Expr = constExpr(0);
  for (const row of group.rows) {
    linear = binaryExpr("add", binaryExpr("mul", linear, constExpr(row.size)), axisExpr(row));
  }
  const axes = new Map<number, Expr>();
  let stride = 1;
  for (const axis of def.axes.toReversed()) {
    const index = binaryExpr("rem", binaryExpr("div", linear, constExpr(stride)), constExpr(axis.size));
    if (axis.size > 1) axes.set(axis.id, pool.intern(index));
    stride *= axis.size;
  }
  return { axes, inner: overOf(def) };
}

export function place(group: Group, def: Def, { axes, inner }: Alignment, pool: ExprPool): Member | null {
  const shared = sharedInner(group, inner);
  const map = new Map(axes);
  inner.forEach((axis, i) => map.set(axis.id, pool.intern(axisExpr(shared[i] ?? axis))));
  const axis = (id: number): Expr | undefined => map.get(id);
  let legal = true;
  const body = pool.rewrite(def.body, {
    axis,
    load: (tensor, index) => {
      const producer = group.byTensor.get(tensor.id);
      if (!producer) return undefined;
      const value = valueAt(producer, index, pool);
      if (value === null) legal = false;
      return value ?? undefined;
    },
  });
  if (!legal) return null;
  const position = def.axes.map((own) => pool.rewrite(axisExpr(own), { axis }));
  const stage = 1 + stageBelow(group, body);
  const value: Expr =
    def.kind === "reduce" ? pool.intern({ op: "reduced", dtype: def.tensor.dtype, reduction: def.tensor.id }) : body;
  return { def, position, inner: shared, body, value, stage, once: false };
}

/** Loops of one extent within a row are one loop: its axes are shared. */
function sharedInner(group: Group, inner: readonly Axis[]): readonly Axis[] {
  const like = group.members.find(
    (member) => member.inner.length === inner.length && inner.every((axis, i) => axis.size === member.inner[i]?.size),
  );
  return like?.inner ?? inner;
}

/** What reading a member's tensor at `index` gives within the row, or null if that is not surely the same row. */
function valueAt(producer: Member, index: readonly Expr[], pool: ExprPool): Expr | null {
  const inner = new Set(producer.inner.map((axis) => axis.id));
  const at = new Map<number, Expr>();
  for (const [d, position] of producer.position.entries()) {
    const read = index[d];
    if (read === undefined) return null;
    if (producer.def.kind === "map" && position.op === "axis" && inner.has(position.axis.id)) {
      at.set(position.axis.id, read);
    } else if (pool.idOf(read) !== pool.idOf(position)) {
      return null;
    }
  }
  return at.size === 0 ? producer.value : pool.rewrite(producer.value, { axis: (id) => at.get(id) });
}

/** The last stage whose results the body reads; −1 if none. */
export function stageBelow(group: Group, body: Expr): number {
  let stage = -1;
  for (const node of nodesOf([body])) {
    if (node.op === "reduced") stage = Math.max(stage, group.byTensor.get(node.reduction)?.stage ?? 0);
  }
  return stage;
}

/** Whether the last dimension of the definition's tensor runs within the row, so that neighbours in a row are neighbours in memory. */
export function isContiguousInRow(member: Member): boolean {
  const inner = new Set(member.inner.map((axis) => axis.id));
  const last = member.position.findLast((_, d) => member.def.tensor.shape[d] !== 1);
  return last === undefined || (last.op === "axis" && inner.has(last.axis.id));
}

export function innerExtent(member: Member): number {
  return extentOf(member.inner);
}
