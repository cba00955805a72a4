import { describe, expect, it } from "vitest";
import { FaxError } from "../diagnostics/index.ts";
import { type AdapterProfile, baselineProfile, type Executable } from "../executable.ts";
import type { FusedProgram, Kernel } from "../fuse/kernel.ts";
import { sizeOf } from "../ir/shape.ts";
import {
  type Axis,
  axisExpr,
  binaryExpr,
  castExpr,
  constExpr,
  counterExpr,
  type Expr,
  loadExpr,
  newAxis,
  newCounter,
  newTensor,
  type Reducer,
  selectExpr,
  type Tensor,
  unaryExpr,
} from "../lower/expr.ts";
import { generateExecutable } from "./assemble.ts";
import { plainPlan, programOf, runExecutable, runKernels, softwareDevice } from "./on-device.test-support.ts";

const device = softwareDevice();

const profiles = ["cpu", "gpu"] as const;
/** The adapter as it is, or scheduled as if it were hardware. */
const profileOf = (name: "cpu" | "gpu"): AdapterProfile => ({ ...device().profile, class: name });

/** Numbers without a pattern that a wrong index could hit, small enough that sums are nearly exact. */
function fill(size: number, seed = 1): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => (((i * 7919 + seed * 104729) % 1013) - 506) / 256);
}

const at = (tensor: Tensor, ...axes: readonly Axis[]): Expr => loadExpr(tensor, axes.map(axisExpr));
const add = (x: Expr, y: Expr): Expr => binaryExpr("add", x, y);
const mul = (x: Expr, y: Expr): Expr => binaryExpr("mul", x, y);
const f32 = (value: number): Expr => constExpr(value, "f32");

function elementwise(name: string, rows: readonly Axis[], stores: readonly (readonly [Tensor, Expr])[]): Kernel {
  const index = rows.map(axisExpr);
  return {
    name,
    rows,
    stages: [
      { kind: "store", axes: [], once: false, stores: stores.map(([tensor, value]) => ({ tensor, index, value })) },
    ],
    reasons: [],
  };
}

/** The first elements that are not close, with what they should be. */
function mismatches(actual: ArrayLike<number> | undefined, want: ArrayLike<number>, tolerance = 1e-5): string[] {
  if (actual?.length !== want.length) return [`${actual?.length} elements, expected ${want.length}`];
  const wrong: string[] = [];
  for (let i = 0; i < want.length && wrong.length < 5; i++) {
    const [a, b] = [actual[i] ?? Number.NaN, want[i] ?? 0];
    const close = Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));
    if (!close) wrong.push(`element ${i}: ${a}, expected ${b}`);
  }
  return wrong;
}

