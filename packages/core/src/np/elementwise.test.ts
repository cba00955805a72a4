import { describe, expect, it } from "vitest";
import { FaxError, jit, type NDArray, np, setDevice, valueAndGrad } from "../index.ts";

setDevice("reference");

async function values(x: NDArray<string>): Promise<number[]> {
  return [...(await x.data())];
}

function code(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof FaxError) return error.code;
    throw error;
  }
  return "no error";
}

const int = (...x: number[]): NDArray => np.array(x, { dtype: np.int32 });
const uint = (...x: number[]): NDArray => np.array(x, { dtype: np.uint32 });

describe("creation", () => {
  it("infers dtypes", () => {
    expect(np.array([1, 2]).dtype).toBe("f32");
    expect(np.array([true, false]).dtype).toBe("bool");
    expect(np.array([true, 2]).dtype).toBe("f32");
    expect(np.array(new Int32Array(3)).dtype).toBe("i32");
    expect(np.array(new Uint8Array(3)).dtype).toBe("u32");
    expect(np.array(new Float64Array(3)).dtype).toBe("f32");
    expect(np.array([new Float32Array(3), new Float32Array(3)]).shape).toEqual([2, 3]);
    expect(np.array(3).shape).toEqual([]);
    expect(np.array([[]]).shape).toEqual([1, 0]);
  });

  it("arranges and converts", async () => {
    const x = np.array(new Uint8Array([1, 2, 3, 4, 5, 6]), { dtype: "float32", shape: [2, -1] });
    expect([x.dtype, x.shape]).toEqual(["f32", [2, 3]]);
    expect(await values(np.array([1.7, -1.7], { dtype: np.int32 }))).toEqual([1, -1]);
    expect(await values(np.array([0, 2], { dtype: np.bool }))).toEqual([0, 1]);
  });

  it("names what is wrong", () => {
    expect(code(() => np.array([1], { dtype: "float64" as "float32" }))).toBe("FAX1101");
    expect(code(() => np.array([[1, 2], [3]]))).toBe("FAX1201");
    expect(code(() => np.array([1, [2]]))).toBe("FAX1201");
    expect(code(() => np.array([1, 2, 3], { shape: [2] }))).toBe("FAX1203");
    expect(code(() => np.array("x" as unknown as number))).toBe("FAX1003");
    expect(code(() => np.zeros([-1]))).toBe("FAX1203");
    expect(() => np.array([1], { dtype: "int64" as "int32" })).toThrow(/f32, f16, i32, u32, bool/);
  });

  it("makes ranges", async () => {
    expect(np.arange(3).dtype).toBe("i32");
    expect(await values(np.arange(3))).toEqual([0, 1, 2]);
    expect(await values(np.arange(5, 0, -2))).toEqual([5, 3, 1]);
    expect(await values(np.arange(0, 1, 0.25))).toEqual([0, 0.25, 0.5, 0.75]);
    expect(await values(np.arange(2, 4, { dtype: np.float32 }))).toEqual([2, 3]);
    expect(np.arange(0).shape).toEqual([0]);
    expect(await values(np.linspace(0, 1, 5))).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(await values(np.linspace(0, 1, { num: 4, endpoint: false }))).toEqual([0, 0.25, 0.5, 0.75]);
    expect(await values(np.eye(2))).toEqual([1, 0, 0, 1]);
    expect(await values(np.eye(2, 3, { k: 1 }))).toEqual([0, 1, 0, 0, 0, 1]);
    expect(await values(np.tri(2))).toEqual([1, 0, 1, 1]);
    expect(await values(np.full([2], 7))).toEqual([7, 7]);
    expect(await values(np.fullLike(int(1, 2), 3))).toEqual([3, 3]);
  });
});

