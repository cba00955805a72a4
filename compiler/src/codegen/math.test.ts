import { describe, expect, it } from "vitest";
import type { Kernel } from "../fuse/kernel.ts";
import type { DType } from "../ir/dtype.ts";
import { roundToF16 } from "../ir/host-array.ts";
import {
  axisExpr,
  type BinaryFn,
  binaryExpr,
  castExpr,
  comparisons,
  constExpr,
  type Expr,
  loadExpr,
  newAxis,
  newTensor,
  type UnaryFn,
  unaryExpr,
} from "../lower/expr.ts";
import { runKernels, softwareDevice } from "./on-device.test-support.ts";

const device = softwareDevice();

const nan = Number.NaN;
const inf = Number.POSITIVE_INFINITY;

/** Runs `body` over every element of the arrays. */
async function map(
  dtypes: readonly DType[],
  arrays: readonly ArrayLike<number>[],
  body: (xs: Expr[]) => Expr,
): Promise<ArrayLike<number>> {
  const size = arrays[0]?.length ?? 0;
  const axis = newAxis(size);
  const inputs = dtypes.map((dtype) => newTensor(dtype, [size]));
  const value = body(inputs.map((tensor) => loadExpr(tensor, [axisExpr(axis)])));
  const output = newTensor(value.dtype, [size]);
  const kernel: Kernel = {
    name: "map",
    rows: [axis],
    stages: [{ kind: "store", axes: [], once: false, stores: [{ tensor: output, index: [axisExpr(axis)], value }] }],
    reasons: [],
  };
  const { results } = await runKernels(
    device(),
    [kernel],
    inputs.map((tensor, i) => [tensor, arrays[i] ?? []] as const),
    [output],
  );
  return results[0] ?? [];
}

function ulpOf(value: number): number {
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -126) - 23);
}

function worstUlp(
  actual: ArrayLike<number>,
  xs: ArrayLike<number>,
  exact: (x: number) => number,
): { ulps: number; at: number } {
  let worst = { ulps: 0, at: 0 };
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i] ?? 0;
    const want = exact(x);
    if (Math.abs(want) < 2 ** -126 || !Number.isFinite(Math.fround(want))) continue;
    const ulps = Math.abs((actual[i] ?? nan) - want) / ulpOf(want);
    if (!(ulps <= worst.ulps)) worst = { ulps, at: x };
  }
  return worst;
}

function erfExact(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  let term = a;
  let total = 0;
  for (let n = 0; n < 300; n++) {
    total += term;
    term *= (2 * a * a) / (2 * n + 3);
  }
  return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * total;
}

const unary: Partial<Record<UnaryFn, { exact: (x: number) => number; ulps: number; from: number; to: number }>> = {
  exp: { exact: Math.exp, ulps: 2, from: -87, to: 88.7 },
  expm1: { exact: Math.expm1, ulps: 3, from: -20, to: 88 },
  log: { exact: Math.log, ulps: 2, from: 1e-30, to: 1e30 },
  log1p: { exact: Math.log1p, ulps: 3, from: -0.9999, to: 1e10 },
  sin: { exact: Math.sin, ulps: 3, from: -1e8, to: 1e8 },
  cos: { exact: Math.cos, ulps: 3, from: -1e8, to: 1e8 },
  tanh: { exact: Math.tanh, ulps: 4, from: -12, to: 12 },
  logistic: { exact: (x) => 1 / (1 + Math.exp(-x)), ulps: 4, from: -85, to: 85 },
  sqrt: { exact: Math.sqrt, ulps: 1, from: 0, to: 1e30 },
  rsqrt: { exact: (x) => 1 / Math.sqrt(x), ulps: 2, from: 1e-30, to: 1e30 },
  erf: { exact: erfExact, ulps: 4, from: -5, to: 5 },
};

/** Both evenly and by magnitude. */
function samples(from: number, to: number): Float32Array {
  const xs: number[] = [];
  for (let i = 0; i <= 2000; i++) xs.push(from + ((to - from) * i) / 2000);
  for (let e = -30; e < 30; e += 0.01) {
    for (const x of [10 ** (e / 3), -(10 ** (e / 3))]) if (x >= from && x <= to) xs.push(x);
  }
  return Float32Array.from(xs);
}

