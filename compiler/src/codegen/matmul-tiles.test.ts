/** Tiles of products, however they are loaded, at sizes that they do not divide. */
import { describe, expect, it } from "vitest";
import type { AdapterProfile } from "../executable.ts";
import { evaluateFused } from "../fuse/evaluate-kernels.test-support.ts";
import type { Kernel } from "../fuse/kernel.ts";
import { sizeOf } from "../ir/shape.ts";
import {
  axisExpr,
  binaryExpr,
  constExpr,
  type Expr,
  loadExpr,
  newAxis,
  newTensor,
  selectExpr,
  type Tensor,
} from "../lower/expr.ts";
import { candidateSchedules, generateKernel } from "./generate-kernel.ts";
import { executableOf, plainPlan, programOf, runExecutable, softwareDevice } from "./on-device.test-support.ts";
import { describeSchedule, type Schedule } from "./schedule.ts";

const device = softwareDevice();

interface Layout {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether the factors' dimensions are the other way round in memory. */
  readonly leftTransposed: boolean;
  readonly rightTransposed: boolean;
}

/** The products of a batch of two, plus what their buffer held before. */
function product({ m, n, k, leftTransposed, rightTransposed }: Layout): { kernel: Kernel; inputs: Tensor[] } {
  const [b, i, j, inner] = [newAxis(2), newAxis(m), newAxis(n), newAxis(k)];
  const over = (...axes: readonly (typeof b)[]): { tensor: Tensor; at: Expr[] } => ({
    tensor: newTensor(
      "f32",
      axes.map(({ size }) => size),
    ),
    at: axes.map(axisExpr),
  });
  const left = leftTransposed ? over(b, inner, i) : over(b, i, inner);
  const right = rightTransposed ? over(b, j, inner) : over(b, inner, j);
  const sum = over(b, i, j);
  const body = binaryExpr("mul", loadExpr(left.tensor, left.at), loadExpr(right.tensor, right.at));
  const value = binaryExpr("add", { op: "reduced", dtype: "f32", reduction: 0 }, loadExpr(sum.tensor, sum.at));
  const kernel: Kernel = {
    name: "product",
    rows: [b, i, j],
    stages: [
      { kind: "reduce", axes: [inner], reductions: [{ id: 0, reducer: "sum", body }] },
      { kind: "store", axes: [], once: false, stores: [{ tensor: newTensor("f32", [2, m, n]), index: sum.at, value }] },
    ],
    reasons: [],
  };
  return { kernel, inputs: [left.tensor, right.tensor, sum.tensor] };
}

const layouts: readonly Layout[] = [
  { m: 20, n: 36, k: 12, leftTransposed: false, rightTransposed: false },
  { m: 20, n: 36, k: 12, leftTransposed: true, rightTransposed: false },
  { m: 20, n: 36, k: 12, leftTransposed: false, rightTransposed: true },
  { m: 20, n: 36, k: 12, leftTransposed: true, rightTransposed: true },
  { m: 7, n: 11, k: 5, leftTransposed: false, rightTransposed: false },
  { m: 1, n: 36, k: 12, leftTransposed: false, rightTransposed: true },
  { m: 22, n: 3, k: 12, leftTransposed: false, rightTransposed: false },
];

/** What makes kernels of another form. */
function formOf(schedule: Schedule): string | null {
  if (schedule.kind === "matmul-registers") {
    const { swapped, threadsPerTile, rowLanes, columnLanes, firstAlongK, secondAlongK } = schedule;
    return `${swapped} ${threadsPerTile} ${rowLanes} ${columnLanes} ${firstAlongK} ${secondAlongK}`;
  }
  return schedule.kind === "matmul-workgroup" ? `${schedule.columnLanes}` : null;
}

/** Results of a thread, or of a workgroup. */
function sizeOfTile(schedule: Schedule): number {
  if (schedule.kind === "matmul-registers") return schedule.rowTile * schedule.columnTile;
  return schedule.kind === "matmul-workgroup" ? schedule.tileM * schedule.tileN : 0;
}