describe.each(profiles)("elementwise kernels (%s)", (profile) => {
  it.each([[[7]], [[8]], [[3, 5]], [[4, 6, 8]], [[1]], [[0, 4]]])(
    "over %j, with a broadcast row and a second output",
    async (shape) => {
      const [x, bias] = [newTensor("f32", shape), newTensor("f32", [shape[shape.length - 1] ?? 1])];
      const [y, z] = [newTensor("f32", shape), newTensor("bool", shape)];
      const rows = shape.map(newAxis);
      const last = rows[rows.length - 1] as Axis;
      const total = add(at(x, ...rows), at(bias, last));
      const kernel = elementwise("add", rows, [
        [y, mul(total, total)],
        [z, binaryExpr("gt", total, f32(0))],
      ]);
      const [data, b] = [fill(sizeOf(shape)), fill(shape[shape.length - 1] ?? 1, 2)];
      const { results } = await runKernels(
        device(),
        [kernel],
        [
          [x, data],
          [bias, b],
        ],
        [y, z],
        profileOf(profile),
      );
      const want = Array.from(data, (v, i) => v + (b[i % b.length] ?? 0));
      expect(
        mismatches(
          results[0],
          want.map((v) => v * v),
        ),
      ).toEqual([]);
      expect(Array.from(results[1] ?? [])).toEqual(want.map((v) => (v > 0 ? 1 : 0)));
    },
  );

  it("transposes, pads by a guarded load, reverses", async () => {
    const x = newTensor("f32", [3, 4]);
    const [i, j] = [newAxis(6), newAxis(4)];
    const [row, column] = [binaryExpr("sub", axisExpr(j), constExpr(1)), axisExpr(i)];
    const inside = binaryExpr(
      "and",
      binaryExpr("and", binaryExpr("ge", row, constExpr(0)), binaryExpr("lt", row, constExpr(3))),
      binaryExpr("lt", column, constExpr(4)),
    );
    const reversed = binaryExpr("sub", constExpr(3), column);
    const y = newTensor("f32", [6, 4]);
    const kernel = elementwise("pad", [i, j], [[y, selectExpr(inside, loadExpr(x, [row, reversed]), f32(-1))]]);
    const data = fill(12);
    const { results } = await runKernels(device(), [kernel], [[x, data]], [y], profileOf(profile));
    const want = Array.from({ length: 24 }, (_, p) => {
      const [c, r] = [Math.floor(p / 4), (p % 4) - 1];
      return r >= 0 && r < 3 && c < 4 ? data[r * 4 + 3 - c] : -1;
    });
    expect(Array.from(results[0] ?? [])).toEqual(want);
  });

  it("gathers rows by an index array", async () => {
    const [table, labels, y] = [newTensor("f32", [5, 4]), newTensor("i32", [6]), newTensor("f32", [6, 4])];
    const [i, j] = [newAxis(6), newAxis(4)];
    const kernel = elementwise("gather", [i, j], [[y, loadExpr(table, [at(labels, i), axisExpr(j)])]]);
    const [data, picks] = [fill(20), [4, 0, 2, 2, 1, 3]];
    const { results } = await runKernels(
      device(),
      [kernel],
      [
        [table, data],
        [labels, picks],
      ],
      [y],
      profileOf(profile),
    );
    expect(Array.from(results[0] ?? [])).toEqual(picks.flatMap((p) => Array.from(data.slice(p * 4, p * 4 + 4))));
  });
});

it.each([
  ["cpu", 2],
  ["gpu", 18],
] as const)("dispatches beyond the workgroups of one dimension (%s)", async (name, second) => {
  const size = 450_001;
  const [x, y] = [newTensor("f32", [size]), newTensor("f32", [size])];
  const i = newAxis(size);
  const kernel = elementwise("add", [i], [[y, add(at(x, i), f32(1))]]);
  const data = Float32Array.from({ length: size }, (_, n) => n % 1000);
  const profile = profileOf(name);
  const narrow = { ...profile, limits: { ...profile.limits, maxComputeWorkgroupsPerDimension: 100 } };
  const { executable, results } = await runKernels(device(), [kernel], [[x, data]], [y], narrow);
  expect(executable.steps[0]).toMatchObject({ workgroups: [100, second, 1] });
  expect(Array.from(results[0] ?? []).every((v, n) => v === (n % 1000) + 1)).toBe(true);
});

it("writes in place when input and output share a buffer", async () => {
  const [x, y] = [newTensor("f32", [8]), newTensor("f32", [8])];
  const [a, b] = [newTensor("f32", [8]), newTensor("f32", [8])];
  const [i, j, k] = [newAxis(8), newAxis(8), newAxis(8)];
  const kernels = [
    elementwise("copy", [i], [[a, at(x, i)]]),
    elementwise("square", [j], [[b, mul(at(a, j), at(a, j))]]),
    elementwise("copy", [k], [[y, at(b, k)]]),
  ];
  const program = programOf(kernels, [x], [y]);
  const plan = plainPlan(program, kernels, device().profile, new Map([[b, a]]));
  const executable = generateExecutable(program, plan, device().profile);
  expect(executable.kernels.find(({ name }) => name === "square")?.bindings).toEqual([{ access: "read_write" }]);
  expect(executable.kernels.filter(({ name }) => name === "copy")).toHaveLength(1);
  const [result] = await runExecutable(device(), executable, [fill(8)]);
  expect(
    mismatches(
      result,
      fill(8).map((v) => v * v),
    ),
  ).toEqual([]);
});

/** Kernels with workgroup memory take seconds to compile on a software adapter. */
const fewer = { cpu: Number.POSITIVE_INFINITY, gpu: 3 };

