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
import type { Group, InPlace } from "./group.ts";

/** A software adapter computes scores in the time of many reads: it keeps them up to this many bytes. */
const mostScores = 2 ** 28;

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
  const [sum, ...others] = product.members.filter(({ def }) => def.kind === "reduce");
  const member = product.byTensor.get(read.id);
  if (!product.contraction || product.columns.length > 0 || !sum || !member || others.length > 0) {
    return { refusal: "what it reads is no product" };
  }
  const indices = group.members.flatMap(({ body }) =>
    loadsOf([body]).flatMap((load) => (load.tensor === read ? [load.index] : [])),
  );
  const [index] = indices;
  if (!index || indices.some((other) => pool.keyOf(other) !== pool.keyOf(index))) {
    return { refusal: "it reads the product in several ways" };
  }
  const at = new Map<number, Expr>();
  for (const [d, position] of member.position.entries()) {
    const place = index[d];
    if (position.op === "axis" && place) at.set(position.axis.id, place);
    else if (position.op !== "const") return { refusal: "it reads the product in another order" };
  }
  if (product.rows.some((row) => !at.has(row.id))) return { refusal: "it reads a part of the product" };
  const axis = (id: number): Expr | undefined => at.get(id);
  const body = pool.rewrite(sum.body, { axis });
  const loop = group.members.find(({ inner }) => inner.length > 0)?.inner ?? [];
  if (!splits(body, loop, group)) return { refusal: "neither factor stays along the loop" };
  const bytes = 4 * sizeOf(read.shape);
  const flops = 2 * extentOf(product.rows) * extentOf(sum.inner);
  const facts = `${count(bytes)} bytes of scores, or ${count(flops)} FLOPs again for each walk along them`;
  if (profile.class === "cpu" && bytes <= Math.min(mostScores, profile.limits.maxStorageBufferBindingSize)) {
    return { refusal: `memory is cheaper on a software adapter: ${facts}` };
  }
  if (profile.class === "gpu" && extentOf(group.columns) > mostColumns && bytes <= mostScores) {
    return { refusal: `more than ${mostColumns} columns would need them several times: ${facts}` };
  }
  return {
    inPlace: {
      sum: { id: sum.def.tensor.id, axes: sum.inner, body },
      read,
      value: pool.rewrite(member.value, { axis }),
      from: product,
    },
    reason: `${sum.def.labels.at(-1) ?? "the product"} is computed along the loop and never stored: ${facts}`,
  };
}

/** Whether one factor is the same along the loop, and the other for all rows on which no columns' factor depends. */
function splits(body: Expr, loop: readonly Axis[], group: Group): boolean {
  if (body.op !== "binary" || body.fn !== "mul" || body.dtype !== "f32") return false;
  const uses = (e: Expr, axes: readonly Axis[]): boolean => {
    const used = axesIn([e]);
    return axes.some(({ id }) => used.has(id));
  };
  const [fixed, moving] = uses(body.x, loop) ? [body.y, body.x] : [body.x, body.y];
  if (uses(fixed, loop) || uses(body, group.columns)) return false;
  const shared = rightAxes(group);
  return !uses(
    moving,
    group.rows.filter(({ id }) => !shared.has(id)),
  );
}

/** Axes on which the columns' factors depend. */
function rightAxes(group: Group): ReadonlySet<number> {
  const factors = group.members.flatMap(({ body }) =>
    body.op === "binary" && body.fn === "mul" ? [body.x, body.y] : [],
  );
  const columns = new Set(group.columns.map(({ id }) => id));
  const rights = factors.filter((e) => [...axesIn([e])].some((id) => columns.has(id)));
  return axesIn(rights);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
