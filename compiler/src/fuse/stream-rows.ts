/**
 * Rows between products: attention's gradient makes of scores, by reductions of their rows, what three products then read.
 * Where those arrays do not fit, the kernel of the rows stores what it reduces alone, and each of the products computes the
 * elements that it reads from that and from the scores, which it computes as well.
 */
import { sizeOf } from "../ir/shape.ts";
import { type Axis, type Expr, loadExpr, type Tensor } from "../lower/expr.ts";
import { axesIn, type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import type { Group, InPlace, Member } from "./group.ts";
import type { InnerSum } from "./kernel.ts";
import { placesOf, scoreAt, splits } from "./stream-scores.ts";

export interface Score {
  readonly product: Group;
  readonly read: Tensor;
}

/** A product that no longer reads elements of the rows. */
export interface StreamedReader {
  readonly group: Group;
  readonly body: Expr;
  readonly columns: readonly Axis[];
  readonly inner: readonly InnerSum[];
}

export interface StreamedRows {
  readonly scores: readonly InPlace[];
  readonly readers: readonly StreamedReader[];
  /** Reductions that the readers read, by tensor. */
  readonly reduced: readonly Tensor[];
}

/** Bytes that the elements and the scores take in memory, the largest alone and all of them. */
export function bytesOf(elements: readonly Member[], scores: readonly Score[]): { largest: number; all: number } {
  const bytes = [...elements.map(({ def }) => def.tensor), ...scores.map(({ read }) => read)].map(
    ({ shape }) => 4 * sizeOf(shape),
  );
  return { largest: Math.max(...bytes), all: bytes.reduce((sum, size) => sum + size, 0) };
}

/** Null if some of it cannot be computed where it is read. */
export function streamRows(
  rows: Group,
  elements: readonly Member[],
  scores: readonly Score[],
  readers: readonly Group[],
  pool: ExprPool,
): StreamedRows | null {
  const placed = scores.map(({ product, read }): InPlace | null => {
    const indices = rows.members.flatMap(({ body }) => indicesOf(body, read));
    const [index] = indices;
    if (!index || indices.some((other) => pool.keyOf(other) !== pool.keyOf(index))) return null;
    const score = scoreAt(product, read, index, pool);
    return score && { ...score, read, from: product };
  });
  const inRows = placed.filter((place) => place !== null);
  const loop = rows.members.find(({ inner }) => inner.length > 0)?.inner ?? [];
  if (
    inRows.length < placed.length ||
    !areLegal(
      inRows.map(({ sum }) => sum),
      loop,
      rows.rows,
      new Set(),
    )
  )
    return null;
  const reduced = new Map<number, Tensor>();
  const streamed: StreamedReader[] = [];
  for (const group of readers) {
    const reader = streamReader(group, rows, elements, scores, reduced, pool);
    if (reader === null) return null;
    streamed.push(reader);
  }
  return { scores: inRows, readers: streamed, reduced: [...reduced.values()] };
}

function streamReader(
  group: Group,
  rows: Group,
  elements: readonly Member[],
  scores: readonly Score[],
  reduced: Map<number, Tensor>,
  pool: ExprPool,
): StreamedReader | null {
  const [product, ...others] = group.members.filter(({ def }) => def.kind === "reduce");
  if (!product || others.length > 0 || group.columns.length > 0) return null;
  const { body } = product;
  if (body.op !== "binary" || body.fn !== "mul" || body.dtype !== "f32") return null;
  const reads = (e: Expr): boolean => elements.some(({ def }) => indicesOf(e, def.tensor).length > 0);
  if (reads(body.x) === reads(body.y)) return null;
  const [left, right] = reads(body.x) ? [body.x, body.y] : [body.y, body.x];
  const [inLeft, inRight] = [axesIn([left]), axesIn([right])];
  const columns = group.rows.filter(({ id }) => inRight.has(id) && !inLeft.has(id));
  if (columns.length === 0) return null;

  let legal = true;
  const atElement = pool.rewrite(left, {
    load: (tensor, index) => {
      const element = elements.find(({ def }) => def.tensor === tensor);
      if (!element) return undefined;
      const at = placesOf(element, index);
      if (at === null) legal = false;
      const axis = (id: number): Expr | undefined => at?.get(id);
      return pool.rewrite(element.value, {
        axis,
        reduced: (id) => {
          const source = rows.byTensor.get(id);
          if (!source) return undefined;
          reduced.set(id, source.def.tensor);
          const place = source.position.map((position) => pool.rewrite(position, { axis }));
          return pool.intern(loadExpr(source.def.tensor, place));
        },
      });
    },
  });
  const inner: InnerSum[] = [];
  let streamed = atElement;
  for (const { product: from, read } of scores) {
    const indices = indicesOf(streamed, read);
    const [index] = indices;
    if (!index) continue;
    const score = scoreAt(from, read, index, pool);
    if (!score || indices.some((other) => pool.keyOf(other) !== pool.keyOf(index))) return null;
    inner.push(score.sum);
    streamed = pool.rewrite(streamed, { load: (tensor) => (tensor === read ? score.value : undefined) });
  }
  const outer = group.rows.filter((axis) => !columns.includes(axis));
  if (!legal || !areLegal(inner, product.inner, outer, inRight)) return null;
  return { group, body: pool.intern({ ...body, x: streamed, y: right }), columns, inner };
}

function indicesOf(e: Expr, tensor: Tensor): (readonly Expr[])[] {
  return loadsOf([e]).flatMap((load) => (load.tensor === tensor ? [load.index] : []));
}

/** Whether some rows are left along which one factor of each sum stays as it is. */
function areLegal(
  inner: readonly InnerSum[],
  loop: readonly Axis[],
  rows: readonly Axis[],
  inRights: ReadonlySet<number>,
): boolean {
  const along = new Set(loop.map(({ id }) => id));
  const moving = inner.flatMap(({ body }) =>
    body.op === "binary" ? [body.x, body.y].filter((e) => [...axesIn([e])].some((id) => along.has(id))) : [],
  );
  const batch = new Set([...axesIn(moving), ...inRights]);
  return rows.some(({ id }) => !batch.has(id)) && inner.every(({ body }) => splits(body, loop, rows, batch));
}
