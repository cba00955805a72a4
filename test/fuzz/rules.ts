/** How a program may grow: each rule picks operands and parameters, and tries one equation (or a loop) with them. */
import {
  type Aval,
  type DType,
  enter,
  isFloat,
  isServer,
  type Params,
  range,
  samePlacement,
  server,
  type Shape,
  sizeOf,
} from "@fax/compiler";
import type { Random } from "../support/random.ts";
import { type Entry, type Growth, type Rule, sameType } from "./growth.ts";
import { addLoop } from "./loops.ts";

export const clients = { name: "clients", size: 3 };

const float = ({ dtype }: Aval): boolean => isFloat(dtype);
const integer = ({ dtype }: Aval): boolean => dtype === "i32" || dtype === "u32";
const number = (aval: Aval): boolean => aval.dtype !== "bool";
const ranked = ({ shape }: Aval): boolean => shape.length > 0;
/** Where a function that jumps may look. */
const exactly = (aval: Aval, entry: Entry): boolean => entry.exact || !isFloat(aval.dtype);

/** A literal that fits the dtype. */
function drawLiteral(dtype: DType, random: Random): number {
  if (dtype === "bool") return random.integer(0, 2);
  if (dtype === "u32") return random.integer(0, 5);
  return dtype === "i32" ? random.integer(-3, 5) : random.integer(-8, 9) / 4;
}

/** Another operand for an elementwise function of `first`: an array of the same type, or a number. */
function beside(growth: Growth, first: Entry, exact: boolean): Entry | number {
  const { aval } = first.variable;
  if (growth.random.chance(0.25)) return drawLiteral(aval.dtype, growth.random);
  const other = growth.find((candidate, entry) => sameType(candidate, aval) && (!exact || exactly(candidate, entry)));
  return other ?? drawLiteral(aval.dtype, growth.random);
}

function unary(names: string, fits: (aval: Aval, entry: Entry) => boolean, smooth: boolean): Rule {
  return {
    name: names,
    smooth,
    apply: (growth) => {
      const x = growth.find(fits);
      if (x) growth.tryAdd(growth.random.pick(names.split(" ")), [x]);
    },
  };
}

function binary(
  names: string,
  fits: (aval: Aval, entry: Entry) => boolean,
  { smooth = false, exact = false } = {},
): Rule {
  return {
    name: names,
    smooth,
    apply: (growth) => {
      const x = growth.find(fits);
      if (!x) return;
      const y = beside(growth, x, exact);
      const operands = growth.random.chance(0.5) || typeof y === "number" ? [x, y] : [y, x];
      const turned = typeof y === "number" && growth.random.chance(0.3) ? [y, x] : operands;
      growth.tryAdd(growth.random.pick(names.split(" ")), turned, {}, x.variable.aval.dtype);
    },
  };
}

function array(
  name: string,
  fits: (aval: Aval, entry: Entry) => boolean,
  params: (aval: Aval, random: Random) => Params,
  smooth = true,
): Rule {
  return {
    name,
    smooth,
    apply: (growth) => {
      const x = growth.find(fits);
      if (x) growth.tryAdd(name, [x], params(x.variable.aval, growth.random));
    },
  };
}

function someAxes(shape: Shape, random: Random, atLeast = 1): number[] {
  const axes = range(shape.length).filter(() => random.chance(0.5));
  return axes.length >= atLeast ? axes : range(shape.length).slice(0, atLeast);
}

/** Far enough from where the function or its derivative grows without bound. */
const above =
  (least: number) =>
  (aval: Aval, { value }: Entry): boolean =>
    float(aval) && value.members.every(({ data }) => data.every((x) => x > least));

/** Ways to cut a size into factors. */
function otherShapes(size: number): Shape[] {
  const pairs = range(1, size + 1)
    .filter((k) => size % k === 0)
    .map((k) => [k, size / k]);
  return [[size], [1, size], ...pairs, ...(size === 1 ? [[]] : [])];
}

