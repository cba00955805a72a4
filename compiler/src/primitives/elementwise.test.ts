import { describe, expect, it } from "vitest";
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import { allocateData, hostArray, type HostArray } from "../ir/host-array.ts";
import { evaluate } from "../interpret/evaluate.ts";
import type { Jaxpr, Params } from "../ir/jaxpr.ts";
import { server } from "../ir/placement.ts";
import { trace } from "../trace/builder.ts";
import type { Value } from "../trace/ndarray.ts";
import { jvpJaxpr } from "../transforms/jvp.ts";
import { primitiveOf } from "./define.ts";
import { lax } from "./lax.ts";
import type { UniformPrimitive } from "./primitive.ts";

const elementwiseNames = [
  ..."neg abs sign floor ceil round exp log log1p expm1 sin cos tanh logistic sqrt rsqrt erf is_finite".split(" "),
  ..."integer_pow stop_gradient add sub mul div rem pow max min eq ne lt le gt ge and or xor not".split(" "),
  ..."shift_left shift_right_logical shift_right_arithmetic select convert_element_type".split(" "),
  ..."bitcast_convert_type threefry2x32".split(" "),
];

function uniform(name: string): UniformPrimitive {
  const primitive = primitiveOf(name);
  if (primitive.kind !== "elementwise") throw new Error(`${name} is not elementwise`);
  return primitive;
}

function array(dtype: DType, values: readonly number[], shape: readonly number[] = [values.length]): HostArray {
  const data = allocateData(dtype, values.length);
  data.set(values);
  return hostArray(dtype, shape, data);
}

/** The first result on operands of rank 1; a number stands for a scalar. */
function run(name: string, dtype: DType, operands: readonly (number | readonly number[])[], params: Params = {}) {
  const inputs = operands.map((x) => (typeof x === "number" ? array(dtype, [x], []) : array(dtype, x)));
  return [...(uniform(name).impl(inputs, params)[0]?.data ?? [])];
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof FaxError) return error.code;
    throw error;
  }
  return "none";
}

const batchArgs = {
  params: {},
  lax,
  sizeOf: () => 2,
  batchJaxpr: (): never => {
    throw new Error("an elementwise primitive has no Jaxpr");
  },
};

function evaluated(jaxpr: Jaxpr, inputs: readonly HostArray[]): number[][] {
  const placed = inputs.map((member) => ({ placement: server, members: [member] }));
  return evaluate(jaxpr, placed).map(({ members: [member] }) => [...(member?.data ?? [])]);
}

/** The primitives of the Jaxpr that `body` traces on inputs of the given types. */
function traced(avals: readonly Aval[], body: (...args: Value[]) => readonly Value[]): string[] {
  return trace(avals, (args) => body(...args), { source: null }).jaxpr.eqns.map((eqn) => eqn.primitive);
}

describe("every elementwise primitive", () => {
  it.each(elementwiseNames)("%s: types of its samples are those of its results", (name) => {
    const { samples, abstractEval, impl } = uniform(name);
    expect(samples.length).toBeGreaterThan(2);
    for (const { inputs, params } of samples) {
      const outputs = abstractEval(
        inputs.map(({ dtype, shape }) => avalOf(dtype, shape)),
        params,
      );
      const results = impl(
        inputs.map(({ dtype, shape, values }) => {
          const size = shape.reduce((product, length) => product * length, 1);
          return array(dtype, values ?? new Array<number>(size).fill(1), shape);
        }),
        params,
      );
      expect(results.map(({ dtype, shape }) => ({ dtype, shape }))).toEqual(
        outputs.map(({ dtype, shape }) => ({ dtype, shape })),
      );
    }
  });
});