describe("accuracy", () => {
  for (const [fn, { exact, ulps, from, to }] of Object.entries(unary)) {
    it(`${fn} is within ${ulps} ulp`, async () => {
      const xs = samples(from, to);
      const actual = await map(["f32"], [xs], ([x]) => unaryExpr(fn as UnaryFn, x as Expr));
      expect(worstUlp(actual, xs, exact)).toSatisfy((worst: { ulps: number }) => worst.ulps <= ulps);
    });
  }

  it("pow is within 4 ulp", async () => {
    const xs: number[] = [];
    const ys: number[] = [];
    for (let i = 0; i < 4000; i++) {
      xs.push(Math.fround(10 ** (((i * 7919) % 4001) / 400 - 5)));
      ys.push(Math.fround(((i * 104729) % 3001) / 100 - 15));
    }
    const actual = await map(["f32", "f32"], [xs, ys], ([x, y]) => binaryExpr("pow", x as Expr, y as Expr));
    const index = xs.map((_, i) => i);
    const { ulps } = worstUlp(actual, index, (i) => (xs[i] ?? 0) ** (ys[i] ?? 0));
    expect(ulps).toBeLessThanOrEqual(4);
  });
});

const edges = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  2,
  -2,
  3,
  -3,
  88,
  -88,
  1e5,
  -1e5,
  3e38,
  -3e38,
  16777216,
  1e-30,
  -1e-30,
  inf,
  -inf,
  nan,
];

const exactUnary: Record<UnaryFn, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  round: (x) => {
    if (!Number.isFinite(x) || Math.abs(x) > 2 ** 23) return x;
    const floor = Math.floor(x);
    const rest = x - floor;
    const value = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
    return value === 0 ? (Object.is(x, -0) || x < 0 ? -0 : 0) : value;
  },
  exp: Math.exp,
  log: Math.log,
  log1p: Math.log1p,
  expm1: Math.expm1,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  logistic: (x) => 1 / (1 + Math.exp(-x)),
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  erf: (x) => (Number.isNaN(x) ? x : Object.is(x, -0) ? -0 : erfExact(x)),
  not: (x) => ~x,
  is_nan: (x) => (Number.isNaN(x) ? 1 : 0),
  is_finite: (x) => (Number.isFinite(x) ? 1 : 0),
};

/** NaN where NaN, infinities and zeros with their signs, else nearly. */
function same(actual: number | undefined, want: number): boolean {
  const rounded = Math.fround(want);
  if (actual === undefined) return false;
  if (Number.isNaN(rounded) || !Number.isFinite(rounded)) return Object.is(actual, rounded);
  if (rounded === 0) return Object.is(actual, rounded);
  if (Math.abs(rounded) < 2 ** -126) return Math.abs(actual) <= 2 ** -126;
  return Math.abs(actual - rounded) <= 4 * ulpOf(rounded);
}

const width4 = (xs: readonly number[]): number[] => [...xs, ...Array<number>((4 - (xs.length % 4)) % 4).fill(1)];
const odd = (xs: readonly number[]): number[] => (xs.length % 4 === 0 ? [...xs, 1] : [...xs]);

describe("NaN, infinities and zeros", () => {
  for (const [form, shape] of [
    ["scalar", odd],
    ["vec4", width4],
  ] as const) {
    for (const [fn, exact] of Object.entries(exactUnary)) {
      if (fn === "not") continue;
      it(`${fn} (${form})`, async () => {
        const xs = shape(edges);
        const actual = await map(["f32"], [xs], ([x]) => unaryExpr(fn as UnaryFn, x as Expr));
        const wrong = xs.flatMap((x, i) => {
          const want = exact(Math.fround(x));
          return same(actual[i], want) ? [] : [{ x, want, got: actual[i] }];
        });
        expect(wrong).toEqual([]);
      });
    }
    for (const [fn, exact] of Object.entries(exactBinary())) {
      it(`${fn} (${form})`, async () => {
        const pairs = edges.flatMap((x) => edges.map((y) => [Math.fround(x), Math.fround(y)] as const));
        const xs = shape(pairs.map(([x]) => x));
        const ys = shape(pairs.map(([, y]) => y));
        const actual = await map(["f32", "f32"], [xs, ys], ([x, y]) =>
          binaryExpr(fn as BinaryFn, x as Expr, y as Expr),
        );
        const wrong = xs.flatMap((x, i) => {
          const want = exact(x, ys[i] ?? 0);
          const zeros = (fn === "max" || fn === "min") && want === 0;
          return (zeros ? actual[i] === 0 : same(actual[i], want)) ? [] : [{ x, y: ys[i], want, got: actual[i] }];
        });
        expect(wrong).toEqual([]);
      });
    }
  }
  it("of one operand twice", async () => {
    for (const [fn, want] of [
      ["eq", 0],
      ["ne", 1],
      ["le", 0],
      ["ge", 0],
      ["lt", 0],
      ["gt", 0],
    ] as const) {
      const actual = await map(["f32"], [[nan]], ([x]) => binaryExpr(fn, x as Expr, x as Expr));
      expect([fn, actual[0]]).toEqual([fn, want]);
    }
  });
  it("as constants, also where constant arithmetic overflows", async () => {
    for (const value of [nan, inf, -inf, -0, 1e-40, 3.4e38]) {
      const actual = await map(["f32"], [[1]], () => constExpr(value, "f32"));
      expect(actual[0]).toBe(Math.fround(value));
    }
    const overflow = await map(["f32"], [[1]], () => binaryExpr("mul", constExpr(3e38, "f32"), constExpr(3e38, "f32")));
    expect(overflow[0]).toBe(inf);
    const least = await map(["i32"], [[1]], ([x]) => binaryExpr("mul", x as Expr, constExpr(-2147483648)));
    expect(least[0]).toBe(-2147483648);
  });
});

