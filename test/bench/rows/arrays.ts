/** Products, chains and reductions: one operation, or one that fusion makes one. */
import { roundToF16 } from "../../../compiler/src/ir/host-array.ts";
import type { HostArray } from "@fax/compiler/executable";
import type { OnnxGraph } from "../libraries/onnx-model.ts";
import { bytesOf, type Expected, type Row, sizeOf, uniform } from "./row.ts";

const million = 1024 * 1024;

/** Of a product: `[batch, m, k, n]`, and the shapes of its factors. */
interface Product {
  readonly name: string;
  readonly sizes: readonly [number, number, number, number];
  readonly shapes: readonly [readonly number[], readonly number[]];
  readonly dtype?: "f32" | "f16";
}

function productRow({ name, sizes, shapes: [left, right], dtype = "f32" }: Product): Row {
  const [batch, m, k, n] = sizes;
  return {
    name,
    mode: "call",
    flops: 2 * batch * m * k * n,
    bytes: (bytesOf(sizeOf(left), sizeOf(right), batch * m * n) * (dtype === "f16" ? 2 : 4)) / 4,
    inputs: () => [cast(uniform(1, left), dtype), cast(uniform(2, right, k ** -0.5), dtype)],
    program: (ops, input) => [ops.matmul(input(0), input(1))],
    onnx: { nodes: [{ op: "MatMul", inputs: ["x0", "x1"], output: "y" }] },
    expected: ([x, y]) => productSamples(x, y, sizes),
    tolerance: dtype === "f16" ? 2e-3 : 1e-5,
  };
}

export function matmul(size: number, dtype: "f32" | "f16"): Row {
  const shape = [size, size];
  return {
    ...productRow({ name: `matmul ${size} ${dtype}`, sizes: [1, size, size, size], shapes: [shape, shape], dtype }),
    ...(dtype === "f16" ? { needs: "shader-f16" } : {}),
    product: { element: dtype, size },
  };
}

function cast(array: HostArray, dtype: "f32" | "f16"): HostArray {
  return dtype === "f32" ? array : { ...array, dtype, data: array.data.map(roundToF16) };
}

/** Some elements of a batched product, `[batch, m, k, n]`. */
function productSamples(
  x: HostArray | undefined,
  y: HostArray | undefined,
  [batch, m, k, n]: readonly [number, number, number, number],
): Expected[] {
  return Array.from({ length: 64 }, (_, i) => {
    const index = (i * 7919 * 104729) % (batch * m * n);
    const [b, row, column] = [Math.floor(index / (m * n)), Math.floor(index / n) % m, index % n];
    let value = 0;
    for (let j = 0; j < k; j++) {
      value += (x?.data[(b * m + row) * k + j] ?? NaN) * (y?.data[(b * k + j) * n + column] ?? NaN);
    }
    return { output: 0, index, value };
  });
}

function batchedMatmul(batch: number, size: number): Row {
  const shape = [batch, size, size];
  const name = `batched matmul ${batch}×${size}`;
  return productRow({ name, sizes: [batch, size, size, size], shapes: [shape, shape] });
}

/** Few results, long sums. */
function thinMatmul(size: number, inner: number): Row {
  const shapes = [
    [size, inner],
    [inner, size],
  ] as const;
  return productRow({ name: `matmul ${size}×${inner}×${size}`, sizes: [1, size, inner, size], shapes });
}

function matvec(size: number): Row {
  return productRow({ name: `matvec ${size}`, sizes: [1, size, size, 1], shapes: [[size, size], [size]] });
}

function chain(elements: number): Row {
  return {
    name: `chain of 10 over ${elements / million} M`,
    mode: "call",
    flops: 10 * elements,
    bytes: 2 * bytesOf(elements),
    inputs: () => [uniform(1, [elements])],
    program: (ops, input) => {
      let y = input(0);
      for (let i = 0; i < 5; i++) y = ops.add(ops.mul(y, 1 + i / 16), i / 8);
      return [y];
    },
    onnx: chainGraph(),
    expected: ([x]) =>
      Array.from({ length: 64 }, (_, i) => {
        const index = (i * 104729) % elements;
        let value = x?.data[index] ?? NaN;
        for (let j = 0; j < 5; j++) value = value * (1 + j / 16) + j / 8;
        return { output: 0, index, value };
      }),
    tolerance: 1e-5,
  };
}

