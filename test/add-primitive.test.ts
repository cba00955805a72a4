/**
 * Adding a primitive touches one declaration: this one, which no other file of the repository knows. Everything that a
 * primitive has, it has from here. docs/adding-a-primitive.md walks through it.
 */
import {
  type Aval,
  avalOf,
  define,
  FaxError,
  findPrimitive,
  type HostArray,
  hostArray,
  type NDArray,
  parseJaxpr,
  printJaxpr,
  range,
  sizeOf,
  stridesOf,
  type UniformPrimitive,
  type Value,
} from "@fax/compiler";
import {
  f32,
  federatedMap,
  federatedSum,
  grad,
  jit,
  makeJaxpr,
  np,
  program,
  setDevice,
  traceProgram,
  vmap,
} from "@fax/core";
import { beforeAll, describe, expect, it } from "vitest";
import { deviceSuite } from "./support/device-suite.ts";
import { TestDevice } from "./support/device.ts";
import { primitiveSuite } from "./support/primitive-suite.ts";
import { primitiveRow, primitivesPage } from "./support/primitive-table.ts";

interface RollParams {
  readonly [name: string]: number;
  readonly shift: number;
  readonly axis: number;
}

/** Where an element of the result comes from, along the axis. */
const origin = (i: number, shift: number, size: number): number => (((i - shift) % size) + size) % size;

const rollPrimitive: UniformPrimitive<RollParams> = {
  name: "roll",
  kind: "array",
  doc: "y[…, i, …] = x[…, (i − shift) mod n, …] along `axis`. NumPy roll",
  abstractEval: (inputs, { axis }) => {
    const [x] = inputs as readonly [Aval];
    if (axis >= 0 && axis < x.shape.length) return [avalOf(x.dtype, x.shape, { weak: x.weak })];
    throw new FaxError({
      code: "FAX1202",
      message: `roll: axis ${axis} does not exist in an array of ${x.shape.length} dimensions`,
      help: `legal here: 0 to ${x.shape.length - 1}`,
    });
  },
  impl: (inputs, { shift, axis }) => {
    const [x] = inputs as readonly [HostArray];
    const size = x.shape[axis] as number;
    const stride = stridesOf(x.shape)[axis] as number;
    const data = x.data.slice();
    for (const position of range(sizeOf(x.shape))) {
      const i = Math.floor(position / stride) % size;
      data[position] = x.data[position + (origin(i, shift, size) - i) * stride] as number;
    }
    return [hostArray(x.dtype, x.shape, data)];
  },
  jvp: ({ primals, tangents, params }) => {
    const [tangent] = tangents;
    return {
      outputs: [roll(primals[0] as Value, params)],
      tangents: [tangent ? roll(tangent, params) : null],
    };
  },
  transpose: ({ cotangents: [cotangent], params: { shift, axis } }) => [
    cotangent ? roll(cotangent, { shift: -shift, axis }) : null,
  ],
  batch: ({ inputs, dims, params: { shift, axis } }) => {
    const dim = dims[0] as number;
    return { outputs: [roll(inputs[0] as Value, { shift, axis: axis < dim ? axis : axis + 1 })], dims: [dim] };
  },
  lower: ({ inputs, params: { shift, axis }, ctx }) => {
    const [x] = inputs as readonly [(typeof inputs)[number]];
    const { binaryExpr, constExpr } = ctx.expr;
    const size = Math.max(1, x.shape[axis] as number);
    const moved = ctx.map(x.dtype, x.shape, (index) =>
      x.at(
        index.map((i, k) =>
          k === axis ? binaryExpr("rem", binaryExpr("add", i, constExpr(origin(0, shift, size))), constExpr(size)) : i,
        ),
      ),
    );
    return [moved];
  },
  samples: [
    { name: "by one", inputs: [{ dtype: "f32", shape: [5] }], params: { shift: 1, axis: 0 } },
    {
      name: "backwards along an inner axis",
      inputs: [{ dtype: "f32", shape: [2, 4, 3] }],
      params: { shift: -6, axis: 1 },
    },
    { name: "a full turn", inputs: [{ dtype: "f32", shape: [3, 2] }], params: { shift: 3, axis: 0 } },
    { name: "empty", inputs: [{ dtype: "f32", shape: [2, 0] }], params: { shift: 1, axis: 1 } },
    { name: "f16", inputs: [{ dtype: "f16", shape: [4] }], params: { shift: 2, axis: 0 }, smooth: false },
    { name: "bool", inputs: [{ dtype: "bool", shape: [3] }], params: { shift: 2, axis: 0 } },
  ],
};

const roll = define(rollPrimitive, (bind) => (x: Value, params: RollParams) => bind([x], params));

beforeAll(() => setDevice("reference"));

const byOne = (x: Value): Value => roll(x, { shift: 1, axis: 0 });
const weights = np.array([1, 10, 100]);
const list = async (value: unknown): Promise<unknown> => (value as NDArray).tolist();

describe("a primitive that only its declaration names", () => {
  it("runs at once, and under jit", async () => {
    expect(await list(byOne(np.array([1, 2, 3])))).toEqual([3, 1, 2]);
    expect(await list(jit(byOne)(np.array([1, 2, 3])))).toEqual([3, 1, 2]);
  });

  it("has gradients, and maps", async () => {
    const weighted = (x: Value): Value => np.sum(np.multiply(byOne(x) as NDArray, weights));
    expect(await list(grad(weighted)(np.array([0, 0, 0])))).toEqual([10, 100, 1]);
    expect(
      await list(
        vmap(byOne)(
          np.array([
            [1, 2, 3],
            [4, 5, 6],
          ]),
        ),
      ),
    ).toEqual([
      [3, 1, 2],
      [6, 4, 5],
    ]);
    expect(await list(vmap(grad(weighted))(np.zeros([2, 3])))).toEqual([
      [10, 100, 1],
      [10, 100, 1],
    ]);
  });

  it("is placed at clients, and its gradient, too", async () => {
    const sum = program({ placements: { clients: 2 }, args: [f32(3).at("clients")] }, (x) =>
      federatedSum(federatedMap((own) => np.sum(np.multiply(byOne(own) as NDArray, weights)), x)),
    );
    expect(await list(grad(sum)(np.zeros([2, 3])))).toEqual([
      [10, 100, 1],
      [10, 100, 1],
    ]);
    expect(printJaxpr(traceProgram(sum).jaxpr)).toContain("f32[3]@clients[2] = roll[axis=0 shift=1]");
  });

  it("prints, and reads back", () => {
    const text = String(makeJaxpr(byOne)(np.array([1, 2, 3])));
    expect(text).toBe("{ lambda ; a:f32[3]. let\n    b:f32[3] = roll[axis=0 shift=1] a\n  in (b) }");
    expect(printJaxpr(parseJaxpr(text))).toBe(text);
  });

  it("says what is wrong as every other does", () => {
    expect(() => roll(np.array([1, 2]), { shift: 1, axis: 1 })).toThrow(/FAX1202 roll: axis 1 does not exist/);
  });

  it("is a row of the documentation", () => {
    const found = findPrimitive("roll");
    expect(found).toBeDefined();
    expect(primitivesPage().split("\n")).toContain(found && primitiveRow(found));
  });
});

describe("the generic tests of", () => {
  const primitive = findPrimitive("roll");
  if (primitive === undefined) throw new Error("roll is not declared");
  primitiveSuite(primitive);

  let device: TestDevice;
  beforeAll(async () => {
    device = await TestDevice.open();
  });
  deviceSuite(primitive, () => device);
});