function exactBinary(): Partial<Record<BinaryFn, (x: number, y: number) => number>> {
  return {
    add: (x, y) => x + y,
    sub: (x, y) => x - y,
    mul: (x, y) => x * y,
    div: (x, y) => x / y,
    rem: (x, y) => x % y,
    pow: (x, y) => (x === 1 || (x === -1 && Math.abs(y) === inf) ? 1 : x ** y),
    max: (x, y) => Math.max(x, y),
    min: (x, y) => Math.min(x, y),
    eq: (x, y) => Number(x === y),
    ne: (x, y) => Number(x !== y),
    lt: (x, y) => Number(x < y),
    le: (x, y) => Number(x <= y),
    gt: (x, y) => Number(x > y),
    ge: (x, y) => Number(x >= y),
  };
}

const integers = [0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 40, -40, 100, 65536, 2147483647, -2147483648, -2147483647];

describe("integers", () => {
  const i32: Partial<Record<BinaryFn, (x: number, y: number) => number>> = {
    add: (x, y) => (x + y) | 0,
    sub: (x, y) => (x - y) | 0,
    mul: Math.imul,
    div: (x, y) => (y === 0 ? -1 : (x / y) | 0),
    rem: (x, y) => (y === 0 ? x : (x % y) | 0),
    max: Math.max,
    min: Math.min,
    and: (x, y) => x & y,
    or: (x, y) => x | y,
    xor: (x, y) => x ^ y,
    shift_left: (x, y) => (y >>> 0 > 31 ? 0 : x << y),
    shift_right_logical: (x, y) => (y >>> 0 > 31 ? 0 : (x >>> y) | 0),
    shift_right_arithmetic: (x, y) => (y >>> 0 > 31 ? x >> 31 : x >> y),
    lt: (x, y) => Number(x < y),
    eq: (x, y) => Number(x === y),
  };
  const u32: Partial<Record<BinaryFn, (x: number, y: number) => number>> = {
    ...i32,
    add: (x, y) => (x + y) >>> 0,
    sub: (x, y) => (x - y) >>> 0,
    mul: (x, y) => Math.imul(x, y) >>> 0,
    div: (x, y) => (y === 0 ? 4294967295 : Math.floor(x / y)),
    rem: (x, y) => (y === 0 ? x : x % y),
    and: (x, y) => (x & y) >>> 0,
    or: (x, y) => (x | y) >>> 0,
    xor: (x, y) => (x ^ y) >>> 0,
    shift_left: (x, y) => (y > 31 ? 0 : (x << y) >>> 0),
    shift_right_logical: (x, y) => (y > 31 ? 0 : x >>> y),
    shift_right_arithmetic: (x, y) => (x >> Math.min(31, y)) >>> 0,
  };
  for (const [dtype, table, view] of [
    ["i32", i32, (x: number) => x | 0],
    ["u32", u32, (x: number) => x >>> 0],
  ] as const) {
    for (const [fn, exact] of Object.entries(table)) {
      it(`${dtype} ${fn}`, async () => {
        const pairs = integers.flatMap((x) => integers.map((y) => [view(x), view(y)] as const));
        const xs = width4(pairs.map(([x]) => x));
        const ys = width4(pairs.map(([, y]) => y));
        const actual = await map([dtype, dtype], [xs, ys], ([x, y]) =>
          binaryExpr(fn as BinaryFn, x as Expr, y as Expr),
        );
        expect(
          xs.flatMap((x, i) => (actual[i] === exact(x, ys[i] ?? 0) ? [] : [{ x, y: ys[i], got: actual[i] }])),
        ).toEqual([]);
      });
    }
    it(`${dtype} neg, abs, sign, not`, async () => {
      const xs = integers.map(view);
      const want: Partial<Record<UnaryFn, (x: number) => number>> = {
        neg: (x) => view(-x),
        abs: (x) => (dtype === "u32" ? x : view(Math.abs(x))),
        sign: Math.sign,
        not: (x) => view(~x),
      };
      for (const [fn, exact] of Object.entries(want)) {
        const actual = await map([dtype], [xs], ([x]) => unaryExpr(fn as UnaryFn, x as Expr));
        expect([fn, Array.from(actual)]).toEqual([fn, xs.map(exact)]);
      }
    });
  }
  it("integer powers", async () => {
    const actual = await map(
      ["i32", "i32"],
      [
        [2, -3, 1, -1, 5, 0],
        [10, 3, -2, -3, -1, 0],
      ],
      ([x, y]) => binaryExpr("pow", x as Expr, y as Expr),
    );
    expect(Array.from(actual)).toEqual([1024, -27, 1, -1, 0, 1]);
  });
});

