/** Changes of element type, and the end of differentiation. */
import { FaxError, InternalError, invariant } from "../diagnostics/index.ts";
import { avalOf } from "../ir/aval.ts";
import { byteSize, type DType, dtypes, isFloat } from "../ir/dtype.ts";
import { allocateHostArray, type HostArray, hostArray, type HostData } from "../ir/host-array.ts";
import type { Params } from "../ir/jaxpr.ts";
import { bind } from "../trace/bind.ts";
import type { Value } from "../trace/ndarray.ts";
import { define } from "./define.ts";
import { elementwise, lowerElements } from "./elementwise.ts";
import { given, samplesOf, specialFloats, specialI32, specialU32 } from "./elementwise-samples.ts";
import { rounded } from "./host-strides.ts";
import { isLinear } from "./linear-rules.ts";
import type { Sample, UniformPrimitive } from "./primitive.ts";

interface ConvertParams extends Params {
  readonly new_dtype: DType;
  readonly weak_type: boolean;
}

const convertPrimitive: UniformPrimitive<ConvertParams> = elementwise<ConvertParams>({
  name: "convert_element_type",
  doc: "x as another dtype: floats truncate towards 0 and saturate, NaN gives 0; to bool is ≠ 0. JAX lax.convert_element_type",
  abstractEval: ([x], { new_dtype, weak_type }) => {
    invariant(x !== undefined, "convert_element_type needs an operand");
    return [avalOf(new_dtype, x.shape, { weak: weak_type })];
  },
  impl: ([x], { new_dtype }) => {
    invariant(x !== undefined, "convert_element_type needs an operand");
    const output = allocateHostArray(new_dtype, x.shape);
    const convert = conversion(x.dtype, new_dtype);
    for (let i = 0; i < output.data.length; i++) output.data[i] = convert(x.data[i] as number);
    return [output];
  },
  jvp: ({ primals, tangents: [t], params, lax }) => {
    const outputs = bind(convertPrimitive, primals, params);
    return {
      outputs,
      tangents: [t && isFloat(params.new_dtype) ? lax.convert_element_type(t, params.new_dtype) : null],
    };
  },
  transpose: ({ cotangents: [ct], inputs: [x], lax }) => {
    if (!isLinear(x) || !ct) throw new InternalError("convert_element_type is linear in its operand");
    return [lax.convert_element_type(ct, x.aval.dtype)];
  },
  lower: ({ inputs, outputs, params, ctx }) =>
    lowerElements(inputs, outputs, ctx, ([x]) => {
      invariant(x !== undefined, "convert_element_type needs an operand");
      return ctx.expr.castExpr(x, params.new_dtype);
    }),
  samples: convertSamples(),
});

export const convert_element_type = define(
  convertPrimitive,
  (emit) =>
    (x: Value, dtype: DType, { weak = false }: { weak?: boolean } = {}): Value =>
      x.dtype === dtype && x.aval.weak === weak ? x : emit([x], { new_dtype: dtype, weak_type: weak }),
);

/** Integers wrap into each other when they are stored; floats saturate. */
function conversion(from: DType, to: DType): (x: number) => number {
  switch (to) {
    case "f32":
    case "f16":
      return (x) => rounded(to, x);
    case "i32":
      return isFloat(from) ? (x) => integerIn(x, -(2 ** 31), 2 ** 31 - 1) : (x) => x;
    case "u32":
      return isFloat(from) ? (x) => integerIn(x, 0, 2 ** 32 - 1) : (x) => x;
    case "bool":
      return (x) => (x === 0 ? 0 : 1);
    default:
      return to satisfies never;
  }
}

function integerIn(x: number, least: number, greatest: number): number {
  return Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), least), greatest);
}

function convertSamples(): Sample<ConvertParams>[] {
  const edges: Record<DType, readonly number[]> = {
    f32: [...specialFloats, 2.7, -2.7, 1e10, -1e10, 3e9, 16777217, 65519, 65520, 1 / 3, 2049],
    f16: [...specialFloats, 2.75, -2.75, 65504, -65504],
    i32: [...specialI32, 16777217, 2049, 65520],
    u32: [...specialU32, 16777217, 2049, 65520],
    bool: [0, 1],
  };
  return dtypes.flatMap((from) =>
    dtypes.flatMap((to) =>
      samplesOf<ConvertParams>({
        params: { new_dtype: to, weak_type: false },
        dtypes: [from],
        floats: [[-3, 3]],
        integers: [[-9, 9]],
        edges: { [from]: [edges[from]] },
      })
        .filter((sample) => from === to || sample.name.startsWith("edges") || sample.inputs[0]?.shape.length === 2)
        .map((sample) => ({
          ...sample,
          name: `${sample.name} to ${to}`,
          smooth: (sample.smooth ?? true) && to === "f32",
        })),
    ),
  );
}

