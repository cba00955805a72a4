/**
 * Products that follow reductions of their own rows: attention's `Σ_k softmax(s)_qk · v_kd` has the rows q of the softmax
 * and further ones, d. In one kernel with it, which then has columns, the softmax is never stored.
 */
import type { Axis, Expr } from "../lower/expr.ts";
import { axesIn, type ExprPool, loadsOf, nodesOf } from "../lower/expr-pool.ts";
import { costOf, extentOf, minParallelRows, roundTripCost } from "./cost.ts";
import type { ReduceDef } from "./definition.ts";
import { factorOut } from "./factor-out.ts";
import type { Group, Member } from "./group.ts";
import { innerExtent, meetRows, overOf, place, stageBelow } from "./legality.ts";

/** A schedule computes a row's factor about once for so many columns. */
const columnsAtOnce = 64;

/** Sums of few rows run in parallel along the rows: up to this many elements they need not. */
const mostOfFewRows = 1024;

export type Widening =
  | { readonly member: Member; readonly columns: readonly Axis[]; readonly reason: string }
  | { readonly refusal: string };

/**
 * How a sum over products joins a group of rows that it reads from. `stored`: whether anything but `def` wants a tensor of
 * the group in memory.
 */
export function widen(group: Group, def: ReduceDef, stored: (tensor: number) => boolean, pool: ExprPool): Widening {
  if (group.contraction) return { refusal: "a product's results lie in tiles of several threads" };
  const aligned = def.reducer === "sum" ? align(group, def, pool) : null;
  if (aligned === null) return { refusal: "it reads more than its own row" };
  const { placed, columns } = aligned;
  const kept = group.members.find((member) => stored(member.def.tensor.id));
  if (kept) return { refusal: `${kept.def.labels.at(-1) ?? "a value"} of the rows is wanted in memory as well` };
  if (!group.members.every((member) => runsAlong(member, placed.inner))) {
    return { refusal: "the kernel has loops of other lengths" };
  }
  if (group.rowCount < minParallelRows && innerExtent(placed) > mostOfFewRows) {
    return { refusal: `${group.rowCount} rows of ${innerExtent(placed)} elements leave most of a device idle` };
  }
  const factors = factorsOf(placed.body, columns);
  if (factors === null) return { refusal: "none of two factors is the same for all columns" };
  const again = Math.ceil(extentOf(columns) / columnsAtOnce) - 1;
  const cost = costOf([factors.left]);
  if (again * cost > roundTripCost) {
    return {
      refusal: `recomputing its factor ${again} times (${cost} operations an element) is dearer than memory`,
    };
  }
  const { inner, outer } = factorOut(placed.body, (part) => mayLeave(part, group));
  const body = pool.intern(inner);
  const stage = 1 + stageBelow(group, body);
  const value = pool.intern(outer(placed.value));
  const moved = value === placed.value ? "" : ", whose divisor follows the sum";
  return {
    member: { ...placed, body, value, stage },
    columns,
    reason: `its factor of ${extentOf(group.rows) * extentOf(placed.inner)} elements${moved} is computed in place and never stored`,
  };
}

function align(group: Group, def: ReduceDef, pool: ExprPool): { placed: Member; columns: readonly Axis[] } | null {
  for (const load of loadsOf([def.body])) {
    const producer = group.byTensor.get(load.tensor.id);
    const met = producer && meetRows(group, producer, load, def, pool);
    if (!met || met.rest.length === 0) continue;
    const placed = place(group, def, { axes: met.axes, inner: overOf(def) }, pool);
    if (placed) return { placed, columns: met.rest };
  }
  return null;
}

/** Whether a member's loop, if it has one, is the product's. */
function runsAlong(member: Member, inner: readonly Axis[]): boolean {
  return !member.once && (member.inner.length === 0 || member.inner === inner);
}

/** The factor that is the same for all columns, and the other, which knows nothing of the rows' reductions. */
export function factorsOf(body: Expr, columns: readonly Axis[]): { readonly left: Expr; readonly right: Expr } | null {
  if (body.op !== "binary" || body.fn !== "mul" || body.dtype !== "f32") return null;
  const varies = (e: Expr): boolean => {
    const used = axesIn([e]);
    return columns.some((axis) => used.has(axis.id));
  };
  const [left, right] = varies(body.x) ? [body.y, body.x] : [body.x, body.y];
  if (varies(left) || nodesOf([right]).some((node) => node.op === "reduced")) return null;
  return { left, right };
}

/** Finite constants, and sums of exponentials: these are positive or NaN. */
function mayLeave(part: Expr, group: Group): boolean {
  if (part.op === "const") return Number.isFinite(part.value) && part.value !== 0 && part.dtype !== "i32";
  if (part.op !== "reduced") return false;
  const member = group.byTensor.get(part.reduction);
  return (
    member?.def.kind === "reduce" &&
    member.def.reducer === "sum" &&
    member.body.op === "unary" &&
    member.body.fn === "exp"
  );
}
