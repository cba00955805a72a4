import { describe, expect, it } from "vitest";
import { FaxError } from "../diagnostics/index.ts";
import { avalOf } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import { allocateData, type HostArray, hostArray } from "../ir/host-array.ts";
import type { Params } from "../ir/jaxpr.ts";
import { range, type Shape, sizeOf } from "../ir/shape.ts";
import { lowerJaxpr } from "../lower/lower-jaxpr.ts";
import { trace } from "../trace/builder.ts";
import type { Value } from "../trace/ndarray.ts";
import { primitiveOf } from "./define.ts";
import { lax } from "./lax.ts";
import type { UniformPrimitive } from "./primitive.ts";

function uniform(name: string): UniformPrimitive {
  const primitive = primitiveOf(name);
  if (primitive.kind !== "array") throw new Error(`${name} is not an array primitive`);
  return primitive;
}

function array(values: readonly number[], shape: Shape = [values.length], dtype: DType = "f32"): HostArray {
  const data = allocateData(dtype, values.length);
  data.set(values);
  return hostArray(dtype, shape, data);
}

const counting = (...shape: number[]): HostArray => array(range(sizeOf(shape)), shape);
const i32 = (...values: number[]): HostArray => array(values, [values.length], "i32");
const scalar = (value: number, dtype: DType = "i32"): HostArray => array([value], [], dtype);

function run(name: string, inputs: readonly HostArray[], params: Params = {}): number[] {
  return [...(uniform(name).impl(inputs, params)[0]?.data ?? [])];
}

/** The fault of an operation on abstract values. */
function faultOf(shapes: readonly (readonly [DType, Shape])[], body: (args: Value[]) => Value): FaxError {
  try {
    trace(
      shapes.map(([dtype, shape]) => avalOf(dtype, shape)),
      (args) => [body(args)],
    );
  } catch (error) {
    if (error instanceof FaxError) return error;
    throw error;
  }
  throw new Error("no fault");
}

/** The body of the one map that an operation lowers to, as text. */
function lowered(shape: Shape, body: (x: Value) => Value): string {
  const { jaxpr } = trace([avalOf("f32", shape)], ([x]) => [body(x as Value)]);
  const [node] = lowerJaxpr(jaxpr).nodes;
  if (node?.kind !== "map") throw new Error("not a map");
  const names = new Map(node.axes.map((axis, i) => [axis.id, `i${i}`]));
  const print = (e: (typeof node.bodies)[number]): string => {
    if (e.op === "const") return String(e.value);
    if (e.op === "axis") return names.get(e.axis.id) ?? "?";
    if (e.op === "load") return `x[${e.index.map(print).join(", ")}]`;
    if (e.op === "binary") return `${e.fn}(${print(e.x)}, ${print(e.y)})`;
    return e.op;
  };
  return node.bodies.map(print).join("; ");
}

describe("reductions", () => {
  it("reduces the named axes", () => {
    expect(run("reduce_sum", [counting(2, 3)], { axes: [1] })).toEqual([3, 12]);
    expect(run("reduce_sum", [counting(2, 3)], { axes: [0] })).toEqual([3, 5, 7]);
    expect(run("reduce_prod", [array([1, 2, 3, 4])], { axes: [0] })).toEqual([24]);
    expect(run("reduce_max", [array([1, 5, 2, -1], [2, 2])], { axes: [0] })).toEqual([2, 5]);
  });

  it("gives the neutral element over nothing", () => {
    const empty = (dtype: DType) => [array([], [0], dtype)];
    expect(run("reduce_sum", empty("f32"), { axes: [0] })).toEqual([0]);
    expect(run("reduce_prod", empty("i32"), { axes: [0] })).toEqual([1]);
    expect(run("reduce_max", empty("f32"), { axes: [0] })).toEqual([-Infinity]);
    expect(run("reduce_max", empty("i32"), { axes: [0] })).toEqual([-2147483648]);
    expect(run("reduce_min", empty("u32"), { axes: [0] })).toEqual([4294967295]);
    expect(run("reduce_and", empty("bool"), { axes: [0] })).toEqual([1]);
    expect(run("reduce_or", empty("bool"), { axes: [0] })).toEqual([0]);
  });

  it("rounds a sum once, and wraps integers", () => {
    expect(run("reduce_sum", [array([16777216, 1, 1])], { axes: [0] })).toEqual([16777218]);
    expect(run("reduce_sum", [array([2048, 1, 1], [3], "f16")], { axes: [0] })).toEqual([2050]);
    expect(run("reduce_sum", [i32(2147483647, 1)], { axes: [0] })).toEqual([-2147483648]);
    expect(run("reduce_prod", [array([65536, 65536], [2], "u32")], { axes: [0] })).toEqual([0]);
  });

  it("lets NaN win", () => {
    expect(run("reduce_max", [array([1, NaN, 3])], { axes: [0] })).toEqual([NaN]);
    expect(run("argmax", [array([1, NaN, 3, NaN])], { axes: [0] })).toEqual([1]);
    expect(run("argmin", [array([1, NaN, 0])], { axes: [0] })).toEqual([1]);
  });

  it("takes the first of equal extremes", () => {
    expect(run("argmax", [array([2, 5, 5, 1])], { axes: [0] })).toEqual([1]);
    expect(run("argmin", [array([2, 1, 1, 5], [2, 2])], { axes: [0] })).toEqual([1, 0]);
  });

  it("names the user's fault", () => {
    const fault = faultOf([["f32", [2, 3]]], ([x]) => lax.reduce_sum(x as Value, [2]));
    expect(fault.message).toBe(
      "FAX1202 reduce_sum: axis 2 does not exist, the array f32[2,3] has 2 axes (help: legal here: 0, 1)",
    );
    expect(faultOf([["f32", [2, 0]]], ([x]) => lax.argmax(x as Value, 1)).code).toBe("FAX1203");
    expect(faultOf([["bool", [2]]], ([x]) => lax.reduce_sum(x as Value, [0])).code).toBe("FAX1102");
  });
});

