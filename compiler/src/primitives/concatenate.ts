/** Putting arrays together. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import { allocateHostArray, type HostArray } from "../ir/host-array.ts";
import { stridesOf } from "../ir/shape.ts";
import type { Expr } from "../lower/expr.ts";
import { checkAxes } from "./axes.ts";
import { batchedAtFront } from "./batching.ts";
import { define } from "./define.ts";
import { offsetsOf } from "./host-strides.ts";
import type { Lax } from "./lax-types.ts";
import { isLinear } from "./linear-rules.ts";

type ConcatenateParams = { readonly dimension: number };

export const concatenate = define<ConcatenateParams, Lax["concatenate"]>(
  {
    name: "concatenate",
    kind: "array",
    doc: "The operands one after the other along `dimension`. [JAX lax.concatenate]",
    abstractEval: (inputs, { dimension }) => {
      const [first] = inputs;
      if (first === undefined) {
        throw new FaxError({
          code: "FAX1203",
          message: "concatenate: there are no operands, it needs at least one",
          help: "pass a list of one array or more",
        });
      }
      checkAxes("concatenate", [dimension], first);
      for (const other of inputs) {
        if (other.dtype !== first.dtype) {
          throw new FaxError({
            code: "FAX1102",
            message: `concatenate: operands are of dtypes ${first.dtype} and ${other.dtype}`,
            help: "convert all operands to one dtype",
          });
        }
        const fits =
          other.shape.length === first.shape.length &&
          other.shape.every((size, axis) => axis === dimension || size === first.shape[axis]);
        if (fits) continue;
        throw new FaxError({
          code: "FAX1201",
          message: `concatenate: ${formatAval(first, false)} and ${formatAval(other, false)} do not fit along axis ${dimension}`,
          help: `legal here: shapes that are equal but for axis ${dimension}`,
        });
      }
      const total = inputs.reduce((sum, x) => sum + (x.shape[dimension] as number), 0);
      const shape = first.shape.map((size, axis) => (axis === dimension ? total : size));
      return [avalOf(first.dtype, shape, { weak: inputs.every((x) => x.weak) })];
    },
    impl: (inputs, { dimension }) => {
      const [first] = inputs as readonly [HostArray];
      const total = inputs.reduce((sum, x) => sum + (x.shape[dimension] as number), 0);
      const shape = first.shape.map((size, axis) => (axis === dimension ? total : size));
      const out = allocateHostArray(first.dtype, shape);
      const strides = stridesOf(shape);
      let at = 0;
      for (const x of inputs) {
        const base = at * (strides[dimension] as number);
        const offsets = offsetsOf(x.shape, strides);
        for (let i = 0; i < offsets.length; i++) out.data[base + (offsets[i] as number)] = x.data[i] as number;
        at += x.shape[dimension] as number;
      }
      return [out];
    },
    jvp: ({ primals, tangents, params: { dimension }, lax }) => ({
      outputs: [lax.concatenate(primals, dimension)],
      tangents: [
        lax.concatenate(
          primals.map((x, i) => tangents[i] ?? lax.zeros_like(x)),
          dimension,
        ),
      ],
    }),
    transpose: ({ cotangents, inputs, params: { dimension }, lax }) => {
      const ct = cotangents[0] ?? null;
      let at = 0;
      return inputs.map((input) => {
        const start = at;
        at += input.aval.shape[dimension] as number;
        if (ct === null || !isLinear(input)) return null;
        return lax.slice(
          ct,
          ct.shape.map((_, axis) => (axis === dimension ? start : 0)),
          ct.shape.map((size, axis) => (axis === dimension ? at : size)),
        );
      });
    },
    batch: ({ inputs, dims, size, params: { dimension }, lax }) => {
      const fronts = inputs.map((x, i) => batchedAtFront(lax, x, dims[i] ?? null, size));
      return { outputs: [lax.concatenate(fronts, dimension + 1)], dims: [0] };
    },
    lower: ({ inputs, params: { dimension }, outputs, ctx }) => {
      const [output] = outputs as readonly [Aval];
      const { binaryExpr, constExpr, selectExpr } = ctx.expr;
      const ends: number[] = [];
      for (const x of inputs) ends.push((ends[ends.length - 1] ?? 0) + (x.shape[dimension] as number));
      // Empty operands have no element, and would end where their neighbour does.
      const parts = inputs
        .map((x, i) => ({ x, end: ends[i] as number, start: ends[i - 1] ?? 0 }))
        .filter(({ start, end }) => end > start);
      return [
        ctx.map(output.dtype, output.shape, (index) => {
          const along = index[dimension] as Expr;
          const load = ({ x, start }: (typeof parts)[number]) =>
            x.at(index.map((i, axis) => (axis === dimension ? binaryExpr("sub", along, constExpr(start)) : i)));
          const last = parts[parts.length - 1];
          if (last === undefined) return constExpr(0, output.dtype);
          return parts
            .slice(0, -1)
            .reduceRight(
              (rest, part) => selectExpr(binaryExpr("lt", along, constExpr(part.end)), load(part), rest),
              load(last),
            );
        }),
      ];
    },
    samples: [
      {
        name: "rows",
        inputs: [
          { dtype: "f32", shape: [2, 3] },
          { dtype: "f32", shape: [1, 3] },
        ],
        params: { dimension: 0 },
      },
      {
        name: "columns of three",
        inputs: [
          { dtype: "f32", shape: [2, 1] },
          { dtype: "f32", shape: [2, 0] },
          { dtype: "f32", shape: [2, 4] },
        ],
        params: { dimension: 1 },
      },
      { name: "one operand", inputs: [{ dtype: "f32", shape: [3] }], params: { dimension: 0 } },
      {
        name: "all empty",
        inputs: [
          { dtype: "f32", shape: [0] },
          { dtype: "f32", shape: [0] },
        ],
        params: { dimension: 0 },
      },
      {
        name: "i32",
        inputs: [
          { dtype: "i32", shape: [2], from: -9, to: 9 },
          { dtype: "i32", shape: [3], from: -9, to: 9 },
        ],
        params: { dimension: 0 },
      },
    ],
  },
  (bind) => (values, dimension) => bind(values, { dimension }),
);
