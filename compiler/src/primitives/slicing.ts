/** Cutting arrays and padding them. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { allocateHostArray, type HostArray, scalarOf } from "../ir/host-array.ts";
import { type Shape, stridesOf } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import type { Value } from "../trace/ndarray.ts";
import { checkCounts, inserted } from "./axes.ts";
import { batchedAtFront, onlyDim } from "./batching.ts";
import { define, operands } from "./define.ts";
import { positionOf, stridedCopy } from "./host-strides.ts";
import type { Lax } from "./lax-types.ts";
import { isLinear, linearJvp, linearTranspose } from "./linear-rules.ts";
import type { Lowered } from "./primitive.ts";

type SliceParams = {
  readonly start_indices: readonly number[];
  readonly limit_indices: readonly number[];
  /** Absent: all 1. */
  readonly strides?: readonly number[];
};

function stridesOfSlice({ start_indices, strides }: SliceParams): readonly number[] {
  return strides ?? start_indices.map(() => 1);
}

function slicedShape(params: SliceParams): number[] {
  const strides = stridesOfSlice(params);
  return params.start_indices.map((start, axis) => {
    const length = (params.limit_indices[axis] as number) - start;
    return Math.ceil(length / (strides[axis] as number));
  });
}

/** `x[start : limit : stride]` on every axis. */
export const slice = define<SliceParams, Lax["slice"]>(
  {
    name: "slice",
    kind: "array",
    doc: "out[i] = x[start + i · stride], up to limit. [JAX lax.slice]",
    abstractEval: (inputs, params) => {
      const [x] = inputs as readonly [Aval];
      const ndim = x.shape.length;
      checkCounts("slice", "start_indices", params.start_indices, ndim, 0);
      checkCounts("slice", "limit_indices", params.limit_indices, ndim, 0);
      checkCounts("slice", "strides", stridesOfSlice(params), ndim, 1);
      x.shape.forEach((size, axis) => {
        const start = params.start_indices[axis] as number;
        const limit = params.limit_indices[axis] as number;
        if (start <= limit && limit <= size) return;
        throw new FaxError({
          code: "FAX1203",
          message: `slice: ${start}:${limit} does not lie within axis ${axis} of ${formatAval(x, false)}`,
          help: `legal here: 0 ≤ start ≤ limit ≤ ${size}`,
        });
      });
      return [avalOf(x.dtype, slicedShape(params), { weak: x.weak })];
    },
    impl: (inputs, params) => {
      const [x] = inputs as readonly [HostArray];
      const from = stridesOf(x.shape);
      const strides = stridesOfSlice(params).map((stride, axis) => stride * (from[axis] as number));
      return [stridedCopy(x, slicedShape(params), strides, positionOf(params.start_indices, from))];
    },
    jvp: linearJvp((lax, x, params) => lax.slice(x, params.start_indices, params.limit_indices, params.strides)),
    transpose: linearTranspose((lax, ct, input, params) => {
      const strides = stridesOfSlice(params);
      const config = input.shape.map((size, axis): [number, number, number] => {
        const count = ct.shape[axis] as number;
        const low = params.start_indices[axis] as number;
        const stride = strides[axis] as number;
        const reached = count === 0 ? low : low + (count - 1) * stride + 1;
        return [low, size - reached, stride - 1];
      });
      return lax.pad(ct, 0, config);
    }),
    batch: ({ inputs, dims, size, params: { start_indices, limit_indices, strides }, lax }) => {
      const dim = onlyDim(dims);
      const output = lax.slice(
        inputs[0] as Value,
        inserted(start_indices, dim, 0),
        inserted(limit_indices, dim, size),
        strides && inserted(strides, dim, 1),
      );
      return { outputs: [output], dims: [dim] };
    },
    lower: ({ inputs, params, ctx }) => {
      const [x] = inputs as readonly [Lowered];
      const { binaryExpr, constExpr } = ctx.expr;
      const strides = stridesOfSlice(params);
      return [
        ctx.map(x.dtype, slicedShape(params), (index) =>
          x.at(
            index.map((i, axis) =>
              binaryExpr(
                "add",
                binaryExpr("mul", i, constExpr(strides[axis] as number)),
                constExpr(params.start_indices[axis] as number),
              ),
            ),
          ),
        ),
      ];
    },
    samples: [
      {
        name: "corner",
        inputs: [{ dtype: "f32", shape: [4, 5] }],
        params: { start_indices: [1, 2], limit_indices: [3, 5] },
      },
      {
        name: "strided",
        inputs: [{ dtype: "f32", shape: [8, 3] }],
        params: { start_indices: [1, 0], limit_indices: [8, 3], strides: [3, 2] },
      },
      {
        name: "nothing",
        inputs: [{ dtype: "f32", shape: [4] }],
        params: { start_indices: [4], limit_indices: [4], strides: [2] },
      },
      {
        name: "scalar",
        inputs: [{ dtype: "f32", shape: [] }],
        params: { start_indices: [], limit_indices: [] },
      },
      {
        name: "u32",
        inputs: [{ dtype: "u32", shape: [1, 6], from: 0, to: 99 }],
        params: { start_indices: [0, 2], limit_indices: [1, 4] },
      },
    ],
  },
  (bind) =>
    (x, start_indices, limit_indices, strides = null) =>
      bind([x], {
        start_indices: [...start_indices],
        limit_indices: [...limit_indices],
        ...(strides === null || strides.every((stride) => stride === 1) ? {} : { strides: [...strides] }),
      }),
);