describe("movement", () => {
  it("moves elements", () => {
    expect(run("transpose", [counting(2, 3)], { permutation: [1, 0] })).toEqual([0, 3, 1, 4, 2, 5]);
    expect(run("broadcast_in_dim", [counting(2)], { shape: [2, 2], broadcast_dimensions: [0] })).toEqual([0, 0, 1, 1]);
    expect(run("rev", [counting(2, 2)], { dimensions: [1] })).toEqual([1, 0, 3, 2]);
    expect(run("iota", [], { dtype: "i32", shape: [2, 2], dimension: 1 })).toEqual([0, 1, 0, 1]);
    expect(run("concatenate", [counting(2, 1), counting(2, 2)], { dimension: 1 })).toEqual([0, 0, 1, 1, 2, 3]);
  });

  it("slices with strides", () => {
    const params = { start_indices: [1], limit_indices: [8], strides: [3] };
    expect(run("slice", [counting(9)], params)).toEqual([1, 4, 7]);
  });

  it("pads outside, inside, and negatively", () => {
    const x = array([1, 2, 3]);
    const zero = scalar(0, "f32");
    expect(run("pad", [x, zero], { padding_config: [[1, 0, 0]] })).toEqual([0, 1, 2, 3]);
    expect(run("pad", [x, zero], { padding_config: [[0, 1, 1]] })).toEqual([1, 0, 2, 0, 3, 0]);
    expect(run("pad", [x, zero], { padding_config: [[-1, -1, 0]] })).toEqual([2]);
    expect(run("pad", [x, zero], { padding_config: [[-2, 1, 2]] })).toEqual([0, 2, 0, 0, 3, 0]);
  });

  it("lowers an aligned reshape to plain index maps", () => {
    expect(lowered([2, 3, 4], (x) => lax.reshape(x, [2, 1, 3, 4]))).toBe("x[i0, i2, i3]");
    expect(lowered([6, 4], (x) => lax.reshape(x, [2, 3, 4]))).toBe("x[add(mul(i0, 3), i1), i2]");
    expect(lowered([2, 3, 4], (x) => lax.reshape(x, [6, 4]))).toBe("x[div(i0, 3), rem(i0, 3), i1]");
  });

  it("names the user's fault", () => {
    expect(faultOf([["f32", [2, 3]]], ([x]) => lax.reshape(x as Value, [4])).message).toBe(
      "FAX1201 reshape: f32[2,3] has 6 elements, [4] has 4 (help: legal here: any shape of 6 elements)",
    );
    expect(faultOf([["f32", [3]]], ([x]) => lax.broadcast_in_dim(x as Value, [2], [0])).code).toBe("FAX1201");
    expect(faultOf([["f32", [3]]], ([x]) => lax.slice(x as Value, [1], [4])).code).toBe("FAX1203");
    expect(faultOf([["f32", [3]]], ([x]) => lax.transpose(x as Value, [1])).code).toBe("FAX1202");
    expect(faultOf([["f32", [3]]], ([x]) => lax.pad(x as Value, 0, [[-2, -2, 0]])).code).toBe("FAX1203");
    const both: [DType, Shape][] = [
      ["f32", [2]],
      ["i32", [2]],
    ];
    expect(faultOf(both, (args) => lax.concatenate(args, 0)).code).toBe("FAX1102");
  });
});