describe("integers", () => {
  it("wrap", () => {
    expect(run("add", "i32", [[2 ** 31 - 1], [1]])).toEqual([-(2 ** 31)]);
    expect(run("mul", "i32", [[123456789], [987654321]])).toEqual([-67153019]);
    expect(run("mul", "u32", [[0xffffffff], [0xffffffff]])).toEqual([1]);
    expect(run("sub", "u32", [[0], [1]])).toEqual([0xffffffff]);
    expect(run("neg", "u32", [[1]])).toEqual([0xffffffff]);
    expect(run("abs", "i32", [[-(2 ** 31)]])).toEqual([-(2 ** 31)]);
    expect(run("integer_pow", "i32", [[3, -3, 46341]], { y: 21 })).toEqual([1870418611, -1870418611, 1231402997]);
  });

  it("divide towards zero, and by zero as XLA does", () => {
    expect(
      run("div", "i32", [
        [7, -7, 7, -7, 5, -(2 ** 31)],
        [2, 2, -2, -2, 0, -1],
      ]),
    ).toEqual([3, -3, -3, 3, -1, -(2 ** 31)]);
    expect(
      run("rem", "i32", [
        [7, -7, 7, -7, 5, -(2 ** 31)],
        [2, 2, -2, -2, 0, -1],
      ]),
    ).toEqual([1, -1, 1, -1, 5, 0]);
    expect(
      run("div", "u32", [
        [0xffffffff, 5],
        [2, 0],
      ]),
    ).toEqual([0x7fffffff, 0xffffffff]);
  });

  it("shift all bits out at 32", () => {
    expect(
      run("shift_left", "i32", [
        [1, 1, 1, 1],
        [31, 32, 33, -1],
      ]),
    ).toEqual([-(2 ** 31), 0, 0, 0]);
    expect(
      run("shift_right_logical", "i32", [
        [-1, -1],
        [28, 32],
      ]),
    ).toEqual([15, 0]);
    expect(
      run("shift_right_arithmetic", "i32", [
        [-8, -8, 8],
        [1, 40, 40],
      ]),
    ).toEqual([-4, -1, 0]);
    expect(run("shift_right_arithmetic", "u32", [[0x80000000], [4]])).toEqual([0xf8000000]);
  });

  it("are complemented bitwise, bools logically", () => {
    expect(run("not", "i32", [[0, -1]])).toEqual([-1, 0]);
    expect(run("not", "u32", [[0]])).toEqual([0xffffffff]);
    expect(run("not", "bool", [[0, 1]])).toEqual([1, 0]);
  });
});

describe("floats", () => {
  it("keep NaN and signed zero", () => {
    expect(
      run("max", "f32", [
        [NaN, 1, 2],
        [1, NaN, 3],
      ]),
    ).toEqual([NaN, NaN, 3]);
    expect(
      run("min", "f32", [
        [NaN, 1, 2],
        [1, NaN, 3],
      ]),
    ).toEqual([NaN, NaN, 2]);
    expect(run("sign", "f32", [[NaN, -0, 0, -3]])).toEqual([NaN, -0, 0, -1]);
    expect(run("is_finite", "f32", [[NaN, Infinity, -Infinity, 3e38]])).toEqual([0, 0, 0, 1]);
  });

  it("round halves to even", () => {
    expect(run("round", "f32", [[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, NaN, Infinity, 8388609]])).toEqual([
      0,
      2,
      2,
      -0,
      -2,
      -2,
      2,
      NaN,
      Infinity,
      8388609,
    ]);
  });

  it("round f32 and f16 once", () => {
    expect(run("add", "f32", [[16777216], [1]])).toEqual([16777216]);
    expect(
      run("add", "f16", [
        [2048, 65504],
        [1, 32],
      ]),
    ).toEqual([2048, Infinity]);
    expect(run("div", "f16", [[1], [3]])).toEqual([0.333251953125]);
  });

  it("take powers as IEEE 754 does", () => {
    expect(
      run("pow", "f32", [
        [1, -1, 0, 0, -8, NaN],
        [NaN, Infinity, 0, -1, 3, 0],
      ]),
    ).toEqual([1, 1, 1, Infinity, -512, 1]);
    expect(run("pow", "f32", [[-8], [1 / 3]])).toEqual([NaN]);
    expect(run("integer_pow", "f32", [[2, -2, 0]], { y: -3 })).toEqual([0.125, -0.125, Infinity]);
  });

  it("have the error function to f32's precision", () => {
    const expected = [0, 0.1124629160182849, 0.8427007929497149, -0.9953222650189527, 0.9999779095030014, 1, -1];
    const values = run("erf", "f32", [[0, 0.1, 1, -2, 3, 7, -Infinity]]);
    expected.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 7));
    expect(run("erf", "f32", [[NaN]])).toEqual([NaN]);
    expect(run("erf", "f32", [[1e-20]])[0]).toBeCloseTo(1.128379167095512e-20, 26);
  });

  it("take a scalar beside an array", () => {
    expect(run("sub", "f32", [[1, 2, 3], 1])).toEqual([0, 1, 2]);
    expect(run("sub", "f32", [1, [1, 2, 3]])).toEqual([0, -1, -2]);
    expect(run("sub", "f32", [1, []])).toEqual([]);
  });
});