const reducers: Record<Reducer, (values: readonly number[]) => number> = {
  sum: (values) => values.reduce((a, b) => a + b, 0),
  prod: (values) => values.reduce((a, b) => a * b, 1),
  max: (values) => values.reduce((a, b) => Math.max(a, b), -Infinity),
  min: (values) => values.reduce((a, b) => Math.min(a, b), Infinity),
  and: (values) => values.reduce((a, b) => a & b, -1),
  or: (values) => values.reduce((a, b) => a | b, 0),
  argmax: (values) => extreme(values, (a, b) => a > b),
  argmin: (values) => extreme(values, (a, b) => a < b),
};

function extreme(values: readonly number[], better: (a: number, b: number) => boolean): number {
  const nan = values.findIndex(Number.isNaN);
  if (nan >= 0) return nan;
  return values.reduce((best, value, i) => (better(value, values[best] ?? 0) ? i : best), 0);
}

function reduceKernel(reducer: Reducer, y: Tensor, rows: readonly Axis[], axes: readonly Axis[], load: Expr): Kernel {
  const value: Expr = { op: "reduced", dtype: y.dtype, reduction: 0 };
  return {
    name: `reduce_${reducer}`,
    rows,
    stages: [
      { kind: "reduce", axes, reductions: [{ id: 0, reducer, body: load }] },
      { kind: "store", axes: [], once: false, stores: [{ tensor: y, index: rows.map(axisExpr), value }] },
    ],
    reasons: [],
  };
}

describe.each(profiles)("reductions (%s)", (profile) => {
  const shapes = [
    [3, 1001],
    [5, 64],
    [2, 0],
    [40, 12],
    [1, 20000],
    [9, 1],
  ] as const;
  it.each(
    shapes
      .slice(0, fewer[profile])
      .flatMap(([r, c]) => Object.keys(reducers).map((name) => [name as Reducer, r, c] as const)),
  )("%s of rows of [%i,%i]", async (reducer, r, c) => {
    if (c === 0 && reducer.startsWith("arg")) return;
    const integer = reducer === "and" || reducer === "or";
    const dtype = integer ? "i32" : "f32";
    const x = newTensor(dtype, [r, c]);
    const y = newTensor(reducer.startsWith("arg") ? "i32" : dtype, [r]);
    const [i, j] = [newAxis(r), newAxis(c)];
    const data = integer
      ? Array.from({ length: r * c }, (_, n) => (n * 2654435761) | 0 | (reducer === "and" ? 5 : 0))
      : fill(r * c);
    const values = reducer === "prod" ? Float32Array.from(data, (v) => 1 + v / 1e4) : data;
    const { results } = await runKernels(
      device(),
      [reduceKernel(reducer, y, [i], [j], at(x, i, j))],
      [[x, values]],
      [y],
      profileOf(profile),
    );
    const rows = Array.from({ length: r }, (_, n) => Array.from(Float64Array.from(values).slice(n * c, n * c + c)));
    // Each factor of a product may round it, and factors that recur round it the same way.
    const tolerance = reducer === "prod" ? Math.max(1e-4, c * 2 ** -24) : 1e-4;
    expect(mismatches(results[0], rows.map(reducers[reducer]), tolerance)).toEqual([]);
  });

  it("over leading axes, over two axes of which one is transposed, and NaN wins", async () => {
    const x = newTensor("f32", [6, 5, 8]);
    const [a, b, c] = [newAxis(6), newAxis(5), newAxis(8)];
    const data = fill(240);
    data[77] = Number.NaN;
    const columns = newTensor("f32", [8]);
    const middle = newTensor("f32", [5]);
    const { results } = await runKernels(
      device(),
      [
        reduceKernel("sum", columns, [c], [a, b], at(x, a, b, c)),
        reduceKernel("max", middle, [b], [c, a], at(x, a, b, c)),
      ],
      [[x, data]],
      [columns, middle],
      profileOf(profile),
    );
    const sums = Array.from({ length: 8 }, (_, n) =>
      Array.from(data)
        .filter((_, p) => p % 8 === n)
        .reduce((s, v) => s + v, 0),
    );
    expect(Array.from(results[0] ?? [], (v) => Number.isNaN(v))).toEqual(sums.map(Number.isNaN));
    const maxima = Array.from({ length: 5 }, (_, n) =>
      Math.max(...Array.from(data).filter((_, p) => Math.floor(p / 8) % 5 === n)),
    );
    expect(Array.from(results[1] ?? [])).toEqual(maxima);
  });

  it("argmax: the first of equals, the first NaN, positions over two axes, all −∞", async () => {
    const x = newTensor("f32", [4, 3, 100]);
    const [i, j, k] = [newAxis(4), newAxis(3), newAxis(100)];
    const data = new Float32Array(1200).fill(1);
    data[300 + 250] = 5;
    data[300 + 251] = 5;
    data[600 + 20] = Number.NaN;
    data[600 + 19] = Number.NaN;
    data.fill(-Infinity, 900);
    const y = newTensor("i32", [4]);
    const { results } = await runKernels(
      device(),
      [reduceKernel("argmax", y, [i], [j, k], at(x, i, j, k))],
      [[x, data]],
      [y],
      profileOf(profile),
    );
    expect(Array.from(results[0] ?? [])).toEqual([0, 250, 19, 0]);
  });
});