describe("promotion", () => {
  it("follows JAX's lattice, numbers bending to arrays", () => {
    const half = np.array([1], { dtype: np.float16 });
    expect(np.add(int(1), uint(1)).dtype).toBe("i32");
    expect(np.add(int(1), 2).dtype).toBe("i32");
    expect(np.add(int(1), 0.5).dtype).toBe("f32");
    expect(np.add(half, 0.5).dtype).toBe("f16");
    expect(np.add(half, np.array([1])).dtype).toBe("f32");
    expect(np.add(half, int(1)).dtype).toBe("f16");
    expect(np.divide(int(1), int(2)).dtype).toBe("f32");
    expect(np.exp(int(1)).dtype).toBe("f32");
    expect(np.add(true, int(1)).dtype).toBe("i32");
    expect(np.multiply(np.array([true]), 2).dtype).toBe("f32");
    expect(np.equal(int(1), 1.5).dtype).toBe("bool");
    expect(code(() => np.add(uint(1), -1))).toBe("FAX1102");
  });

  it("keeps numbers as literals", async () => {
    const f = jit((x: NDArray, y: number) => np.add(np.multiply(x, 2), y));
    const result = f(np.array([1, 2]), 0.5);
    expect(result.dtype).toBe("f32");
    expect(await values(result)).toEqual([2.5, 4.5]);
    expect(jit((x: NDArray, y: number) => np.multiply(x, y))(int(2), 3).dtype).toBe("f32");
  });

  it("broadcasts explicitly", async () => {
    expect(await values(np.add([[1], [2]], [10, 20]))).toEqual([11, 21, 12, 22]);
    expect(code(() => np.add(np.ones([2]), np.ones([3])))).toBe("FAX1201");
    expect(() => np.add(np.ones([2]), np.ones([3]))).toThrow(/add: shapes \[2\] and \[3\] do not broadcast/);
  });
});

describe("arithmetic", () => {
  it("divides with floors and remainders as Python does", async () => {
    for (const make of [(...x: number[]) => np.array(x), int]) {
      expect(await values(np.floorDivide(make(-7, 7, -7, 7, 6), make(2, 2, -2, -2, 3)))).toEqual([-4, 3, 3, -4, 2]);
      expect(await values(np.remainder(make(-7, 7, -7, 7, 6), make(3, 3, -3, -3, 3)))).toEqual([2, 1, -1, -2, 0]);
      expect(await values(np.fmod(make(-7, 7), make(3, 3)))).toEqual([-1, 1]);
      expect(await values(np.floorDivide(make(-7, 7), 2))).toEqual([-4, 3]);
      expect(await values(np.floorDivide(7, make(2, -2)))).toEqual([3, -4]);
      expect(await values(np.remainder(make(-7, 7), -3))).toEqual([-1, -2]);
      expect(await values(np.remainder(7, make(3, -3)))).toEqual([1, -2]);
    }
    expect(await values(np.floorDivide(uint(7), 2))).toEqual([3]);
  });

  it("raises to powers", async () => {
    expect(await values(np.power([1, -2, 3], 3))).toEqual([1, -8, 27]);
    expect(await values(np.power(int(2, 3), 4))).toEqual([16, 81]);
    expect(await values(np.power(int(2, -3, 5), int(10, 3, 0)))).toEqual([1024, -27, 1]);
    expect(await values(np.power([4], 0.5))).toEqual([2]);
    expect(await values(np.floatPower(int(2), -1))).toEqual([0.5]);
    expect(code(() => np.power(int(2), -1))).toBe("FAX1102");
  });

  it("works on bits and bools", async () => {
    expect(await values(np.bitwiseAnd(int(6), 3))).toEqual([2]);
    expect(await values(np.bitwiseNot(int(0)))).toEqual([-1]);
    expect(await values(np.leftShift(int(1), 4))).toEqual([16]);
    expect(await values(np.rightShift(int(-8), 1))).toEqual([-4]);
    expect(await values(np.add([true, false], [true, false]))).toEqual([1, 0]);
    expect(code(() => np.bitwiseAnd(np.array([1]), 1))).toBe("FAX1102");
    expect(code(() => np.subtract([true], [false]))).toBe("FAX1102");
  });

  it("clips and rounds", async () => {
    expect(await values(np.clip([-2, 0.5, 3], 0, 1))).toEqual([0, 0.5, 1]);
    expect(await values(np.clip([-2, 3], null, 1))).toEqual([-2, 1]);
    expect(await values(np.round([0.5, 1.5, 2.5]))).toEqual([0, 2, 2]);
    expect(await values(np.round([126], -1))).toEqual([130]);
    expect(await values(np.trunc([-1.5, 1.5]))).toEqual([-1, 1]);
  });

  it("agrees with JavaScript's Math", async () => {
    const x = [-1.5, -0.3, 1e-4, 0.7, 2];
    const pairs: readonly (readonly [np.Unary, (x: number) => number])[] = [
      [np.sinh, Math.sinh],
      [np.cosh, Math.cosh],
      [np.tan, Math.tan],
      [np.cbrt, Math.cbrt],
      [np.exp2, (v) => 2 ** v],
      [np.arcsinh, Math.asinh],
      [np.reciprocal, (v) => 1 / v],
    ];
    for (const [ours, theirs] of pairs) {
      for (const [i, y] of (await values(ours(x))).entries()) {
        const expected = theirs(x[i] as number);
        expect(Math.abs(y - expected)).toBeLessThan(2e-6 * Math.max(1, Math.abs(expected)));
      }
    }
    const [near, far] = await values(np.arccosh([1.5, 3]));
    expect(near).toBeCloseTo(Math.acosh(1.5), 6);
    expect(far).toBeCloseTo(Math.acosh(3), 6);
    expect((await values(np.arctanh([0.5])))[0]).toBeCloseTo(Math.atanh(0.5), 6);
    expect(await values(np.hypot([3, 0], [4, 0]))).toEqual([5, 0]);
    expect((await values(np.logaddexp([1000], [1000])))[0]).toBeCloseTo(1000.693147, 3);
    expect((await values(np.log2([8])))[0]).toBeCloseTo(3, 6);
  });
});