interface BitcastParams extends Params {
  readonly new_dtype: DType;
}

const bitcastPrimitive: UniformPrimitive<BitcastParams> = elementwise<BitcastParams>({
  name: "bitcast_convert_type",
  doc: "The same bits read as another dtype of the same width. JAX lax.bitcast_convert_type",
  abstractEval: ([x], { new_dtype }) => {
    invariant(x !== undefined, "bitcast_convert_type needs an operand");
    const legal = sameWidth(x.dtype);
    if (legal.includes(new_dtype)) return [avalOf(new_dtype, x.shape)];
    throw new FaxError({
      code: "FAX1102",
      message: `bitcast_convert_type: the operand has the dtype ${x.dtype}, whose bits cannot be read as ${new_dtype}`,
      help: legal.length === 0 ? "convert the bool to u32 first" : `legal here: ${legal.join(", ")}`,
    });
  },
  impl: ([x], { new_dtype }) => {
    invariant(x !== undefined, "bitcast_convert_type needs an operand");
    return [reinterpreted(x, new_dtype)];
  },
  jvp: ({ primals, params }) => ({ outputs: bind(bitcastPrimitive, primals, params), tangents: [null] }),
  transpose: "not linear",
  lower: ({ inputs, outputs, params, ctx }) =>
    lowerElements(inputs, outputs, ctx, ([x]) => {
      invariant(x !== undefined, "bitcast_convert_type needs an operand");
      return ctx.expr.bitcastExpr(x, params.new_dtype);
    }),
  samples: bitcastSamples(),
});

export const bitcast_convert_type = define(
  bitcastPrimitive,
  (emit) =>
    (x: Value, dtype: DType): Value =>
      emit([x], { new_dtype: dtype }),
);

function sameWidth(dtype: DType): readonly DType[] {
  if (dtype === "bool") return [];
  return dtypes.filter((other) => other !== "bool" && byteSize(other) === byteSize(dtype));
}

function reinterpreted(x: HostArray, dtype: DType): HostArray {
  // A copy of the bytes, since going through numbers could change the payload of a NaN.
  const { buffer } = x.data.slice() as HostData & { readonly buffer: ArrayBuffer };
  switch (dtype) {
    case "f32":
    case "f16":
      return hostArray(dtype, x.shape, new Float32Array(buffer));
    case "i32":
      return hostArray(dtype, x.shape, new Int32Array(buffer));
    case "u32":
      return hostArray(dtype, x.shape, new Uint32Array(buffer));
    case "bool":
      throw new InternalError("bitcast_convert_type to bool");
    default:
      return dtype satisfies never;
  }
}

function bitcastSamples(): Sample<BitcastParams>[] {
  const words: Readonly<Partial<Record<DType, readonly number[]>>> = {
    f32: [1, -1, 0, -0, Infinity, -Infinity, 1.5, 3e38, 1e-30],
    i32: [0x3f800000, -0x40800000, 0x7f7fffff, 0x00800000, 0],
    u32: [0x3f800000, 0xbf800000, 0x7f7fffff, 0x80000000, 0],
  };
  return (["f32", "i32", "u32"] as const).flatMap((from) =>
    sameWidth(from).flatMap((to): Sample<BitcastParams>[] => [
      { name: `${from} to ${to}`, inputs: given(from, [words[from] ?? []]), params: { new_dtype: to }, smooth: false },
      {
        name: `an empty array of ${from} to ${to}`,
        inputs: [{ dtype: from, shape: [0, 2] }],
        params: { new_dtype: to },
        smooth: false,
      },
    ]),
  );
}

const stopGradientPrimitive: UniformPrimitive<Params> = elementwise<Params>({
  name: "stop_gradient",
  doc: "x, taken as constant by differentiation. JAX lax.stop_gradient",
  abstractEval: ([x]) => {
    invariant(x !== undefined, "stop_gradient needs an operand");
    return [x];
  },
  impl: (inputs) => inputs,
  jvp: ({ primals, params }) => ({ outputs: bind(stopGradientPrimitive, primals, params), tangents: [null] }),
  transpose: "not linear",
  lower: ({ inputs }) => inputs,
  samples: samplesOf<Params>({
    params: {},
    dtypes: ["f32", "f16", "i32", "u32", "bool"],
    floats: [[-2, 2]],
    integers: [[-9, 9]],
    edges: { f32: [specialFloats] },
  }).map((sample) => ({ ...sample, smooth: false })),
});

export const stop_gradient = define(
  stopGradientPrimitive,
  (emit) =>
    (x: Value): Value =>
      emit([x], {}),
);