type PadParams = { readonly padding_config: readonly (readonly [number, number, number])[] };

function interiorSize(size: number, interior: number): number {
  return size === 0 ? 0 : size + (size - 1) * interior;
}

function paddedShape(shape: Shape, config: PadParams["padding_config"]): number[] {
  return shape.map((size, axis) => {
    const [low, high, interior] = config[axis] as readonly [number, number, number];
    return low + interiorSize(size, interior) + high;
  });
}

/** `[low, high, interior]` per axis; low and high may be negative, which cuts. */
export const pad = define<PadParams, Lax["pad"]>(
  {
    name: "pad",
    kind: "array",
    doc: "out[low + i · (interior + 1)] = x[i], the padding value elsewhere. [JAX lax.pad]",
    abstractEval: (inputs, { padding_config }) => {
      const [x, padding] = inputs as readonly [Aval, Aval];
      if (x.dtype !== padding.dtype) {
        throw new FaxError({
          code: "FAX1102",
          message: `pad: the operand is ${formatAval(x, false)}, the padding value is ${formatAval(padding, false)}`,
          help: `legal here: a padding value of ${x.dtype}`,
        });
      }
      if (padding.shape.length > 0) {
        throw new FaxError({
          code: "FAX1201",
          message: `pad: the padding value is ${formatAval(padding, false)}, it must be a scalar`,
          help: `legal here: ${x.dtype}[]`,
        });
      }
      checkCounts(
        "pad",
        "padding_config (its interior paddings)",
        padding_config.map((entry) => entry[2]),
        x.shape.length,
        0,
      );
      paddedShape(x.shape, padding_config).forEach((size, axis) => {
        if (size >= 0 && Number.isInteger(size)) return;
        throw new FaxError({
          code: "FAX1203",
          message: `pad: [${padding_config[axis]?.join(", ")}] gives axis ${axis} of ${formatAval(x, false)} the size ${size}`,
          help: "negative paddings may cut at most the whole axis",
        });
      });
      return [avalOf(x.dtype, paddedShape(x.shape, padding_config), { weak: x.weak && padding.weak })];
    },
    impl: (inputs, { padding_config }) => {
      const [x, padding] = inputs as readonly [HostArray, HostArray];
      const out = allocateHostArray(x.dtype, paddedShape(x.shape, padding_config));
      out.data.fill(scalarOf(padding));
      const axisTargets = x.shape.map((size, axis) => {
        const [low, , interior] = padding_config[axis] as readonly [number, number, number];
        const stride = stridesOf(out.shape)[axis] as number;
        return Array.from({ length: size }, (_, i) => {
          const at = low + i * (interior + 1);
          return at >= 0 && at < (out.shape[axis] as number) ? at * stride : -1;
        });
      });
      // Targets per axis add up; −1 marks what a negative padding cuts away.
      let targets = [0];
      for (const axis of axisTargets) {
        targets = targets.flatMap((sum) => axis.map((at) => (sum < 0 || at < 0 ? -1 : sum + at)));
      }
      targets.forEach((target, i) => {
        if (target >= 0) out.data[target] = x.data[i] as number;
      });
      return [out];
    },
    jvp: ({ primals, tangents, params: { padding_config }, lax }) => {
      const [x, padding] = primals as readonly [Value, Value];
      const dx = tangents[0] ?? lax.zeros_like(x);
      return {
        outputs: [lax.pad(x, padding, padding_config)],
        tangents: [lax.pad(dx, tangents[1] ?? 0, padding_config)],
      };
    },
    transpose: ({ cotangents, inputs, params: { padding_config }, lax }) => {
      const [x, padding] = inputs;
      const ct = cotangents[0] ?? null;
      if (ct === null || x === undefined) return [null, null];
      const uncut = lax.pad(
        ct,
        0,
        padding_config.map(([low, high]) => [-low, -high, 0] as const),
      );
      const atOperand = lax.slice(
        uncut,
        uncut.shape.map(() => 0),
        uncut.shape,
        padding_config.map(([, , interior]) => interior + 1),
      );
      const total = (value: Value) =>
        lax.reduce_sum(
          value,
          value.shape.map((_, axis) => axis),
        );
      return [isLinear(x) ? atOperand : null, isLinear(padding) ? lax.sub(total(ct), total(atOperand)) : null];
    },
    batch: ({ inputs, dims, size, params: { padding_config }, lax }) => {
      const [x, padding] = inputs as readonly [Value, Value];
      const [dim = null, paddingDim = null] = dims;
      if (dim !== null && paddingDim === null) {
        const config = inserted(padding_config, dim, [0, 0, 0] as const);
        return { outputs: [lax.pad(x, padding, config)], dims: [dim] };
      }
      const front = batchedAtFront(lax, x, dim, size);
      const config = [[0, 0, 0] as const, ...padding_config];
      const padded = lax.pad(front, 0, config);
      const isElement = lax.pad(lax.full(front.shape, 1, "bool"), 0, config);
      return { outputs: [lax.select(isElement, padded, lax.broadcast_in_dim(padding, padded.shape, [0]))], dims: [0] };
    },
    lower: ({ inputs, params: { padding_config }, ctx }) => {
      const [x, padding] = inputs as readonly [Lowered, Lowered];
      const { binaryExpr, constExpr, selectExpr } = ctx.expr;
      const shape = paddedShape(x.shape, padding_config);
      return [
        ctx.map(x.dtype, shape, (index) => {
          const conditions: Expr[] = [];
          const source = index.map((i, axis) => {
            const [low, high, interior] = padding_config[axis] as readonly [number, number, number];
            const extent = interiorSize(x.shape[axis] as number, interior);
            const at = binaryExpr("sub", i, constExpr(low));
            if (low > 0) conditions.push(binaryExpr("ge", at, constExpr(0)));
            if (high > 0) conditions.push(binaryExpr("lt", at, constExpr(extent)));
            if (interior === 0) return at;
            const step = constExpr(interior + 1);
            conditions.push(binaryExpr("eq", binaryExpr("rem", at, step), constExpr(0)));
            return binaryExpr("div", at, step);
          });
          const [first, ...rest] = conditions;
          if (x.shape.includes(0)) return padding.at([]);
          if (first === undefined) return x.at(source);
          const inside = rest.reduce((all, condition) => binaryExpr("and", all, condition), first);
          return selectExpr(inside, x.at(source), padding.at([]));
        }),
      ];
    },
    samples: [
      {
        name: "both sides",
        inputs: [
          { dtype: "f32", shape: [2, 3] },
          { dtype: "f32", shape: [] },
        ],
        params: {
          padding_config: [
            [1, 2, 0],
            [0, 1, 0],
          ],
        },
      },
      {
        name: "interior",
        inputs: [
          { dtype: "f32", shape: [3, 2] },
          { dtype: "f32", shape: [] },
        ],
        params: {
          padding_config: [
            [0, 0, 2],
            [1, 0, 1],
          ],
        },
      },
      {
        name: "negative",
        inputs: [
          { dtype: "f32", shape: [5, 4] },
          { dtype: "f32", shape: [] },
        ],
        params: {
          padding_config: [
            [-1, -2, 0],
            [-1, 2, 1],
          ],
        },
      },
      {
        name: "negative into the interior",
        inputs: [
          { dtype: "f32", shape: [3] },
          { dtype: "f32", shape: [] },
        ],
        params: { padding_config: [[-2, -1, 2]] },
      },
      {
        name: "empty operand",
        inputs: [
          { dtype: "f32", shape: [0] },
          { dtype: "f32", shape: [] },
        ],
        params: { padding_config: [[2, 1, 3]] },
      },
      {
        name: "to nothing",
        inputs: [
          { dtype: "f32", shape: [2] },
          { dtype: "f32", shape: [] },
        ],
        params: { padding_config: [[-1, -1, 0]] },
      },
      {
        name: "scalar",
        inputs: [
          { dtype: "f32", shape: [] },
          { dtype: "f32", shape: [] },
        ],
        params: { padding_config: [] },
      },
      {
        name: "i32",
        inputs: [
          { dtype: "i32", shape: [3], from: -9, to: 9 },
          { dtype: "i32", shape: [], values: [7] },
        ],
        params: { padding_config: [[1, 1, 0]] },
      },
      {
        name: "bool",
        inputs: [
          { dtype: "bool", shape: [3] },
          { dtype: "bool", shape: [], values: [1] },
        ],
        params: { padding_config: [[1, 0, 1]] },
      },
    ],
  },
  (bind) => (x, padding_value, padding_config) =>
    bind(operands(x, padding_value), {
      padding_config: padding_config.map(([low, high, interior]) => [low, high, interior]),
    }),
);