describe("conversions", () => {
  const floats = [
    0,
    -0,
    1.9,
    -1.9,
    2147483520,
    2147483648,
    -2147483648,
    -3e9,
    3e9,
    4294967040,
    4294967296,
    1e20,
    inf,
    -inf,
    nan,
    0.5,
  ];
  it("saturate towards zero, NaN to 0", async () => {
    const clamp = (low: number, high: number) => (x: number) =>
      Number.isNaN(x) ? 0 : Math.min(high, Math.max(low, Math.trunc(x))) + 0;
    const xs = Array.from(Float32Array.from(floats));
    const i32 = await map(["f32"], [xs], ([x]) => castExpr(x as Expr, "i32"));
    expect(Array.from(i32)).toEqual(xs.map(clamp(-2147483648, 2147483647)));
    const u32 = await map(["f32"], [xs], ([x]) => castExpr(x as Expr, "u32"));
    expect(Array.from(u32)).toEqual(xs.map(clamp(0, 4294967295)));
    const bool = await map(["f32"], [xs], ([x]) => castExpr(x as Expr, "bool"));
    expect(Array.from(bool)).toEqual(xs.map((x) => (x === 0 ? 0 : 1)));
  });
  it("integers to floats and back", async () => {
    const xs = [16777217, -16777217, 2147483647, -2147483648, 5, 0];
    const f32 = await map(["i32"], [xs], ([x]) => castExpr(x as Expr, "f32"));
    expect(Array.from(f32)).toEqual(xs.map(Math.fround));
    const bits = await map(["i32"], [xs], ([x]) => castExpr(x as Expr, "u32"));
    expect(Array.from(bits)).toEqual(xs.map((x) => x >>> 0));
  });
  it("f16 is rounded to the nearest even after each operation", async () => {
    const xs = [
      0,
      -0,
      1,
      1 / 3,
      2049,
      2051,
      65504,
      65519,
      65520,
      1e-7,
      5.96e-8,
      2.98e-8,
      3e-8,
      6.1e-5,
      1e-20,
      inf,
      -inf,
      nan,
      1.0009765625,
      1.00048828125,
    ];
    const down = await map(["f32"], [xs], ([x]) => castExpr(x as Expr, "f16"));
    expect(Array.from(down)).toEqual(xs.map((x) => roundToF16(Math.fround(x))));
    const ys = xs.map(roundToF16);
    const sums = await map(["f16", "f16"], [ys, ys.map(() => roundToF16(0.1))], ([x, y]) =>
      binaryExpr("mul", x as Expr, y as Expr),
    );
    expect(Array.from(sums)).toEqual(ys.map((x) => roundToF16(x * roundToF16(0.1))));
  });
  it("bools", async () => {
    const [xs, ys] = [
      [0, 0, 1, 1],
      [0, 1, 0, 1],
    ];
    const table = {
      and: [0, 0, 0, 1],
      or: [0, 1, 1, 1],
      xor: [0, 1, 1, 0],
      eq: [1, 0, 0, 1],
      lt: [0, 1, 0, 0],
      ge: [1, 0, 1, 1],
    };
    for (const [fn, want] of Object.entries(table)) {
      const actual = await map(["bool", "bool"], [xs, ys], ([x, y]) =>
        binaryExpr(fn as BinaryFn, x as Expr, y as Expr),
      );
      expect([fn, Array.from(actual)]).toEqual([fn, want]);
    }
    const not = await map(["bool"], [xs], ([x]) => unaryExpr("not", x as Expr));
    expect(Array.from(not)).toEqual([1, 1, 0, 0]);
  });
});

it("knows every comparison", () => {
  expect([...comparisons].every((fn) => fn in exactBinary())).toBe(true);
});
