/**
 * Legal schedules, drawn at random for kernels drawn at random, give what the kernel says. `FAX_SEED` repeats a run.
 */
import { describe, expect, it } from "vitest";
import type { AdapterProfile } from "../executable.ts";
import { evaluateFused } from "../fuse/evaluate-kernels.test-support.ts";
import type { Kernel, ReduceStage, StoreStage } from "../fuse/kernel.ts";
import { sizeOf } from "../ir/shape.ts";
import {
  type Axis,
  axisExpr,
  binaryExpr,
  castExpr,
  constExpr,
  type Expr,
  loadExpr,
  newAxis,
  newTensor,
  type Reducer,
  selectExpr,
  type Tensor,
  unaryExpr,
} from "../lower/expr.ts";
import { candidateSchedules, generateKernel } from "./generate-kernel.ts";
import { executableOf, plainPlan, programOf, runExecutable, softwareDevice } from "./on-device.test-support.ts";
import { describeSchedule } from "./schedule.ts";

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed, 2654435761) >>> 0;
  }
  below(n: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * n);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => [this.below(2 ** 30), item] as const)
      .sort(([a], [b]) => a - b)
      .map(([, item]) => item);
  }
  axes(most: number, sizes: readonly number[]): Axis[] {
    return Array.from({ length: 1 + this.below(most) }, () => newAxis(this.pick(sizes)));
  }
}

interface Drawn {
  readonly kernel: Kernel;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** Collects what a kernel loads and stores while its expressions are made. */
class Drawing {
  readonly inputs: Tensor[] = [];
  readonly outputs: Tensor[] = [];
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** Of what is in memory; f16 is cast, as lowering does where it wants the accuracy of f32. */
  private dtype(): "f32" | "f16" {
    return this.random.below(3) === 0 ? "f16" : "f32";
  }

  /** A new tensor over the axes, mostly in their order; now and then a part of a larger one, guarded at its edge. */
  load(axes: readonly Axis[]): Expr {
    const order = this.random.below(3) === 0 ? this.random.shuffled(axes) : axes;
    const last = order.at(-1);
    const padded = last !== undefined && last.size > 1 && this.random.below(6) === 0;
    const shape = order.map(({ size }) => size);
    const tensor = newTensor(this.dtype(), padded ? [...shape.slice(0, -1), last.size - 1] : shape);
    this.inputs.push(tensor);
    const read = castExpr(loadExpr(tensor, order.map(axisExpr)), "f32");
    if (!padded) return read;
    return selectExpr(binaryExpr("lt", axisExpr(last), constExpr(last.size - 1)), read, constExpr(0.25, "f32"));
  }

