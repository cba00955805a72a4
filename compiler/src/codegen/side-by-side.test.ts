import { describe, expect, it } from "vitest";
import type { AdapterProfile } from "../executable.ts";
import type { Kernel } from "../fuse/kernel.ts";
import {
  type Axis,
  axisExpr,
  binaryExpr,
  type Expr,
  loadExpr,
  newAxis,
  newTensor,
  type Tensor,
} from "../lower/expr.ts";
import { runKernels, softwareDevice } from "./on-device.test-support.ts";

const device = softwareDevice();

const at = (tensor: Tensor, ...axes: readonly Axis[]): Expr => loadExpr(tensor, axes.map(axisExpr));
const fill = (size: number): number[] => Array.from({ length: size }, (_, i) => ((i * 7919) % 1013) / 256 - 2);

/** The sum of each row of `x`, and what it is with `y`. */
function rowSums(x: Tensor, y: Tensor, out: Tensor): Kernel {
  const [i, k] = [newAxis(x.shape[0] ?? 1), newAxis(x.shape[1] ?? 1)];
  const sum: Expr = { op: "reduced", dtype: "f32", reduction: 7 };
  return {
    name: "row_sums",
    rows: [i],
    stages: [
      { kind: "reduce", axes: [k], reductions: [{ id: 7, reducer: "sum", body: at(x, i, k) }] },
      {
        kind: "store",
        axes: [],
        once: false,
        stores: [{ tensor: out, index: [axisExpr(i)], value: binaryExpr("add", sum, at(y, i)) }],
      },
    ],
    reasons: [],
  };
}

function squares(x: Tensor, out: Tensor): Kernel {
  const axes = x.shape.map(newAxis);
  const value = binaryExpr("mul", at(x, ...axes), at(x, ...axes));
  return {
    name: "squares",
    rows: axes,
    stages: [{ kind: "store", axes: [], once: false, stores: [{ tensor: out, index: axes.map(axisExpr), value }] }],
    reasons: [],
  };
}

function product(x: Tensor, w: Tensor, out: Tensor): Kernel {
  const [i, j, k] = [newAxis(x.shape[0] ?? 1), newAxis(w.shape[1] ?? 1), newAxis(x.shape[1] ?? 1)];
  const body = binaryExpr("mul", at(x, i, k), at(w, k, j));
  const value: Expr = { op: "reduced", dtype: "f32", reduction: 7 };
  return {
    name: "product",
    rows: [i, j],
    stages: [
      { kind: "reduce", axes: [k], reductions: [{ id: 7, reducer: "sum", body }] },
      { kind: "store", axes: [], once: false, stores: [{ tensor: out, index: [axisExpr(i), axisExpr(j)], value }] },
    ],
    reasons: [],
  };
}

describe("kernels beside each other compute what they compute alone", () => {
  const [x, y] = [newTensor("f32", [6, 20000]), newTensor("f32", [6])];
  const [a, b] = [newTensor("f32", [36, 40]), newTensor("f32", [40, 36])];
  const outputs = [
    newTensor("f32", [6]),
    newTensor("f32", [6, 20000]),
    newTensor("f32", [36, 36]),
    newTensor("f32", [40, 40]),
  ] as const;
  const rows = [rowSums(x, y, outputs[0]), squares(x, outputs[1])];
  const products = [product(a, b, outputs[2]), product(b, a, outputs[3])];
  const mixed = [...rows, products[0] as Kernel];
  it.each([
    ["rows of two shapes", rows],
    ["products", products],
    ["rows and a product", mixed],
  ])("%s", async (_, kernels) => {
    const stored = new Set(
      kernels
        .flatMap((kernel) => kernel.stages)
        .flatMap((stage) => (stage.kind === "store" ? stage.stores : []))
        .map((store) => store.tensor),
    );
    const wanted = outputs.filter((tensor) => stored.has(tensor));
    const inputs = [x, y, a, b].map((tensor) => [tensor, fill(tensor.shape.reduce((n, size) => n * size, 1))] as const);
    for (const profile of (["cpu", "gpu"] as const).map((name): AdapterProfile => ({
      ...device().profile,
      class: name,
    }))) {
      const alone = await runKernels(device(), kernels, inputs, wanted, profile);
      const [first, ...beside] = kernels;
      const together = await runKernels(device(), [{ ...(first as Kernel), beside }], inputs, wanted, profile);
      expect(together.executable.steps.length).toBe(1);
      together.results.forEach((result, i) => {
        const other = alone.results[i] ?? [];
        const apart = [...result].reduce((most, value, k) => Math.max(most, Math.abs(value - (other[k] ?? NaN))), 0);
        expect(apart).toBeLessThan(1e-3);
      });
    }
  });
});
