/** Every way in which threads may share a row gives what one thread would. */
import { describe, expect, it } from "vitest";
import { type AdapterProfile, baselineProfile } from "../executable.ts";
import type { Kernel } from "../fuse/kernel.ts";
import type { DType } from "../ir/dtype.ts";
import { axisExpr, type Expr, loadExpr, newAxis, newTensor, type Reducer, type Tensor } from "../lower/expr.ts";
import { candidateSchedules, generateKernel } from "./generate-kernel.ts";
import { executableOf, plainPlan, programOf, runExecutable, softwareDevice } from "./on-device.test-support.ts";
import { describeSchedule } from "./schedule.ts";

const device = softwareDevice();

interface Case {
  readonly reducer: Reducer;
  readonly dtype: DType;
  readonly element: (position: number) => number;
  readonly expected: (row: readonly number[]) => number;
}

const cases: readonly Case[] = [
  { reducer: "and", dtype: "bool", element: (n) => +(n % 61 !== 5), expected: (row) => Math.min(...row) },
  { reducer: "or", dtype: "bool", element: (n) => +(n % 61 === 5), expected: (row) => Math.max(...row) },
  {
    reducer: "max",
    dtype: "f32",
    element: (n) => (n === 80 ? Number.NaN : ((n * 7919) % 101) - 50),
    expected: (row) => Math.max(...row),
  },
  {
    reducer: "argmin",
    dtype: "f32",
    element: (n) => (n === 80 || n === 90 ? Number.NaN : (n * 7919) % 11),
    expected: (row) => {
      const nan = row.findIndex(Number.isNaN);
      return nan >= 0 ? nan : row.indexOf(Math.min(...row));
    },
  },
];

function reduction({ reducer, dtype }: Pick<Case, "reducer" | "dtype">, rows: number, length: number) {
  const [i, j] = [newAxis(rows), newAxis(length)];
  const x = newTensor(dtype, [rows, length]);
  const y = newTensor(reducer === "argmin" ? "i32" : dtype, [rows]);
  const value: Expr = { op: "reduced", dtype: y.dtype, reduction: 0 };
  const body = loadExpr(x, [axisExpr(i), axisExpr(j)]);
  const kernel: Kernel = {
    name: reducer,
    rows: [i],
    stages: [
      { kind: "reduce", axes: [j], reductions: [{ id: 0, reducer, body }] },
      { kind: "store", axes: [], once: false, stores: [{ tensor: y, index: [axisExpr(i)], value }] },
    ],
    reasons: [],
  };
  return { kernel, x, y };
}

describe("threads that share a row", () => {
  it.each(cases)("$reducer of $dtype", async (given) => {
    const [rows, length] = [5, 37];
    const { kernel, x, y } = reduction(given, rows, length);
    const { profile } = device();
    const program = programOf([kernel], [x], [y]);
    const plan = plainPlan(program, [kernel], profile);
    const assignment = (tensor: Tensor): number => plan.assignment.get(tensor.id) as number;
    const data = Array.from({ length: rows * length }, (_, n) => given.element(n));
    const want = Array.from({ length: rows }, (_, r) => given.expected(data.slice(r * length, (r + 1) * length)));
    const ways = candidateSchedules(kernel, { assignment, profile }).filter(
      ({ schedule }) => schedule.kind === "rows" && schedule.threadsPerRow > 1 && schedule.workgroupSize === 16,
    );
    expect(ways.length).toBeGreaterThan(2);
    const results: Record<string, readonly number[]> = {};
    for (const { schedule } of ways) {
      const generated = generateKernel(kernel, { assignment, profile, loops: [], schedule });
      const [result] = await runExecutable(device(), executableOf(generated, program, plan), [data]);
      results[describeSchedule(schedule)] = Array.from(result ?? []);
    }
    expect(results).toEqual(Object.fromEntries(Object.keys(results).map((way) => [way, want])));
  });
});

describe("on a GPU with subgroups", () => {
  const gpu: AdapterProfile = { ...baselineProfile, features: ["subgroups"], subgroupSize: 32 };
  const sourceOf = (rows: number, length: number, profile: AdapterProfile): string => {
    const { kernel } = reduction({ reducer: "max", dtype: "f32" }, rows, length);
    return generateKernel(kernel, { assignment: (tensor) => tensor.id, profile, loops: [] }).code.source;
  };
  const barriers = (source: string): number => source.split("workgroupBarrier").length - 1;

  it("rows up to four times a subgroup's share need no barrier", () => {
    expect(sourceOf(4096, 1024, gpu)).toContain("32 threads per row by subgroups, workgroups of 64");
    expect(barriers(sourceOf(4096, 1024, gpu))).toBe(0);
    expect(sourceOf(4096, 32, gpu)).toContain("4 threads per row by subgroups, workgroups of 64");
  });

  it("longer rows need one, and without subgroups a tree of them", () => {
    expect(barriers(sourceOf(4096, 4096, gpu))).toBe(1);
    expect(sourceOf(4096, 4096, baselineProfile)).toContain("half = half >> 1u");
    expect(sourceOf(4096, 4096, baselineProfile)).not.toContain("subgroup");
  });
});
