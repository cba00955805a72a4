/** How near a run came to the adapter's limits and to JAX, in a few lines: what a table of many rows says about hardware. */
import type { RowResult } from "./bench-row.ts";
import { boundByBytes, type Floor, floorOf } from "./floor.ts";
import type { JaxRun } from "./jax.ts";
import { type Clock, ratioOf, spreadOf } from "./measure.ts";
import { number } from "./report.ts";

/** Rows that move less are about dispatches, not about memory. */
const fewestBytes = 4 * 2 ** 20;

export function limitLines(
  results: readonly RowResult[],
  floor: Floor | null,
  jax: JaxRun | null,
  clock: Clock,
): string[] {
  const own = results.flatMap(({ row, entries, bare }) => {
    const entry = entries.find(({ library }) => library === "fax");
    if (entry === undefined) return [];
    const ms = spreadOf(entry.samples.map((sample) => sample[clock])).median;
    return [{ row, ms, byHand: bare && ratioOf(bare, entry.samples, clock) }];
  });
  const lines: string[] = [];
  if (floor !== null) {
    const moved = own.filter(
      ({ row }) => row.mode === "call" && row.bytes >= fewestBytes && boundByBytes(row, floor, clock),
    );
    for (const { row, ms } of moved) {
      lines.push(`${row.name}: ${percent(floorOf(row, floor, clock) / ms)} of the copy's bandwidth`);
    }
    for (const { row, ms, byHand } of own) {
      if (row.product === undefined || byHand === null) continue;
      lines.push(`${row.name}: ${number(row.flops / ms / 1e6)} GFLOP/s, ${percent(byHand)} of the best by hand`);
    }
  }
  for (const { row, ms } of own) {
    const theirs = jax?.rows.get(row.name);
    if (theirs !== undefined)
      lines.push(`${row.name}: JAX takes ${number(theirs / ms)}× as long (${number(theirs)} ms)`);
  }
  return lines;
}

function percent(share: number): string {
  return `${number(100 * share)} %`;
}