describe("logic", () => {
  it("classifies by bits", async () => {
    const x = np.array([NaN, Infinity, -Infinity, 1]);
    expect(await values(np.isnan(x))).toEqual([1, 0, 0, 0]);
    expect(await values(np.isinf(x))).toEqual([0, 1, 1, 0]);
    expect(await values(np.isfinite(x))).toEqual([0, 0, 0, 1]);
    expect(await values(np.nanToNum(x, { posinf: 5, neginf: -5 }))).toEqual([0, 5, -5, 1]);
    expect(await values(np.nanToNum(np.array(NaN)))).toEqual([0]);
  });

  it("chooses and compares", async () => {
    expect(await values(np.where([true, false], 1, [5, 6]))).toEqual([1, 6]);
    expect(np.where([true, false], int(1), 2).dtype).toBe("i32");
    expect(await values(np.logicalXor([1, 0], [true, true]))).toEqual([0, 1]);
    expect(await values(np.allclose([1, 2], [1, 2 + 1e-7]))).toEqual([1]);
    expect(await values(np.isclose([Infinity, NaN, 1], [Infinity, NaN, 2]))).toEqual([1, 0, 0]);
    expect(await values(np.arrayEqual([1, 2], [1, 2]))).toEqual([1]);
    expect(await values(np.arrayEqual([1, 2], [[1, 2]]))).toEqual([0]);
  });
});

describe("gradients", () => {
  it("go through choices", async () => {
    const f = (x: NDArray): NDArray => np.sum(np.where(np.greater(x, 0), np.square(x), 0));
    const [, gradient] = valueAndGrad(f)(np.array([-1, 3]));
    expect((await values(gradient)).map((v) => v + 0)).toEqual([0, 6]);
    const [, ties] = valueAndGrad((x: NDArray) => np.sum(np.maximum(x, 0)))(np.array([0, 2]));
    expect(await values(ties)).toEqual([0.5, 1]);
    const [, soft] = valueAndGrad((x: NDArray) => np.logaddexp(x, 1000))(np.array(1000));
    expect(await values(soft)).toEqual([0.5]);
    const [, sinh] = valueAndGrad((x: NDArray) => np.sum(np.sinh(x)))(np.array([0, 2]));
    expect((await values(sinh))[1]).toBeCloseTo(Math.cosh(2), 5);
  });
});
