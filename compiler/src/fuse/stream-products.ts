/**
 * When every definition of a level has its kernel: products that other kernels read may be computed there, and what they give
 * is never stored. How, is said by `streamScores` and `streamRows`; here it is decided whether nothing else reads it and the
 * kernels may bind what they read then, and the level is changed.
 */
import type { AdapterProfile } from "../executable.ts";
import type { Expr, Tensor } from "../lower/expr.ts";
import { type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { typeText } from "../lower/print-expr.ts";
import { bytesText } from "./count-text.ts";
import type { DefUse } from "./def-use.ts";
import { Group, type Member, type ScheduledLoop } from "./group.ts";
import { bytesOf, type Score, streamRows, type StreamedRows } from "./stream-rows.ts";
import { mostScores, streamScores } from "./stream-scores.ts";

export interface StreamingLevel {
  /** A kernel whose product is computed elsewhere leaves it. */
  readonly scheduled: (Group | ScheduledLoop)[];
  readonly uses: DefUse;
  readonly maxBindings: number;
  readonly adapter: Pick<AdapterProfile, "class" | "limits">;
  readonly pool: ExprPool;
}

export function streamProducts(level: StreamingLevel): void {
  for (const group of groupsOf(level)) if (group.columns.length > 0) streamAlongColumns(group, level);
  for (const group of groupsOf(level)) if (!group.contraction && group.reduces) streamAroundRows(group, level);
}

/** As they are now. */
function groupsOf({ scheduled }: StreamingLevel): Group[] {
  return scheduled.filter((item) => item instanceof Group);
}

/** Products that a kernel with columns reads along its loop. */
function streamAlongColumns(group: Group, level: StreamingLevel): void {
  const { uses, adapter, pool } = level;
  for (const product of group.dependencies) {
    const read = product instanceof Group ? uses.onlyRead(product, group) : null;
    if (!(product instanceof Group) || read === null) continue;
    const streaming = streamScores(group, product, read, adapter, pool);
    const refusal = "refusal" in streaming ? streaming.refusal : refuseInPlace(group, product, read, level);
    if ("refusal" in streaming || refusal !== null) {
      group.reasons.push(`reads ${typeText(read)} from memory: ${refusal ?? ""}`);
      continue;
    }
    group.computeInPlace(streaming.inPlace, pool);
    group.reasons.push(...product.reasons, streaming.reason);
    leave(level, product);
  }
}

function refuseInPlace(group: Group, from: Group, read: Tensor, { uses, maxBindings }: StreamingLevel): string | null {
  const bound = new Set([...uses.boundBy(group), ...from.loaded().keys()]);
  bound.delete(read.id);
  return bound.size > maxBindings ? `it would bind ${bound.size} buffers, ${maxBindings} are allowed` : null;
}

/** Rows that stand between products need no memory for their elements. */
function streamAroundRows(rows: Group, level: StreamingLevel): void {
  const { uses, adapter, pool } = level;
  const elements = rows.members.filter(
    ({ def, inner }) => def.kind === "map" && inner.length > 0 && uses.isStored(def.tensor.id, rows.byTensor),
  );
  const readers = uses.productsThatRead(elements);
  const scores = [...rows.dependencies].flatMap((product): Score[] => {
    const read = product instanceof Group && product.contraction ? uses.onlyRead(product, rows) : null;
    return product instanceof Group && read ? [{ product, read }] : [];
  });
  if (readers === null || scores.length === 0 || rows.members.some(({ once }) => once)) return;
  const { largest, all } = bytesOf(elements, scores);
  if (all <= mostScores && largest <= adapter.limits.maxStorageBufferBindingSize) return;
  const streamed = streamRows(rows, elements, scores, readers, pool);
  if (streamed !== null && bindsFewEnough(rows, streamed, level)) applyStreamed(rows, elements, streamed, all, level);
}

function bindsFewEnough(
  rows: Group,
  { scores, readers, reduced }: StreamedRows,
  { uses, maxBindings }: StreamingLevel,
): boolean {
  const read = (bodies: readonly Expr[]): number[] => loadsOf(bodies).map(({ tensor }) => tensor.id);
  const ofRows = new Set([...rows.loaded().keys(), ...read(scores.map(({ sum }) => sum.body))]);
  if (ofRows.size + reduced.length > maxBindings) return false;
  return readers.every(({ group, body, inner }) => {
    const bound = new Set([...uses.boundBy(group), ...read([body, ...inner.map((sum) => sum.body)])]);
    return bound.size <= maxBindings;
  });
}

function applyStreamed(
  rows: Group,
  elements: readonly Member[],
  { scores, readers, reduced }: StreamedRows,
  bytes: number,
  level: StreamingLevel,
): void {
  const { uses, pool } = level;
  const why = `its factor is computed from what the rows reduce: no ${bytesText(bytes)} for scores and what is made of them`;
  for (const { group, body, columns, inner } of readers) {
    group.stream(body, columns, inner);
    group.reasons.push(why);
    for (const { from } of scores) for (const dependency of from.dependencies) group.dependencies.add(dependency);
    const [product] = group.members;
    if (product) for (const { id } of reduced) uses.addReader(id, product.def.tensor.id);
  }
  rows.drop(elements);
  for (const { def } of elements) uses.removeReader(def.tensor.id);
  for (const score of scores) {
    rows.computeInPlace(score, pool);
    leave(level, score.from);
  }
  rows.reasons.push("stores what it reduces alone: the products that read its elements compute them");
}

function leave({ scheduled }: StreamingLevel, product: Group): void {
  scheduled.splice(scheduled.indexOf(product), 1);
}