export const rules: readonly Rule[] = [
  unary("neg sin cos tanh logistic erf expm1 exp", float, true),
  unary("neg sin cos tanh logistic exp", float, true),
  unary("log sqrt rsqrt log1p", above(0.25), true),
  unary("abs", float, false),
  unary("floor ceil round sign is_finite", (aval, entry) => float(aval) && exactly(aval, entry), false),
  unary("stop_gradient", float, false),
  unary("neg abs sign not", integer, false),
  unary("not", ({ dtype }) => dtype === "bool", false),
  unary("neg sin cos tanh logistic exp", float, true),
  array("integer_pow", float, (_, random) => ({ y: random.integer(-1, 4) })),
  binary("add sub mul", float, { smooth: true }),
  binary("add sub mul", float, { smooth: true }),
  binary("add sub mul", float, { smooth: true }),
  binary("div", float, { smooth: true }),
  // A power of a negative number has a value, but no derivative in the exponent.
  {
    name: "pow",
    smooth: true,
    outermost: true,
    apply: (growth) => {
      const x = growth.find(above(0.3));
      if (x) growth.tryAdd("pow", [x, beside(growth, x, false)], {}, x.variable.aval.dtype);
    },
  },
  binary("max min", float),
  binary("rem", (aval, entry) => float(aval) && exactly(aval, entry), { exact: true }),
  binary("add sub mul div rem max min and or xor shift_left shift_right_logical shift_right_arithmetic", integer),
  binary("and or xor max min", ({ dtype }) => dtype === "bool"),
  binary("eq ne lt le gt ge", exactly, { exact: true }),
  {
    name: "select",
    smooth: true,
    apply: (growth) => {
      const which = growth.find(({ dtype }) => dtype === "bool");
      if (!which) return;
      const { shape, placement } = which.variable.aval;
      const x = growth.find(
        (aval) => number(aval) && aval.shape.join() === shape.join() && samePlacement(aval.placement, placement),
      );
      if (x) growth.tryAdd("select", [which, x, beside(growth, x, false)], {}, x.variable.aval.dtype);
    },
  },
  array(
    "convert_element_type",
    exactly,
    (_, random) => ({
      new_dtype: random.pick(["f32", "f32", "i32", "u32", "bool", "f16"]),
      weak_type: false,
    }),
    false,
  ),
  array("bitcast_convert_type", integer, ({ dtype }) => ({ new_dtype: dtype === "i32" ? "u32" : "i32" }), false),
  array(
    "reduce_sum",
    (aval) => number(aval) && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
  ),
  array(
    "reduce_sum",
    (aval) => number(aval) && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
  ),
  array(
    "reduce_prod",
    (aval) => number(aval) && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
  ),
  array(
    "reduce_max",
    (aval) => number(aval) && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
    false,
  ),
  array(
    "reduce_min",
    (aval) => number(aval) && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
    false,
  ),
  array(
    "reduce_and",
    (aval) => aval.dtype === "bool" && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
  ),
  array(
    "reduce_or",
    (aval) => aval.dtype === "bool" && ranked(aval),
    ({ shape }, random) => ({ axes: someAxes(shape, random) }),
  ),
  array("argmax", (aval, entry) => number(aval) && ranked(aval) && exactly(aval, entry), pickAxis, false),
  array("argmin", (aval, entry) => number(aval) && ranked(aval) && exactly(aval, entry), pickAxis, false),
  array(
    "broadcast_in_dim",
    (aval) => aval.shape.length < 3,
    ({ shape }, random) => {
      const at = random.integer(0, shape.length + 1);
      const size = random.integer(2, 5);
      const kept = range(shape.length + 1).filter((axis) => axis !== at);
      return { shape: [...shape.slice(0, at), size, ...shape.slice(at)], broadcast_dimensions: kept };
    },
  ),
  array(
    "reshape",
    () => true,
    ({ shape }, random) => ({ new_sizes: random.pick(otherShapes(sizeOf(shape))) }),
  ),
  array(
    "transpose",
    ({ shape }) => shape.length > 1,
    ({ shape }, random) => ({ permutation: random.shuffled(range(shape.length)) }),
  ),
  array(
    "squeeze",
    ({ shape }) => shape.includes(1),
    ({ shape }) => ({ dimensions: [shape.indexOf(1)] }),
  ),
  array(
    "expand_dims",
    ({ shape }) => shape.length < 3,
    ({ shape }, random) => ({ dimensions: [random.integer(0, shape.length + 1)] }),
  ),
  array("rev", ranked, ({ shape }, random) => ({ dimensions: someAxes(shape, random) })),
  array("slice", ranked, ({ shape }, random) => {
    const starts = shape.map((size) => random.integer(0, size));
    const limits = shape.map((size, axis) => random.integer((starts[axis] as number) + 1, size + 1));
    return {
      start_indices: starts,
      limit_indices: limits,
      strides: random.chance(0.4) ? shape.map(() => random.integer(1, 3)) : null,
    };
  }),
  {
    name: "pad",
    smooth: true,
    apply: (growth) => {
      const x = growth.find((aval) => ranked(aval) && number(aval));
      if (!x) return;
      const { shape, dtype } = x.variable.aval;
      const { random } = growth;
      const config = shape.map(() => [random.integer(-1, 3), random.integer(-1, 3), random.integer(0, 2)]);
      growth.tryAdd("pad", [x, drawLiteral(dtype, random)], { padding_config: config }, dtype);
    },
  },
  {
    name: "concatenate",
    smooth: true,
    apply: (growth) => {
      const x = growth.find(ranked);
      if (!x) return;
      const { aval } = x.variable;
      const dimension = growth.random.integer(0, aval.shape.length);
      const y = growth.find(
        (other) =>
          other.dtype === aval.dtype &&
          samePlacement(other.placement, aval.placement) &&
          other.shape.length === aval.shape.length &&
          other.shape.every((size, axis) => axis === dimension || size === aval.shape[axis]),
      );
      if (y) growth.tryAdd("concatenate", growth.random.chance(0.5) ? [x, y] : [y, x], { dimension });
    },
  },
  {
    name: "dot_general",
    smooth: true,
    apply: (growth) => {
      const x = growth.find((aval) => aval.dtype === "f32" && ranked(aval));
      if (!x) return;
      const { aval } = x.variable;
      const y = growth.find(
        (other) =>
          other.dtype === "f32" && samePlacement(other.placement, aval.placement) && commonAxes(aval, other).length > 0,
      );
      if (!y) return;
      const pairs = growth.random.shuffled(commonAxes(aval, y.variable.aval));
      const [contracting, ...rest] = pairs as [[number, number], ...[number, number][]];
      const batch = growth.random.chance(0.3)
        ? rest.filter(([a, b]) => a !== contracting[0] && b !== contracting[1]).slice(0, 1)
        : [];
      const numbers = [
        [[contracting[0]], [contracting[1]]],
        [batch.map(([a]) => a), batch.map(([, b]) => b)],
      ];
      growth.tryAdd("dot_general", [x, y], { dimension_numbers: numbers });
    },
  },
  {
    name: "dynamic_slice",
    smooth: true,
    apply: (growth) => {
      const x = growth.find(ranked);
      if (!x) return;
      const { shape, placement } = x.variable.aval;
      const starts = shape.map((): Entry | number => {
        const start = growth.find(
          (aval) => aval.dtype === "i32" && aval.shape.length === 0 && samePlacement(aval.placement, placement),
        );
        return start && growth.random.chance(0.7) ? start : growth.random.integer(0, 3);
      });
      const sizes = shape.map((size) => growth.random.integer(1, size + 1));
      growth.tryAdd("dynamic_slice", [x, ...starts], { slice_sizes: sizes }, "i32");
    },
  },
  {
    name: "dynamic_update_slice",
    smooth: true,
    apply: (growth) => {
      const x = growth.find(ranked);
      if (!x) return;
      const { dtype, shape, placement } = x.variable.aval;
      const update = growth.find(
        (aval) =>
          aval.dtype === dtype &&
          samePlacement(aval.placement, placement) &&
          aval.shape.length === shape.length &&
          aval.shape.every((size, axis) => size <= (shape[axis] as number)),
      );
      if (!update) return;
      growth.tryAdd("dynamic_update_slice", [x, update, ...shape.map(() => growth.random.integer(0, 3))], {}, "i32");
    },
  },
  {
    name: "gather",
    smooth: true,
    apply: (growth) => {
      const x = growth.find(({ shape }) => shape.length === 1 || shape.length === 2);
      if (!x) return;
      const { shape, placement } = x.variable.aval;
      const indices = indexVectors(growth, placement);
      if (!indices) return;
      growth.tryAdd("gather", [x, indices], {
        dimension_numbers: {
          offset_dims: shape.length === 2 ? [1] : [],
          collapsed_slice_dims: [0],
          start_index_map: [0],
          operand_batching_dims: [],
          start_indices_batching_dims: [],
        },
        slice_sizes: [1, ...shape.slice(1)],
        mode: growth.random.pick(["clip", "fill"]),
        fill_value: 0,
      });
    },
  },
  {
    name: "scatter_add",
    smooth: true,
    apply: (growth) => {
      const x = growth.find((aval) => number(aval) && aval.shape.length === 1);
      if (!x) return;
      const { dtype, placement } = x.variable.aval;
      const updates = growth.find(
        (aval) => aval.dtype === dtype && aval.shape.length === 1 && samePlacement(aval.placement, placement),
      );
      if (!updates) return;
      const indices = indexVectors(growth, placement, updates.variable.aval.shape[0]);
      if (!indices) return;
      growth.tryAdd("scatter_add", [x, indices, updates], {
        dimension_numbers: {
          update_window_dims: [],
          inserted_window_dims: [0],
          scatter_dims_to_operand_dims: [0],
          operand_batching_dims: [],
          scatter_indices_batching_dims: [],
        },
        mode: growth.random.pick(["clip", "fill"]),
      });
    },
  },
  {
    name: "threefry2x32",
    smooth: false,
    apply: (growth) => {
      const x = growth.find(({ dtype }) => dtype === "u32");
      if (!x) return;
      const others = range(3).map(() => beside(growth, x, false));
      growth.tryAdd("threefry2x32", [...others, x], {}, "u32");
    },
  },
  { name: "scan", smooth: true, apply: addLoop },
  { name: "scan", smooth: true, apply: addLoop },
  {
    name: "federated_broadcast",
    smooth: true,
    federated: true,
    apply: (growth) => {
      const x = growth.find(({ placement }) => isServer(placement));
      if (x) growth.tryAdd("federated_broadcast", [x], { group: clients.name, size: clients.size });
    },
  },
  {
    name: "federated_unstack",
    smooth: true,
    federated: true,
    apply: (growth) => {
      const x = growth.find(({ placement, shape }) => isServer(placement) && shape[0] === clients.size);
      if (x) growth.tryAdd("federated_unstack", [x], { group: clients.name, size: clients.size });
    },
  },
  ...["federated_sum", "federated_mean", "federated_mean", "federated_stack"].map((name) => combining(name, true)),
  ...["federated_max", "federated_min"].map((name) => combining(name, false)),
];

function combining(name: string, smooth: boolean): Rule {
  return {
    name,
    smooth,
    federated: true,
    apply: (growth) => {
      const x = growth.find(({ placement }) => samePlacement(placement, enter(server, clients)));
      if (x) growth.tryAdd(name, [x]);
    },
  };
}

function pickAxis({ shape }: Aval, random: Random): Params {
  return { axes: [random.integer(0, shape.length)] };
}

function commonAxes(a: Aval, b: Aval): [number, number][] {
  return a.shape.flatMap((size, i) =>
    b.shape.flatMap((other, k): [number, number][] => (size === other ? [[i, k]] : [])),
  );
}

/** Integers as a column of indices, `count` of them if that is given. */
function indexVectors(growth: Growth, placement: Aval["placement"], count?: number): Entry | null {
  const indices = growth.find(
    (aval) =>
      aval.dtype === "i32" &&
      samePlacement(aval.placement, placement) &&
      aval.shape.length === 1 &&
      (count === undefined || aval.shape[0] === count),
  );
  if (!indices) return null;
  const [size] = indices.variable.aval.shape;
  return growth.tryAdd("reshape", [indices], { new_sizes: [size as number, 1] })?.[0] ?? null;
}
