/**
 * Products that another kernel reads back element by element, along its rows and its loop: the scores of attention. Computed
 * where they are read they need no memory, however long the loop is; what that costs is computing them again in each walk
 * along the loop that reads them, and for each tile of columns.
 */
import type { AdapterProfile } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Axis, Expr, Tensor } from "../lower/expr.ts";
import { axesIn, type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { extentOf } from "./cost.ts";
import { countText } from "./count-text.ts";
import type { Group, InPlace, Member } from "./group.ts";
import type { InnerSum } from "./kernel.ts";

/** A software adapter computes scores in the time of many reads: it keeps them up to this many bytes. */
export const mostScores = 2 ** 28;

/** A workgroup of a GPU has so many columns at most: beyond, scores are computed again for others. */
const mostColumns = 128;

export type Streaming = { readonly inPlace: InPlace; readonly reason: string } | { readonly refusal: string };

/** How `group`, which has columns, would compute what `product` gives it as `read`; nothing else reads that. */
export function streamScores(
  group: Group,
  product: Group,
  read: Tensor,
  profile: Pick<AdapterProfile, "class" | "limits">,
  pool: ExprPool,
): Streaming {
  const indices = group.members.flatMap(({ body }) =>
    loadsOf([body]).flatMap((load) => (load.tensor === read ? [load.index] : [])),
  );
  const [index] = indices;
  if (!index || indices.some((other) => pool.keyOf(other) !== pool.keyOf(index))) {
    return { refusal: "it reads the product in several ways" };
  }
  const score = scoreAt(product, read, index, pool);
  if (score === null) return { refusal: "what it reads is no product, or not in its order" };
  const used = axesIn([score.sum.body]);
  if (group.columns.some(({ id }) => used.has(id))) return { refusal: "it belongs to the columns' factor" };
  const loop = group.members.find(({ inner }) => inner.length > 0)?.inner ?? [];
  if (!splits(score.sum.body, loop, group.rows, batchOf(group))) {
    return { refusal: "neither factor stays along the loop" };
  }
  const bytes = 4 * sizeOf(read.shape);
  const flops = 2 * extentOf(product.rows) * extentOf(score.sum.axes);
  const facts = `${countText(bytes)} bytes of scores, or ${countText(flops)} FLOPs again for each walk along them`;
  if (profile.class === "cpu" && bytes <= Math.min(mostScores, profile.limits.maxStorageBufferBindingSize)) {
    return { refusal: `memory is cheaper on a software adapter: ${facts}` };
  }
  if (profile.class === "gpu" && extentOf(group.columns) > mostColumns && bytes <= mostScores) {
    return { refusal: `more than ${mostColumns} columns would need them several times: ${facts}` };
  }
  return {
    inPlace: { ...score, read, from: product },
    reason: `the product ${read.shape.join("×")} is computed along the loop and never stored: ${facts}`,
  };
}

/** The element of a product's kernel at `index` of what it stores: its sum, and what is made of that. */
export function scoreAt(
  product: Group,
  read: Tensor,
  index: readonly Expr[],
  pool: ExprPool,
): { readonly sum: InnerSum; readonly value: Expr } | null {
  const [sum, ...others] = product.members.filter(({ def }) => def.kind === "reduce");
  const member = product.byTensor.get(read.id);
  if (!product.contraction || product.columns.length > 0 || !sum || !member || others.length > 0) return null;
  const at = placesOf(member, index);
  if (at === null || product.rows.some((row) => !at.has(row.id))) return null;
  const axis = (id: number): Expr | undefined => at.get(id);
  return {
    sum: { id: sum.def.tensor.id, axes: sum.inner, body: pool.rewrite(sum.body, { axis }) },
    value: pool.rewrite(member.value, { axis }),
  };
}

/** What the axes of a member's position are where its tensor is read at `index`; null if that is no plain place. */
export function placesOf({ position }: Member, index: readonly Expr[]): ReadonlyMap<number, Expr> | null {
  const at = new Map<number, Expr>();
  for (const [d, own] of position.entries()) {
    const place = index[d];
    if (own.op === "axis" && place) at.set(own.axis.id, place);
    else if (own.op !== "const") return null;
  }
  return at;
}

/** Whether one factor is the same along the loop, and the other for all rows but the batch. */
export function splits(body: Expr, loop: readonly Axis[], rows: readonly Axis[], batch: ReadonlySet<number>): boolean {
  if (body.op !== "binary" || body.fn !== "mul" || body.dtype !== "f32") return false;
  const uses = (e: Expr, axes: readonly Axis[]): boolean => {
    const used = axesIn([e]);
    return axes.some(({ id }) => used.has(id));
  };
  const [fixed, moving] = uses(body.x, loop) ? [body.y, body.x] : [body.x, body.y];
  if (uses(fixed, loop)) return false;
  return !uses(
    moving,
    rows.filter(({ id }) => !batch.has(id)),
  );
}

/** Rows on which the columns' factors depend. */
function batchOf(group: Group): ReadonlySet<number> {
  const factors = group.members.flatMap(({ body }) =>
    body.op === "binary" && body.fn === "mul" ? [body.x, body.y] : [],
  );
  const columns = new Set(group.columns.map(({ id }) => id));
  const used = axesIn(factors.filter((e) => [...axesIn([e])].some((id) => columns.has(id))));
  return new Set([...used].filter((id) => !columns.has(id)));
}
