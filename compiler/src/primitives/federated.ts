/** The communication primitives: the only equations whose operands and results lie at different placements. */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { type Aval, atPlacement, avalOf, formatAval } from "../ir/aval.ts";
import { type DType, isFloat } from "../ir/dtype.ts";
import { allocateHostArray, type HostArray, hostArray } from "../ir/host-array.ts";
import { enter, formatPlacement, type Group, innermost, isServer, leave, type Placement } from "../ir/placement.ts";
import { range, sizeOf } from "../ir/shape.ts";
import type { Value } from "../trace/ndarray.ts";
import { moveAxis, onlyDim } from "./batching.ts";
import { convert_element_type } from "./convert.ts";
import { define } from "./define.ts";
import { rounded } from "./host-strides.ts";
import type { Lax } from "./lax-types.ts";
import { linearJvp, linearTranspose } from "./linear-rules.ts";
import type { BatchResult, CommunicationPrimitive, JvpArgs, JvpResult, PlacedValue, Sample } from "./primitive.ts";

type NoParams = Record<string, never>;
type GroupParams = { readonly group: string; readonly size: number };

type EraseRule<P extends GroupParams | NoParams> = CommunicationPrimitive<P>["erase"];

function groupOf(placement: Placement): Group {
  const group = innermost(placement);
  invariant(group !== undefined, "a value at the server has no group");
  return group;
}

/** The type of the operand outside of its innermost group. */
function leaving(name: string, x: Aval): Aval {
  if (!isServer(x.placement)) return atPlacement(x, leave(x.placement));
  throw new FaxError({
    code: "FAX1302",
    message: `${name}: the operand ${formatAval(x, true)} is at the server, the operator combines the members of a group`,
    help: "legal here: a value at a group, as in federatedMap(fn, …) or federatedBroadcast(x)",
  });
}

function entering(name: string, x: Aval, { group, size }: GroupParams): Aval {
  if (!Number.isInteger(size) || size < 1) {
    throw new FaxError({
      code: "FAX1303",
      message: `${name}: the group ${group} has ${size} members, a group needs at least 1`,
      help: "legal here: a whole number ≥ 1",
    });
  }
  if (x.placement.groups.some((outer) => outer.name === group)) {
    throw new FaxError({
      code: "FAX1302",
      message: `${name}: the operand ${formatAval(x, true)} already lies at ${formatPlacement(x.placement)}, within ${group}`,
      help: `legal here: a value outside of ${group}`,
    });
  }
  return atPlacement(x, enter(x.placement, { name: group, size }));
}

/** The members of each innermost group, in order. */
function byGroup(x: PlacedValue): HostArray[][] {
  const { size } = groupOf(x.placement);
  return range(x.members.length / size).map((i) => x.members.slice(i * size, (i + 1) * size));
}

function combined(x: PlacedValue, combine: (members: readonly HostArray[]) => HostArray): readonly PlacedValue[] {
  return [{ placement: leave(x.placement), members: byGroup(x).map(combine) }];
}

/** Combines the members' values element by element, in double. */
function elementwise(fold: (values: readonly number[], dtype: DType) => number) {
  return (members: readonly HostArray[]): HostArray => {
    const [{ dtype, shape }] = members as readonly [HostArray];
    const out = allocateHostArray(dtype, shape);
    for (let i = 0; i < out.data.length; i++) {
      const values = members.map((member) => member.data[i] as number);
      out.data[i] = rounded(dtype, fold(values, dtype));
    }
    return out;
  };
}

/** A mapped axis of a member's value stays where it is. */
function batchInPlace(apply: (lax: Lax, x: Value) => Value): CommunicationPrimitive<NoParams>["batch"] {
  return ({ inputs, dims, lax }) => ({ outputs: [apply(lax, inputs[0] as Value)], dims: [onlyDim(dims)] });
}

interface Combination {
  readonly name: "federated_sum" | "federated_mean" | "federated_max" | "federated_min";
  readonly doc: string;
  readonly fold: (values: readonly number[], dtype: DType) => number;
  readonly dtypes: readonly DType[];
  readonly jvp: (args: JvpArgs<NoParams>) => JvpResult;
  readonly transpose: CommunicationPrimitive<NoParams>["transpose"];
  readonly erase: EraseRule<NoParams>;
  readonly samples: readonly Sample<NoParams>[];
  /** What becomes of an operand before it is combined. */
  readonly prepare?: (x: Value) => Value;
}