describe.each(["cpu", "gpu"] as const)("products by tiles, on adapters of class %s", (adapter) => {
  it.each(layouts)("%o", async (layout) => {
    const { kernel, inputs } = product(layout);
    const store = kernel.stages.at(-1);
    const output = store?.kind === "store" ? store.stores[0]?.tensor : undefined;
    if (!output) throw new Error("the product is stored");
    const profile: AdapterProfile = { ...device().profile, class: adapter };
    const program = programOf([kernel], inputs, [output]);
    // The result takes the place of what is added to it: a tile that were stored twice would add twice.
    const plan = plainPlan(program, [kernel], profile, new Map([[inputs[2] as Tensor, output]]));
    const assignment = (tensor: Tensor): number => plan.assignment.get(tensor.id) as number;
    const data = inputs.map(({ shape }, t) =>
      Array.from({ length: sizeOf(shape) }, (_, i) => (((i + t) * 7919) % 61) / 8 - 4),
    );
    const [expected] = evaluateFused(program, data);
    const buffers = plan.buffers.map((spec, i) =>
      i === assignment(output) ? { ...spec, role: "input" as const, donated: true } : spec,
    );
    // Of each form, the largest of the tiles that compile fast.
    const schedules = new Map<string, Schedule>();
    for (const { schedule } of candidateSchedules(kernel, { assignment, profile })) {
      const form = formOf(schedule);
      if (form === null || sizeOfTile(schedule) > (adapter === "gpu" ? 1024 : 16)) continue;
      const known = schedules.get(form);
      if (!known || sizeOfTile(known) < sizeOfTile(schedule)) schedules.set(form, schedule);
    }
    const shares = [...schedules.values()].some((s) => s.kind === "matmul-registers" && s.threadsPerTile > 1);
    expect(shares).toBe(adapter === "cpu");
    for (const schedule of schedules.values()) {
      const generated = generateKernel(kernel, { assignment, profile, loops: [], schedule });
      const executable = executableOf(generated, program, { ...plan, buffers });
      const [result] = await runExecutable(device(), executable, data);
      const apart = (expected ?? []).map((want, i) => Math.abs(want - (result?.[i] ?? NaN)));
      expect(Math.max(...apart), `${describeSchedule(schedule)}\n${generated.code.source}`).toBeLessThan(1e-3);
    }
  });
});

/** Neighbouring results may come from different sides: what is loaded on one of them is loaded for each by itself. */
it.each(["cpu", "gpu"] as const)(
  "a mask chooses products or what is in memory, by any schedule (%s)",
  async (adapter) => {
    const [i, j, inner] = [newAxis(40), newAxis(64), newAxis(12)];
    const over = (...axes: readonly (typeof i)[]): Expr =>
      loadExpr(
        newTensor(
          "f32",
          axes.map(({ size }) => size),
        ),
        axes.map(axisExpr),
      );
    const [left, right, mask, other] = [over(i, inner), over(inner, j), over(i, j), over(i, j)] as const;
    const output = newTensor("f32", [i.size, j.size]);
    const isChosen = binaryExpr("gt", mask, constExpr(0, "f32"));
    const value = selectExpr(isChosen, { op: "reduced", dtype: "f32", reduction: 0 }, other);
    const kernel: Kernel = {
      name: "masked_product",
      rows: [i, j],
      stages: [
        {
          kind: "reduce",
          axes: [inner],
          reductions: [{ id: 0, reducer: "sum", body: binaryExpr("mul", left, right) }],
        },
        { kind: "store", axes: [], once: false, stores: [{ tensor: output, index: [i, j].map(axisExpr), value }] },
      ],
      reasons: [],
    };
    const inputs = [left, right, mask, other].flatMap((load) => (load.op === "load" ? [load.tensor] : []));
    const profile: AdapterProfile = { ...device().profile, class: adapter };
    const program = programOf([kernel], inputs, [output]);
    const plan = plainPlan(program, [kernel], profile);
    const assignment = (tensor: Tensor): number => plan.assignment.get(tensor.id) as number;
    const all = candidateSchedules(kernel, { assignment, profile });
    const [generated] = all.map(({ schedule }) => generateKernel(kernel, { assignment, profile, loops: [], schedule }));
    if (!generated) throw new Error("there is a schedule");
    const data = inputs.map(({ shape }, t) =>
      Array.from({ length: sizeOf(shape) }, (_, at) => (((at + t) * 7919) % 61) / 8 - 4),
    );
    const [result] = await runExecutable(device(), executableOf(generated, program, plan), data);
    const [expected] = evaluateFused(program, data);
    const apart = (expected ?? []).map((want, at) => Math.abs(want - (result?.[at] ?? NaN)));
    expect(Math.max(...apart)).toBeLessThan(1e-3);
  },
);