function softmax(x: Tensor, y: Tensor): Kernel {
  const [r, c] = x.shape as [number, number];
  const [i, j, k, l] = [newAxis(r), newAxis(c), newAxis(c), newAxis(c)];
  const max: Expr = { op: "reduced", dtype: "f32", reduction: 0 };
  const sum: Expr = { op: "reduced", dtype: "f32", reduction: 1 };
  const shifted = (axis: Axis): Expr => unaryExpr("exp", binaryExpr("sub", at(x, i, axis), max));
  return {
    name: "softmax",
    rows: [i],
    stages: [
      { kind: "reduce", axes: [j], reductions: [{ id: 0, reducer: "max", body: at(x, i, j) }] },
      { kind: "reduce", axes: [k], reductions: [{ id: 1, reducer: "sum", body: shifted(k) }] },
      {
        kind: "store",
        once: false,
        axes: [l],
        stores: [{ tensor: y, index: [axisExpr(i), axisExpr(l)], value: binaryExpr("div", shifted(l), sum) }],
      },
    ],
    reasons: [],
  };
}

it.each(
  profiles.flatMap(
    (p) =>
      [
        [p, 40, 12],
        [p, 7, 1000],
        [p, 3, 10001],
      ] as const,
  ),
)("softmax of rows (%s) [%i,%i]", async (profile, r, c) => {
  const [x, y] = [newTensor("f32", [r, c]), newTensor("f32", [r, c])];
  const data = fill(r * c);
  const { results } = await runKernels(device(), [softmax(x, y)], [[x, data]], [y], profileOf(profile));
  const want: number[] = [];
  for (let i = 0; i < r; i++) {
    const row = Array.from(data.slice(i * c, i * c + c), Math.exp);
    const sum = row.reduce((a, b) => a + b, 0);
    want.push(...row.map((v) => v / sum));
  }
  expect(mismatches(results[0], want, 1e-6)).toEqual([]);
});

type Layout = "mk" | "km";

/** `tanh(Σ_k x y + bias)` with both factors in either layout. */
function matmul(batch: number, m: number, n: number, k: number, [left, right]: readonly [Layout, Layout]) {
  const x = newTensor("f32", left === "mk" ? [batch, m, k] : [batch, k, m]);
  const y = newTensor("f32", right === "mk" ? [batch, n, k] : [batch, k, n]);
  const bias = newTensor("f32", [n]);
  const out = newTensor("f32", [batch, m, n]);
  const [b, i, j, l] = [newAxis(batch), newAxis(m), newAxis(n), newAxis(k)];
  const xs = left === "mk" ? at(x, b, i, l) : at(x, b, l, i);
  const ys = right === "mk" ? at(y, b, j, l) : at(y, b, l, j);
  const sum: Expr = { op: "reduced", dtype: "f32", reduction: 0 };
  const kernel: Kernel = {
    name: "dot_general_add",
    rows: [b, i, j],
    stages: [
      { kind: "reduce", axes: [l], reductions: [{ id: 0, reducer: "sum", body: mul(xs, ys) }] },
      {
        kind: "store",
        once: false,
        axes: [],
        stores: [{ tensor: out, index: [axisExpr(b), axisExpr(i), axisExpr(j)], value: add(sum, at(bias, j)) }],
      },
    ],
    reasons: [],
  };
  return { x, y, bias, out, kernel };
}

