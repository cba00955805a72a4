import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { RowResult } from "./bench-row.ts";
import type { Floor } from "./floor.ts";
import { type JaxRun, jaxRun } from "./jax.ts";
import { limitLines } from "./limits.ts";
import { arrayRows } from "./rows/arrays.ts";

const floor: Floor = {
  copy: { wall: 1e6, cpu: 5e5 },
  matmul: [{ element: "f32", size: 512, rate: { wall: 1e7, cpu: 5e6 }, variant: null }],
};

/** A row of which fax took twice as long as the floor is. */
function result(name: string, ms: number, byHand: number | null = null): RowResult {
  const row = arrayRows(false, "cpu").find((known) => known.name === name);
  if (row === undefined) throw new Error(`no row ${name}`);
  const samples = [{ wall: ms, cpu: ms }];
  const entries = [{ library: "fax", samples, kernels: 1, firstMs: 0 } as const];
  return {
    row,
    entries,
    absent: {},
    peakBytes: null,
    bare: byHand === null ? null : [{ wall: byHand, cpu: byHand }],
    checked: "",
  };
}

it("tells the share of the copy, of the best product by hand, and how JAX compares", () => {
  const sum = result("sum of 4 M", (2 * 4 * 4 * 2 ** 20) / 1e6);
  const ms = (2 * 512 ** 3) / 8e6;
  const product = result("matmul 512 f32", ms, 0.8 * ms);
  const jax: JaxRun = { version: "1", device: "cpu", rows: new Map([["sum of 4 M", 67.1]]) };
  expect(limitLines([sum, product], floor, jax, "wall")).toEqual([
    "sum of 4 M: 50 % of the copy's bandwidth",
    "matmul 512 f32: 8 GFLOP/s, 80 % of the best by hand",
    "sum of 4 M: JAX takes 2× as long (67.1 ms)",
  ]);
});

it("reads what jax_rows.py wrote, and says why there is nothing", () => {
  const folder = mkdtempSync(join(tmpdir(), "fax-jax-"));
  const options = { quick: true, only: [], budget: 1 };
  try {
    const source = join(folder, "jax.json");
    expect(jaxRun({ ...options, source })).toBe(`${source} is not there`);
    writeFileSync(source, JSON.stringify({ jax: "0.4", device: "H200", rows: { a: { median: 2, low: 1, high: 3 } } }));
    expect(jaxRun({ ...options, source })).toEqual({ version: "0.4", device: "H200", rows: new Map([["a", 2]]) });
    expect(jaxRun({ ...options, source: join(folder, "python") })).toBe(`${join(folder, "python")} is not installed`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