describe("convert_element_type", () => {
  const convert = (from: DType, to: DType, values: readonly number[]): number[] =>
    run("convert_element_type", from, [values], { new_dtype: to, weak_type: false });

  it("truncates and saturates", () => {
    expect(convert("f32", "i32", [2.7, -2.7, NaN, Infinity, -1e10])).toEqual([2, -2, 0, 2 ** 31 - 1, -(2 ** 31)]);
    expect(convert("f32", "u32", [2.7, -2.7, NaN, 1e10])).toEqual([2, 0, 0, 2 ** 32 - 1]);
  });

  it("wraps between integers and rounds to floats", () => {
    expect(convert("i32", "u32", [-1])).toEqual([0xffffffff]);
    expect(convert("u32", "i32", [0xffffffff])).toEqual([-1]);
    expect(convert("i32", "f32", [16777217])).toEqual([16777216]);
    expect(convert("f32", "f16", [65519, 65520, 2049])).toEqual([65504, Infinity, 2048]);
    expect(convert("f32", "bool", [0, -0, NaN, 0.1])).toEqual([0, 0, 1, 1]);
  });

  it("reads bits", () => {
    expect(run("bitcast_convert_type", "f32", [[1, -0]], { new_dtype: "u32" })).toEqual([0x3f800000, 0x80000000]);
    expect(run("bitcast_convert_type", "u32", [[0x40490fdb]], { new_dtype: "f32" })[0]).toBeCloseTo(Math.PI, 6);
  });
});

describe("threefry2x32", () => {
  it("gives Random123's known answers", () => {
    const inputs = [
      [0, 0xffffffff, 0x13198a2e],
      [0, 0xffffffff, 0x03707344],
      [0, 0xffffffff, 0x243f6a88],
      [0, 0xffffffff, 0x85a308d3],
    ].map((words) => array("u32", words));
    const [y0, y1] = uniform("threefry2x32").impl(inputs, {});
    expect([...(y0?.data ?? [])]).toEqual([0x6b200159, 0x1cb996fc, 0xc4923a9c]);
    expect([...(y1?.data ?? [])]).toEqual([0x99ba4efe, 0xbb002be7, 0x483df7a0]);
  });
});