function matmulExact(
  batch: number,
  m: number,
  n: number,
  k: number,
  layouts: readonly [Layout, Layout],
  x: Float32Array,
  y: Float32Array,
  bias: Float32Array,
): number[] {
  const index = (layout: Layout, b: number, rows: number, row: number, inner: number): number =>
    layout === "mk" ? (b * rows + row) * k + inner : (b * k + inner) * rows + row;
  const out: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = bias[j] ?? 0;
        for (let l = 0; l < k; l++)
          sum += (x[index(layouts[0], b, m, i, l)] ?? 0) * (y[index(layouts[1], b, n, j, l)] ?? 0);
        out.push(sum);
      }
    }
  }
  return out;
}

const layouts = [
  ["mk", "km"],
  ["km", "km"],
  ["mk", "mk"],
  ["km", "mk"],
] as const;
const sizes = [
  [1, 17, 19, 23],
  [3, 12, 20, 8],
  [2, 70, 66, 33],
  [1, 16, 16, 16],
  [1, 5, 130, 64],
  [1, 128, 4, 4],
  [1, 1, 9, 7],
  [1, 64, 64, 1],
] as const;

describe.each(profiles)("matrix products (%s)", (profile) => {
  it.each(sizes.slice(0, fewer[profile]).flatMap((size) => layouts.map((layout) => [...size, ...layout] as const)))(
    "[%i] %i × %i × %i, %s %s",
    async (batch, m, n, k, left, right) => {
      const { x, y, bias, out, kernel } = matmul(batch, m, n, k, [left, right]);
      const data = [fill(batch * m * k), fill(batch * n * k, 3), fill(n, 5)] as const;
      const { results } = await runKernels(
        device(),
        [kernel],
        [
          [x, data[0]],
          [y, data[1]],
          [bias, data[2]],
        ],
        [out],
        profileOf(profile),
      );
      expect(mismatches(results[0], matmulExact(batch, m, n, k, [left, right], ...data), 1e-4)).toEqual([]);
    },
  );

  it("with rows and summed axes made of several axes, a fused prologue and f16 operands", async () => {
    const [x, y, out] = [newTensor("f16", [2, 3, 4, 5]), newTensor("f16", [4, 5, 8]), newTensor("f16", [2, 3, 8])];
    const [a, b, n, c, d] = [newAxis(2), newAxis(3), newAxis(8), newAxis(4), newAxis(5)];
    const sum: Expr = { op: "reduced", dtype: "f16", reduction: 0 };
    const left = unaryExpr("abs", castExpr(at(x, a, b, c, d), "f32"));
    const kernel: Kernel = {
      name: "dot_general",
      rows: [a, b, n],
      stages: [
        {
          kind: "reduce",
          axes: [c, d],
          reductions: [{ id: 0, reducer: "sum", body: mul(left, castExpr(at(y, c, d, n), "f32")) }],
        },
        { kind: "store", axes: [], once: false, stores: [{ tensor: out, index: [a, b, n].map(axisExpr), value: sum }] },
      ],
      reasons: [],
    };
    const [p, q] = [fill(120), fill(160, 2)];
    const { results } = await runKernels(
      device(),
      [kernel],
      [
        [x, p],
        [y, q],
      ],
      [out],
      profileOf(profile),
    );
    const want = matmulExact(1, 6, 8, 20, ["mk", "km"], p.map(Math.abs), q, new Float32Array(8));
    expect(mismatches(results[0], want, 1e-3)).toEqual([]);
  });
});