  store(axes: readonly Axis[], value: Expr): StoreStage["stores"][number] {
    const dtype = value.dtype === "f32" ? this.dtype() : value.dtype;
    const tensor = newTensor(
      dtype,
      axes.map(({ size }) => size),
    );
    this.outputs.push(tensor);
    return { tensor, index: axes.map(axisExpr), value: castExpr(value, dtype) };
  }
}

const sizes = [1, 2, 3, 4, 5, 7, 8, 12, 16];

function elementwise(draw: Drawing): Kernel {
  const rows = draw.random.axes(3, sizes);
  const sum = binaryExpr("add", draw.load(rows), draw.load(rows.slice(-1)));
  const stores = [draw.store(rows, unaryExpr("abs", sum))];
  if (draw.random.below(2) === 0) stores.push(draw.store(rows, binaryExpr("mul", sum, sum)));
  return { name: "elementwise", rows, stages: [{ kind: "store", axes: [], once: false, stores }], reasons: [] };
}

function reduction(draw: Drawing): Kernel {
  const rows = draw.random.axes(2, sizes);
  const axes = draw.random.axes(2, [...sizes, 40]);
  const value = draw.load([...rows, ...axes]);
  const reducer = draw.random.pick<Reducer>(["sum", "max", "min", "argmax"]);
  const dtype = reducer === "argmax" ? "i32" : "f32";
  const first: ReduceStage = { kind: "reduce", axes, reductions: [{ id: 0, reducer, body: value }] };
  const reduced: Expr = { op: "reduced", dtype, reduction: 0 };
  if (dtype === "i32" || draw.random.below(2) === 0) {
    const stores = [draw.store(rows, reduced)];
    return { name: "reduction", rows, stages: [first, { kind: "store", axes: [], once: false, stores }], reasons: [] };
  }
  // The mean of what is left after subtraction, and all of that.
  const rest = binaryExpr("sub", value, reduced);
  const second: ReduceStage = { kind: "reduce", axes, reductions: [{ id: 1, reducer: "sum", body: rest }] };
  const shifted = binaryExpr("add", rest, { op: "reduced", dtype: "f32", reduction: 1 });
  const stores = [draw.store([...rows, ...axes], shifted)];
  return { name: "rows", rows, stages: [first, second, { kind: "store", axes, once: false, stores }], reasons: [] };
}

function product(draw: Drawing): Kernel {
  const { random } = draw;
  const batch = random.below(2) === 0 ? random.axes(1, [2, 3]) : [];
  const [left, right] = [random.axes(2, [1, 4, 6, 8, 10, 17]), random.axes(random.below(2) + 1, [1, 4, 8, 20])];
  const inner = random.axes(2, [1, 2, 5, 8, 10]);
  const rows = [...batch, ...left, ...right];
  const x = draw.load(random.below(2) === 0 ? [...batch, ...left, ...inner] : [...batch, ...inner, ...left]);
  const y = draw.load(random.below(2) === 0 ? [...batch, ...inner, ...right] : [...batch, ...right, ...inner]);
  const body = binaryExpr("mul", x, y);
  const bias = draw.load(right);
  const stored = random.below(3) === 0 ? [...batch, ...right, ...left] : rows;
  const value = binaryExpr("add", { op: "reduced", dtype: "f32", reduction: 0 }, bias);
  const stores = [draw.store(stored, value)];
  return {
    name: "product",
    rows,
    stages: [
      { kind: "reduce", axes: inner, reductions: [{ id: 0, reducer: "sum", body }] },
      { kind: "store", axes: [], once: false, stores },
    ],
    reasons: [],
  };
}

/** Products whose factor is made of what their rows reduce. */
function columns(draw: Drawing): Kernel {
  const { random } = draw;
  const batch = random.below(2) === 0 ? random.axes(1, [2, 3]) : [];
  const [left, right] = [random.axes(2, [1, 3, 4, 8, 10]), random.axes(1, [1, 4, 8, 20, 40])];
  const inner = random.axes(2, [2, 5, 8, 20]);
  const rows = [...batch, ...left, ...right];
  const x = draw.load([...batch, ...left, ...inner]);
  const y = draw.load(random.below(2) === 0 ? [...batch, ...inner, ...right] : [...inner, ...right]);
  const reduced = (reduction: number): Expr => ({ op: "reduced", dtype: "f32", reduction });
  const largest: ReduceStage = { kind: "reduce", axes: inner, reductions: [{ id: 0, reducer: "max", body: x }] };
  const exponential = unaryExpr("exp", binaryExpr("sub", x, reduced(0)));
  const sum = { id: 1, reducer: "sum", body: exponential } as const;
  const late = random.below(3) === 0;
  const factor = late ? binaryExpr("div", exponential, reduced(1)) : exponential;
  const product = { id: 2, reducer: "sum", body: binaryExpr("mul", factor, y) } as const;
  const sums = (...reductions: ReduceStage["reductions"]): ReduceStage => ({ kind: "reduce", axes: inner, reductions });
  const value = late ? reduced(2) : binaryExpr("div", reduced(2), reduced(1));
  const stores = [draw.store(random.below(3) === 0 ? [...batch, ...right, ...left] : rows, value)];
  const stages = [largest, ...(late ? [sums(sum), sums(product)] : [sums(sum, product)])];
  return {
    name: "columns",
    rows,
    columns: right,
    stages: [...stages, { kind: "store", axes: [], once: false, stores }],
    reasons: [],
  };
}

function drawKernel(random: Random): Drawn {
  const draw = new Drawing(random);
  const kernel = random.pick([elementwise, reduction, product, product, columns, columns])(draw);
  return { kernel, inputs: draw.inputs, outputs: draw.outputs };
}

const device = softwareDevice();

const firstSeed = Number(process.env["FAX_SEED"] ?? 1);
const count = process.env["FAX_SEED"] === undefined ? 16 : 1;

describe.each(["cpu", "gpu"] as const)("schedules for adapters of class %s", (adapter) => {
  it.each(Array.from({ length: count }, (_, i) => firstSeed + i))("seed %i", async (seed) => {
    const profile: AdapterProfile = { ...device().profile, class: adapter };
    const random = new Random(seed);
    const { kernel, inputs, outputs } = drawKernel(random);
    const data = inputs.map(({ shape }) => Array.from({ length: sizeOf(shape) }, () => (random.below(129) - 64) / 16));
    const program = programOf([kernel], inputs, outputs);
    const plan = plainPlan(program, [kernel], profile);
    const assignment = (tensor: Tensor): number => plan.assignment.get(tensor.id) as number;
    const legal = candidateSchedules(kernel, { assignment, profile });
    const [chosen] = legal;
    expect(chosen?.schedule).toEqual(generateKernel(kernel, { assignment, profile, loops: [] }).schedule);
    const { schedule } = random.pick(legal);
    const generated = generateKernel(kernel, { assignment, profile, loops: [], schedule });
    const results = await runExecutable(device(), executableOf(generated, program, plan), data);
    const faults = evaluateFused(program, data).flatMap((expected, i) => {
      const tolerance = outputs[i]?.dtype === "f16" ? 2 ** -10 : 1e-4;
      return expected.flatMap((want, at) => {
        const got = results[i]?.[at] ?? NaN;
        return Math.abs(got - want) <= tolerance * Math.max(1, Math.abs(want))
          ? []
          : [`${i}[${at}]: ${got}, not ${want}`];
      });
    });
    expect(faults.slice(0, 5), `seed ${seed}, ${describeSchedule(schedule)}\n${generated.code.source}`).toEqual([]);
  });
});