describe("dot_general", () => {
  const dot = (lhs: HostArray, rhs: HostArray, dimension_numbers: readonly (readonly number[][])[]) =>
    run("dot_general", [lhs, rhs], { dimension_numbers });

  it("contracts", () => {
    const matmul = [
      [[1], [0]],
      [[], []],
    ];
    expect(dot(counting(2, 2), counting(2, 2), matmul)).toEqual([2, 3, 6, 11]);
    expect(
      dot(array([2, 3]), array([5, 7]), [
        [[], []],
        [[], []],
      ]),
    ).toEqual([10, 14, 15, 21]);
    // Row by row: Σ x² of [0 1 2] and of [3 4 5].
    expect(
      dot(counting(2, 3), counting(2, 3), [
        [[1], [1]],
        [[0], [0]],
      ]),
    ).toEqual([5, 50]);
    expect(dot(array([], [2, 0]), array([], [0, 1]), matmul)).toEqual([0, 0]);
  });

  it("makes one larger contraction when one operand is mapped", () => {
    const primitive = uniform("dot_general");
    const params = {
      dimension_numbers: [
        [[0], [0]],
        [[], []],
      ],
    };
    const { jaxpr } = trace([avalOf("f32", [5, 3]), avalOf("f32", [3, 4])], (inputs) => [
      ...primitive.batch({
        inputs,
        dims: [0, null],
        size: 5,
        sizeOf: () => 5,
        params,
        lax,
        batchJaxpr: () => {
          throw new Error("there is no inner Jaxpr");
        },
      }).outputs,
    ]);
    expect(jaxpr.eqns.map((eqn) => eqn.primitive)).toEqual(["dot_general"]);
    expect(jaxpr.outvars[0]?.aval.shape).toEqual([5, 4]);
  });

  it("names the user's fault", () => {
    const shapes: [DType, Shape][] = [
      ["f32", [2, 3]],
      ["f32", [4, 2]],
    ];
    const fault = faultOf(shapes, ([x, y]) =>
      lax.dot_general(x as Value, y as Value, [
        [[1], [0]],
        [[], []],
      ]),
    );
    expect(fault.message).toBe(
      "FAX1201 dot_general: contracting axis 1 of f32[2,3] and axis 0 of f32[4,2] have the sizes 3 and 4 " +
        "(help: legal here: equal sizes)",
    );
  });
});

describe("indexing", () => {
  const rows = {
    offset_dims: [1],
    collapsed_slice_dims: [0],
    start_index_map: [0],
    operand_batching_dims: [],
    start_indices_batching_dims: [],
  };
  const intoRows = {
    update_window_dims: [1],
    inserted_window_dims: [0],
    scatter_dims_to_operand_dims: [0],
    operand_batching_dims: [],
    scatter_indices_batching_dims: [],
  };
  const at = (...values: number[]): HostArray => hostArray("i32", [values.length, 1], Int32Array.from(values));

  it("gathers, clipping or filling what is out of range", () => {
    const params = { dimension_numbers: rows, slice_sizes: [1, 2] };
    expect(run("gather", [counting(3, 2), at(2, -1, 7)], { ...params, mode: "clip" })).toEqual([4, 5, 0, 1, 4, 5]);
    expect(run("gather", [counting(3, 2), at(2, 3)], { ...params, mode: "fill" })).toEqual([4, 5, NaN, NaN]);
    const filled = { ...params, mode: "fill", fill_value: 0 };
    expect(run("gather", [counting(3, 2), at(-1, 1)], filled)).toEqual([0, 0, 2, 3]);
  });

  it("adds up updates that meet, and drops those out of range", () => {
    const updates = array([1, 2, 10, 20, 100, 200], [3, 2]);
    const params = { dimension_numbers: intoRows, mode: "fill" };
    expect(run("scatter_add", [counting(2, 2), at(1, 1, 5), updates], params)).toEqual([0, 1, 13, 25]);
  });

  it("clamps the start of a window", () => {
    const x = counting(4);
    expect(run("dynamic_slice", [x, scalar(1)], { slice_sizes: [2] })).toEqual([1, 2]);
    expect(run("dynamic_slice", [x, scalar(9)], { slice_sizes: [2] })).toEqual([2, 3]);
    expect(run("dynamic_slice", [x, scalar(-9)], { slice_sizes: [2] })).toEqual([0, 1]);
    expect(run("dynamic_update_slice", [x, array([7, 8]), scalar(3)])).toEqual([0, 1, 7, 8]);
  });

  it("names the user's fault", () => {
    expect(faultOf([["f32", [3]]], ([x]) => lax.dynamic_slice(x as Value, [0], [4])).message).toBe(
      "FAX1203 dynamic_slice: a window of size 4 does not fit axis 0 of f32[3] (help: legal here: 0 to 3)",
    );
    expect(faultOf([["f32", [3]]], ([x]) => lax.dynamic_slice(x as Value, [], [2])).code).toBe("FAX1203");
    const shapes: [DType, Shape][] = [
      ["f32", [3, 2]],
      ["f32", [4, 1]],
    ];
    const options = { dimension_numbers: rows, slice_sizes: [1, 2] };
    expect(faultOf(shapes, ([x, i]) => lax.gather(x as Value, i as Value, options)).code).toBe("FAX1102");
  });
});