describe("loops", () => {
  it("count on the device, alternate between two buffers, and nest", async () => {
    // Each iteration adds 10·outer + inner to the carry.
    const [x, y] = [newTensor("f32", [4]), newTensor("f32", [4])];
    const [input, result] = [newTensor("f32", [4]), newTensor("f32", [4])];
    const [outer, inner] = [newCounter(3), newCounter(4)];
    const i = newAxis(4);
    const step = add(mul(castExpr(counterExpr(outer), "f32"), f32(10)), castExpr(counterExpr(inner), "f32"));
    const kernel = elementwise("add", [i], [[result, add(at(input, i), step)]]);
    const program: FusedProgram = {
      inputs: [x],
      outputs: [y],
      arenas: [],
      steps: [
        {
          kind: "loop",
          counter: outer,
          carries: [{ init: x, input, result, final: y }],
          stacked: [],
          body: [
            {
              kind: "loop",
              counter: inner,
              carries: [{ init: input, input, result, final: result }],
              stacked: [],
              body: [{ kind: "kernel", kernel }],
            },
          ],
        },
      ],
    };
    const executable = generateExecutable(
      program,
      {
        buffers: [
          { bytes: 16, role: "input", label: "x" },
          { bytes: 16, role: "output", label: "y" },
          { bytes: 16, role: "temp", label: "other" },
        ],
        assignment: new Map<number, number | { even: number; odd: number }>([
          [x.id, 0],
          [y.id, 1],
          [input.id, { even: 1, odd: 2 }],
          [result.id, { even: 2, odd: 1 }],
        ]),
        loops: new Map([
          [outer.id, { before: [{ from: 0, to: 1, bytes: 16 }], after: [] }],
          [inner.id, { before: [], after: [] }],
        ]),
        peakBytes: 32,
        peakLowerBound: 32,
        reasons: [],
      },
      device().profile,
    );
    expect(executable.kernels[0]?.counters).toBe(2);
    const [result4] = await runExecutable(device(), executable, [[1, 2, 3, 4]]);
    const total = 4 * (0 + 10 + 20) + 3 * 6;
    expect(Array.from(result4 ?? [])).toEqual([1, 2, 3, 4].map((v) => v + total));
  });
});

function generate(
  kernel: Kernel,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  profile: AdapterProfile,
): Executable {
  const program = programOf([kernel], inputs, outputs);
  return generateExecutable(program, plainPlan(program, [kernel], profile), profile);
}

describe("the text", () => {
  it("of equal kernels is equal, and reads well", () => {
    const make = (): string | undefined => {
      const { x, y, bias, out, kernel } = matmul(1, 4, 8, 8, ["mk", "km"]);
      return generate(kernel, [x, y, bias], [out], { ...baselineProfile, class: "cpu" }).kernels[0]?.source;
    };
    expect(make()).toBe(make());
    const [x, y] = [newTensor("f32", [2, 6]), newTensor("f32", [6, 2])];
    const [i, j] = [newAxis(6), newAxis(2)];
    const kernel = elementwise("transpose_exp", [i, j], [[y, unaryExpr("exp", at(x, j, i))]]);
    expect(generate(kernel, [x], [y], baselineProfile).kernels[0]?.source.split("@compute")[1]).toMatchInlineSnapshot(`
      " @workgroup_size(256)
      fn main(
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32,
      ) {
        let position = group.x * 256u + local;
        if (position >= 12u) { return; }
        let row = i32(position);
        let v0 = b0[(row % 2) * 6 + (row / 2)];
        b1[row] = fax_exp(v0);
      }
      "
    `);
  });

  it("says what it costs", () => {
    const { x, y, bias, out, kernel } = matmul(1, 4, 8, 16, ["mk", "km"]);
    const executable = generate(kernel, [x, y, bias], [out], baselineProfile);
    expect(executable.steps[0]).toMatchObject({ flops: 2 * 4 * 8 * 16 + 32, bytesMoved: 4 * (64 + 128 + 8 + 32) });
  });

  it("uses f16 where the adapter has it", () => {
    const [x, y] = [newTensor("f16", [8]), newTensor("f16", [8])];
    const i = newAxis(8);
    const kernel = elementwise("add", [i], [[y, add(at(x, i), at(x, i))]]);
    const executable = generate(kernel, [x], [y], { ...baselineProfile, features: ["shader-f16"] });
    expect(executable.kernels[0]?.features).toEqual(["shader-f16"]);
    expect(executable.kernels[0]?.source).toContain("enable f16;");
    expect(executable.buffers.map(({ bytes }) => bytes)).toEqual([16, 16]);
  });
});

it("refuses an array beyond the binding limit by name", () => {
  const [x, y] = [newTensor("f32", [40_000_000]), newTensor("f32", [40_000_000])];
  const i = newAxis(40_000_000);
  const kernel = elementwise("neg", [i], [[y, unaryExpr("neg", at(x, i))]]);
  const attempt = (): Executable => generate(kernel, [x], [y], baselineProfile);
  expect(attempt).toThrow(FaxError);
  expect(attempt).toThrow(/FAX2003 neg: the array f32\[40000000\] .*maxStorageBufferBindingSize/);
});