function defineCombination(combination: Combination): (x: Value) => Value {
  const { name, doc, fold, dtypes, jvp, transpose, erase, samples, prepare } = combination;
  return define<NoParams, (x: Value) => Value>(
    {
      name,
      kind: "communication",
      doc,
      abstractEval: (inputs) => {
        const [x] = inputs as readonly [Aval];
        const output = leaving(name, x);
        if (dtypes.includes(x.dtype)) return [output];
        throw new FaxError({
          code: "FAX1102",
          message: `${name}: the operand is ${formatAval(x, true)}, it takes ${dtypes.join(", ")}`,
          help: "convert it first, as in x.astype(np.float32)",
        });
      },
      impl: (inputs) => combined(inputs[0] as PlacedValue, elementwise(fold)),
      jvp,
      transpose,
      batch: batchInPlace((lax, x) => lax[name](x)),
      erase,
      samples,
    },
    (bind) => (x) => bind([prepare ? prepare(x) : x], {}),
  );
}

const numeric: readonly DType[] = ["f32", "f16", "i32", "u32"];

const memberSamples: readonly Sample<NoParams>[] = [
  { name: "vector", inputs: [{ dtype: "f32", shape: [4] }], params: {} },
  { name: "scalar", inputs: [{ dtype: "f32", shape: [] }], params: {} },
  { name: "empty", inputs: [{ dtype: "f32", shape: [0, 2] }], params: {} },
  { name: "f16", inputs: [{ dtype: "f16", shape: [2, 3] }], params: {}, smooth: false },
];
const integerSamples: readonly Sample<NoParams>[] = [
  { name: "i32", inputs: [{ dtype: "i32", shape: [3], from: -9, to: 9 }], params: {} },
  { name: "u32", inputs: [{ dtype: "u32", shape: [2, 1], from: 0, to: 9 }], params: {} },
];

/** The sum of n equal values is n · x, rounded once. f16 has not every n, so it is multiplied in f32. */
function sumErased(lax: Lax, x: Value, dim: number | null, size: number): Value {
  if (dim !== null) return lax.reduce_sum(x, [dim]);
  if (x.dtype !== "f16") return lax.mul(x, size);
  return lax.convert_element_type(lax.mul(lax.convert_element_type(x, "f32"), size), "f16");
}

export const federated_sum = defineCombination({
  name: "federated_sum",
  doc: "Σ x over the members of the innermost group: x@G[n] → @. Its transpose is federated_broadcast. [DrJAX, reduce_sum]",
  dtypes: numeric,
  fold: (values, dtype) => {
    if (isFloat(dtype)) return values.reduce((sum, value) => sum + value, 0);
    return values.reduce((sum, value) => (sum + value) | 0, 0);
  },
  jvp: linearJvp((lax, x) => lax.federated_sum(x)),
  transpose: linearTranspose((lax, ct, input) => lax.federated_broadcast(ct, groupOf(input.placement))),
  erase: ({ inputs, dims, size, lax }) => ({
    outputs: [sumErased(lax, inputs[0] as Value, dims[0] ?? null, size)],
    dims: [null],
  }),
  samples: [...memberSamples, ...integerSamples],
});

export const federated_mean = defineCombination({
  name: "federated_mean",
  doc: "Σ x / n over the members of the innermost group: x@G[n] → @; integers become f32. [DrJAX, reduce_mean]",
  dtypes: ["f32", "f16"],
  fold: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  jvp: linearJvp((lax, x) => lax.federated_mean(x)),
  transpose: linearTranspose((lax, ct, input) => {
    const group = groupOf(input.placement);
    return lax.div(lax.federated_broadcast(ct, group), group.size);
  }),
  erase: ({ inputs, dims, size, lax }) => {
    const [x] = inputs as readonly [Value];
    const [dim = null] = dims;
    if (dim === null) return { outputs: [x], dims: [null] };
    // In f16 the sum could overflow where the mean does not.
    const wide = x.dtype === "f16" ? lax.convert_element_type(x, "f32") : x;
    const mean = lax.div(lax.reduce_sum(wide, [dim]), size);
    return { outputs: [x.dtype === "f16" ? lax.convert_element_type(mean, "f16") : mean], dims: [null] };
  },
  samples: memberSamples,
  prepare: (x) => (isFloat(x.dtype) ? x : convert_element_type(x, "f32")),
});