describe("types", () => {
  const f32 = avalOf("f32", [2]);
  const weak = avalOf("f32", [], { weak: true });
  const outputOf = (name: string, inputs: readonly Aval[]): Aval | undefined =>
    uniform(name).abstractEval(inputs, {})[0];

  it("are weak if all operands are", () => {
    expect(outputOf("add", [weak, weak])?.weak).toBe(true);
    expect(outputOf("add", [f32, weak])).toEqual(f32);
    expect(outputOf("lt", [weak, weak])).toEqual(avalOf("bool", []));
    expect(outputOf("select", [avalOf("bool", []), weak, weak])?.weak).toBe(true);
  });

  it("must agree", () => {
    expect(codeOf(() => outputOf("add", [f32, avalOf("i32", [2])]))).toBe("FAX1102");
    expect(codeOf(() => outputOf("add", [f32, avalOf("f32", [3])]))).toBe("FAX1201");
    expect(codeOf(() => outputOf("exp", [avalOf("i32", [2])]))).toBe("FAX1102");
    expect(codeOf(() => outputOf("select", [f32, f32, f32]))).toBe("FAX1102");
    expect(codeOf(() => uniform("integer_pow").abstractEval([avalOf("i32", [2])], { y: -1 }))).toBe("FAX1203");
    expect(codeOf(() => uniform("bitcast_convert_type").abstractEval([f32], { new_dtype: "f16" }))).toBe("FAX1102");
  });

  it("of numbers are those of the array beside them", () => {
    expect(traced([avalOf("i32", [2])], (x) => [lax.add(x as Value, 2)])).toEqual(["add"]);
    expect(codeOf(() => traced([avalOf("i32", [2])], (x) => [lax.add(x as Value, 2.5)]))).toBe("FAX1102");
    expect(codeOf(() => traced([f32, avalOf("f32", [])], (x, y) => [lax.add(x as Value, y as Value)]))).toBe("FAX1201");
  });
});

describe("derivatives", () => {
  const tangentsOf = (
    operation: "max" | "min" | "pow",
    x: number[],
    y: number[],
    tx: number[],
    ty: number[],
  ): number[] => {
    const avals = [avalOf("f32", [x.length]), avalOf("f32", [y.length])];
    const { jaxpr } = trace(avals, ([a, b]) => [lax[operation](a as Value, b as Value)], { source: null });
    return (
      evaluated(
        jvpJaxpr(jaxpr, [true, true]).jaxpr,
        [x, y, tx, ty].map((values) => array("f32", values)),
      )[1] ?? []
    );
  };

  it("of equal operands of max and min are shared", () => {
    expect(tangentsOf("max", [1, 2, 3], [2, 2, 2], [10, 10, 10], [30, 30, 30])).toEqual([30, 20, 10]);
    expect(tangentsOf("min", [1, 2, 3], [2, 2, 2], [10, 10, 10], [30, 30, 30])).toEqual([10, 20, 30]);
  });

  it("of powers are finite at a base or an exponent of zero", () => {
    expect(tangentsOf("pow", [0, 0, 0, 3], [2, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0])).toEqual([0, 1, 0, 0]);
    expect(tangentsOf("pow", [0, 0, 1], [2, 0, 5], [0, 0, 0], [1, 1, 1])).toEqual([0, 0, 0]);
  });

  it("of a power with a literal base stage no arithmetic on literals alone", () => {
    const { jaxpr } = trace([avalOf("f32", [3])], ([y]) => [lax.pow(2, y as Value)], { source: null });
    expect(jvpJaxpr(jaxpr, [true]).jaxpr.eqns.map((eqn) => eqn.primitive)).toEqual(["pow", "mul", "mul"]);
  });
});

describe("batching", () => {
  it("aligns operands that are mapped along different axes, or not at all", () => {
    const size = 2;
    const avals = [avalOf("f32", [3, 2]), avalOf("f32", [2, 3]), avalOf("f32", [3])];
    const { jaxpr } = trace(
      avals,
      (args) => {
        const product = uniform("mul").batch({ ...batchArgs, inputs: args.slice(0, 2), dims: [1, 0], size });
        const [value] = product.outputs;
        const inputs = [value as Value, args[2] as Value];
        const sum = uniform("add").batch({ ...batchArgs, inputs, dims: [product.dims[0] ?? null, null], size });
        expect(sum.dims).toEqual([1]);
        return sum.outputs;
      },
      { source: null },
    );
    const columns = hostArray("f32", [3, 2], new Float32Array([1, 10, 2, 20, 3, 30]));
    const rows = hostArray("f32", [2, 3], new Float32Array([1, 2, 3, 4, 5, 6]));
    const results = evaluated(jaxpr, [columns, rows, array("f32", [0.5, 0.25, 0])]);
    expect(results).toEqual([[1.5, 40.5, 4.25, 100.25, 9, 180]]);
  });
});