function chainGraph(): OnnxGraph {
  const scalars: Record<string, number> = {};
  const nodes = Array.from({ length: 5 }, (_, i) => {
    scalars[`m${i}`] = 1 + i / 16;
    scalars[`a${i}`] = i / 8;
    return [
      { op: "Mul", inputs: [i === 0 ? "x0" : `s${i - 1}`, `m${i}`], output: `p${i}` },
      { op: "Add", inputs: [`p${i}`, `a${i}`], output: i === 4 ? "y" : `s${i}` },
    ];
  });
  return { nodes: nodes.flat(), scalars };
}

function total({ data }: HostArray): number {
  let result = 0;
  for (const value of data) result += value;
  return result;
}

function sum(elements: number): Row {
  return {
    name: `sum of ${elements / million} M`,
    mode: "call",
    flops: elements,
    bytes: bytesOf(elements),
    inputs: () => [{ ...uniform(1, [elements]), data: uniform(1, [elements]).data.map(Math.abs) }],
    program: (ops, input) => [ops.sum(input(0))],
    onnx: { nodes: [{ op: "ReduceSum", inputs: ["x0"], output: "y", integers: { keepdims: 0 } }] },
    expected: ([x]) => [{ output: 0, index: 0, value: total(x as HostArray) }],
    tolerance: 1e-4,
  };
}

/** Rows of a square, by plain JavaScript on the first of them. */
function ofRows(
  name: string,
  size: number,
  {
    flops,
    program,
    onnx,
    row,
  }: Required<Pick<Row, "program" | "onnx">> & { flops: number; row: (x: readonly number[]) => number[] },
): Row {
  return {
    name: `${name} ${size}²`,
    mode: "call",
    flops: flops * size * size,
    bytes: bytesOf(2 * size * size),
    inputs: () => [uniform(1, [size, size], 3), uniform(2, [size]), uniform(3, [size])],
    program,
    onnx,
    expected: ([x]) =>
      row([...(x as HostArray).data.subarray(0, size)]).map((value, index) => ({ output: 0, index, value })),
    tolerance: 1e-4,
  };
}

const softmax = (size: number): Row =>
  ofRows("softmax", size, {
    flops: 5,
    program: (ops, input) => [ops.softmax(input(0))],
    onnx: { nodes: [{ op: "Softmax", inputs: ["x0"], output: "y", integers: { axis: -1 } }] },
    row: (x) => {
      const largest = Math.max(...x);
      const powers = x.map((v) => Math.exp(v - largest));
      const total = powers.reduce((a, b) => a + b, 0);
      return powers.map((v) => v / total);
    },
  });

const layerNorm = (size: number): Row => ({
  ...ofRows("layer norm", size, {
    flops: 8,
    program: (ops, input) => [ops.layerNorm(input(0), input(1), input(2))],
    onnx: {
      nodes: [{ op: "LayerNormalization", inputs: ["x0", "x1", "x2"], output: "y", integers: { axis: -1 } }],
    },
    row: (x) => [...x],
  }),
  expected: ([x, scale, bias]) => {
    const row = [...(x as HostArray).data.subarray(0, size)];
    const mean = row.reduce((a, b) => a + b, 0) / size;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
    return row.map((v, index) => ({
      output: 0,
      index,
      value: ((v - mean) / Math.sqrt(variance + 1e-5)) * (scale?.data[index] ?? NaN) + (bias?.data[index] ?? NaN),
    }));
  },
});

/** A GPU's caches hold the arrays of the ordinary rows: those that are about its memory are larger. */
function largeRows(): Row[] {
  return [chain(64 * million), sum(64 * million), softmax(8192), layerNorm(8192)];
}

export function arrayRows(quick: boolean, adapter: "cpu" | "gpu"): Row[] {
  const sizes = quick ? [256, 512] : [256, 512, 1024, 2048, ...(adapter === "gpu" ? [4096] : [])];
  const large = (quick ? 1 : 4) * million;
  return [
    ...sizes.map((size) => matmul(size, "f32")),
    ...sizes.map((size) => matmul(size, "f16")),
    batchedMatmul(quick ? 64 : 256, 64),
    thinMatmul(32, quick ? 8192 : 65536),
    matvec(quick ? 1024 : 2048),
    chain(large),
    sum(large),
    softmax(quick ? 512 : 1024),
    layerNorm(quick ? 512 : 1024),
    ...(adapter === "gpu" && !quick ? largeRows() : []),
  ];
}