/** The gradient of an extreme is shared equally by all members that attain it. */
function extremeJvp(name: "federated_max" | "federated_min"): (args: JvpArgs<NoParams>) => JvpResult {
  return ({ primals, tangents, lax }) => {
    const [x] = primals as readonly [Value];
    const [tangent] = tangents as readonly [Value];
    const output = lax[name](x);
    const everywhere = lax.federated_broadcast(output, groupOf(x.aval.placement));
    const attained = lax.convert_element_type(lax.eq(x, everywhere), tangent.dtype);
    const count = lax.federated_sum(attained);
    return { outputs: [output], tangents: [lax.div(lax.federated_sum(lax.mul(tangent, attained)), count)] };
  };
}

function extremeErased(name: "reduce_max" | "reduce_min"): EraseRule<NoParams> {
  return ({ inputs, dims, lax }) => {
    const [x] = inputs as readonly [Value];
    const [dim = null] = dims;
    return { outputs: [dim === null ? x : lax[name](x, [dim])], dims: [null] };
  };
}

const ties: Sample<NoParams> = {
  name: "equal members",
  inputs: [{ dtype: "f32", shape: [3], values: [1, -2, 0] }],
  params: {},
  smooth: false,
};

export const federated_max = defineCombination({
  name: "federated_max",
  doc: "max x over the members of the innermost group, NaN if any is NaN: x@G[n] → @. [DrJAX, reduce_max]",
  dtypes: numeric,
  fold: (values) => Math.max(...values),
  jvp: extremeJvp("federated_max"),
  transpose: "not linear",
  erase: extremeErased("reduce_max"),
  samples: [...memberSamples, ...integerSamples, ties],
});

export const federated_min = defineCombination({
  name: "federated_min",
  doc: "min x over the members of the innermost group, NaN if any is NaN: x@G[n] → @. [DrJAX, reduce_min]",
  dtypes: numeric,
  fold: (values) => Math.min(...values),
  jvp: extremeJvp("federated_min"),
  transpose: "not linear",
  erase: extremeErased("reduce_min"),
  samples: [...memberSamples, ...integerSamples, ties],
});

/** Every member of a new innermost group gets the value. */
export const federated_broadcast = define<GroupParams, Lax["federated_broadcast"]>(
  {
    name: "federated_broadcast",
    kind: "communication",
    doc: "Each member of `group` gets x: @ → @G[size]. Its transpose is federated_sum. [DrJAX, broadcast]",
    abstractEval: (inputs, params) => [entering("federated_broadcast", inputs[0] as Aval, params)],
    impl: (inputs, { group, size }) => {
      const [x] = inputs as readonly [PlacedValue];
      const members = x.members.flatMap((member) => range(size).map(() => member));
      return [{ placement: enter(x.placement, { name: group, size }), members }];
    },
    jvp: linearJvp((lax, x, { group, size }) => lax.federated_broadcast(x, { name: group, size })),
    transpose: linearTranspose((lax, ct) => lax.federated_sum(ct)),
    batch: ({ inputs, dims, params: { group, size }, lax }) => ({
      outputs: [lax.federated_broadcast(inputs[0] as Value, { name: group, size })],
      dims: [onlyDim(dims)],
    }),
    erase: ({ inputs }) => ({ outputs: [inputs[0] as Value], dims: [null] }),
    samples: [
      { name: "vector", inputs: [{ dtype: "f32", shape: [3] }], params: { group: "clients", size: 4 } },
      { name: "scalar to one member", inputs: [{ dtype: "f32", shape: [] }], params: { group: "clients", size: 1 } },
      { name: "empty", inputs: [{ dtype: "f32", shape: [0] }], params: { group: "clients", size: 3 } },
      {
        name: "f16",
        inputs: [{ dtype: "f16", shape: [2, 2] }],
        params: { group: "clients", size: 3 },
        smooth: false,
      },
      { name: "bool", inputs: [{ dtype: "bool", shape: [2] }], params: { group: "clients", size: 2 } },
    ],
  },
  (bind) =>
    (x, { name, size }) =>
      bind([x], { group: name, size }),
);

/** Row i of the value goes to member i of a new innermost group. */
export const federated_unstack = define<GroupParams, Lax["federated_unstack"]>(
  {
    name: "federated_unstack",
    kind: "communication",
    doc: "Member i of `group` gets x[i]: [size, …]@ → […]@G[size]. Its transpose is federated_stack.",
    abstractEval: (inputs, params) => {
      const [x] = inputs as readonly [Aval];
      if (x.shape.length === 0) {
        throw new FaxError({
          code: "FAX1201",
          message: `federated_unstack: the operand ${formatAval(x, false)} is a scalar, its leading axis must be the group ${params.group}`,
          help: "pass an array with one row per member",
        });
      }
      if (x.shape[0] !== params.size) {
        throw new FaxError({
          code: "FAX1303",
          message: `federated_unstack: ${formatAval(x, false)} has ${x.shape[0]} rows, the group ${params.group} has ${params.size} members`,
          help: `legal here: a leading axis of size ${params.size}`,
        });
      }
      return [entering("federated_unstack", { ...x, shape: x.shape.slice(1) }, params)];
    },
    impl: (inputs, { group, size }) => {
      const [x] = inputs as readonly [PlacedValue];
      const members = x.members.flatMap((member) => {
        const shape = member.shape.slice(1);
        const count = sizeOf(shape);
        return range(size).map((i) => hostArray(member.dtype, shape, member.data.slice(i * count, (i + 1) * count)));
      });
      return [{ placement: enter(x.placement, { name: group, size }), members }];
    },
    jvp: linearJvp((lax, x, { group }) => lax.federated_unstack(x, group)),
    transpose: linearTranspose((lax, ct) => lax.federated_stack(ct)),
    /** The leading axis must stay the group's. */
    batch: ({ inputs, dims, params: { group }, lax }) => {
      const [x] = inputs as readonly [Value];
      const dim = onlyDim(dims);
      const mapped = Math.max(dim, 1);
      return { outputs: [lax.federated_unstack(moveAxis(lax, x, dim, mapped), group)], dims: [mapped - 1] };
    },
    erase: ({ inputs }) => ({ outputs: [inputs[0] as Value], dims: [0] }),
    samples: [
      { name: "rows", inputs: [{ dtype: "f32", shape: [4, 3] }], params: { group: "clients", size: 4 } },
      { name: "scalars", inputs: [{ dtype: "f32", shape: [3] }], params: { group: "clients", size: 3 } },
      { name: "one member", inputs: [{ dtype: "f32", shape: [1, 2] }], params: { group: "clients", size: 1 } },
      { name: "empty rows", inputs: [{ dtype: "f32", shape: [2, 0] }], params: { group: "clients", size: 2 } },
      {
        name: "i32",
        inputs: [{ dtype: "i32", shape: [2, 2], from: -9, to: 9 }],
        params: { group: "clients", size: 2 },
      },
    ],
  },
  (bind) => (x, group) => bind([x], { group, size: x.shape[0] ?? 1 }),
);

function stackErased(lax: Lax, x: Value, dim: number | null, size: number): BatchResult {
  const rows = range(1, x.ndim + 1);
  const output = dim === null ? lax.broadcast_in_dim(x, [size, ...x.shape], rows) : moveAxis(lax, x, dim, 0);
  return { outputs: [output], dims: [null] };
}

/** The members' values as rows of one array. */
export const federated_stack = define<NoParams, Lax["federated_stack"]>(
  {
    name: "federated_stack",
    kind: "communication",
    doc: "Row i is member i's value: […]@G[n] → [n, …]@. Its transpose is federated_unstack.",
    abstractEval: (inputs) => {
      const [x] = inputs as readonly [Aval];
      const outside = leaving("federated_stack", x);
      const { size } = groupOf(x.placement);
      return [avalOf(x.dtype, [size, ...x.shape], { placement: outside.placement, weak: x.weak })];
    },
    impl: (inputs) =>
      combined(inputs[0] as PlacedValue, (members) => {
        const [{ dtype, shape }] = members as readonly [HostArray];
        const out = allocateHostArray(dtype, [members.length, ...shape]);
        members.forEach((member, i) => out.data.set(member.data, i * sizeOf(shape)));
        return out;
      }),
    jvp: linearJvp((lax, x) => lax.federated_stack(x)),
    transpose: linearTranspose((lax, ct, input) => lax.federated_unstack(ct, groupOf(input.placement).name)),
    batch: ({ inputs, dims, lax }) => ({
      outputs: [lax.federated_stack(inputs[0] as Value)],
      dims: [onlyDim(dims) + 1],
    }),
    erase: ({ inputs, dims, size, lax }) => stackErased(lax, inputs[0] as Value, dims[0] ?? null, size),
    samples: [...memberSamples, ...integerSamples],
  },
  (bind) => (x) => bind([x], {}),
);
