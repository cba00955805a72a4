import { describe, expect, it } from "vitest";
import { FaxError, grad, jit, type NDArray, np, setDevice, vmap } from "../index.ts";

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

const counted = (...shape: number[]): NDArray =>
  np.reshape(
    np.arange(
      shape.reduce((a, b) => a * b, 1),
      { dtype: np.float32 },
    ),
    shape,
  );
const int = (...x: number[]): NDArray => np.array(x, { dtype: np.int32 });

describe("reductions", () => {
  const x = counted(2, 3);

  it("take an axis by position or options", async () => {
    expect(await values(np.sum(x))).toEqual([15]);
    expect(await values(np.sum(x, 0))).toEqual([3, 5, 7]);
    expect(np.sum(x, { axis: -1, keepdims: true }).shape).toEqual([2, 1]);
    expect(np.sum(x, [0, 1]).shape).toEqual([]);
    expect(np.sum(np.array([true, true])).dtype).toBe("i32");
    expect(await values(np.mean(x, 1))).toEqual([1, 4]);
    expect(np.mean(int(1, 2)).dtype).toBe("f32");
    expect(await values(np.prod([2, 3, 4]))).toEqual([24]);
    expect(await values(x.max(0))).toEqual([3, 4, 5]);
    expect(await values(np.min(x))).toEqual([0]);
    expect(await values(np.ptp(x))).toEqual([5]);
    expect((await values(np.var([1, 2, 3, 4], { ddof: 1 })))[0]).toBeCloseTo(5 / 3, 6);
    expect((await values(np.std([1, 2, 3, 4])))[0]).toBeCloseTo(Math.sqrt(1.25), 6);
    expect(
      await values(
        np.any(
          [
            [0, 1],
            [0, 0],
          ],
          1,
        ),
      ),
    ).toEqual([1, 0]);
    expect(
      await values(
        np.all(
          [
            [1, 1],
            [0, 1],
          ],
          1,
        ),
      ),
    ).toEqual([1, 0]);
    expect(await values(np.countNonzero([0, 3, 5]))).toEqual([2]);
    expect(await values(np.sum(np.zeros([0])))).toEqual([0]);
    expect(code(() => np.max(np.zeros([0, 3]), 0))).toBe("FAX1203");
    expect(np.max(np.zeros([0, 3]), 1).shape).toEqual([0]);
    expect(code(() => np.sum(x, 2))).toBe("FAX1202");
    expect(code(() => np.sum(x, [0, 0]))).toBe("FAX1202");
  });

  it("find positions", async () => {
    expect(
      await values(
        np.argmax(
          [
            [1, 3, 3],
            [5, 4, 0],
          ],
          1,
        ),
      ),
    ).toEqual([1, 0]);
    expect(await values(np.argmin([3, 1, 2]))).toEqual([1]);
    expect(
      await values(
        np.argmax([
          [1, 3],
          [5, 4],
        ]),
      ),
    ).toEqual([2]);
    expect(np.argmax(x, { axis: 1, keepdims: true }).shape).toEqual([2, 1]);
    expect(np.argmax(x).dtype).toBe("i32");
  });

  it("accumulate and weigh", async () => {
    expect(await values(np.cumsum([1, 2, 3, 4, 5]))).toEqual([1, 3, 6, 10, 15]);
    expect(await values(np.cumsum(x, 1))).toEqual([0, 1, 3, 3, 7, 12]);
    expect(await values(np.cumprod([1, 2, 3]))).toEqual([1, 2, 6]);
    expect(await values(np.average([1, 3], { weights: [3, 1] }))).toEqual([1.5]);
    expect(await values(np.average(x, { axis: 1, weights: [1, 0, 1] }))).toEqual([1, 4]);
    expect(code(() => np.average(x, { axis: 1, weights: [1, 0] }))).toBe("FAX1201");
    expect(await values(grad((v: NDArray) => np.sum(np.cumsum(v)))(np.array([1, 1, 1])))).toEqual([3, 2, 1]);
    const d = await values(grad((v: NDArray) => np.var(v))(np.array([1, 2, 6])));
    expect(d.map((v) => Math.round(v * 1e5) / 1e5)).toEqual([-1.33333, -0.66667, 2]);
  });
});

describe("movement", () => {
  const x = counted(2, 3);

  it("changes shapes", async () => {
    expect(np.reshape(x, [3, -1]).shape).toEqual([3, 2]);
    expect(x.reshape(-1).shape).toEqual([6]);
    expect(code(() => np.reshape(x, [4, -1]))).toBe("FAX1203");
    expect(await values(x.T)).toEqual([0, 3, 1, 4, 2, 5]);
    expect(np.transpose(np.zeros([2, 3, 4]), [2, 0, 1]).shape).toEqual([4, 2, 3]);
    expect(code(() => np.transpose(x, [0, 0]))).toBe("FAX1202");
    expect(np.moveaxis(np.zeros([2, 3, 4]), 0, -1).shape).toEqual([3, 4, 2]);
    expect(np.moveaxis(np.zeros([2, 3, 4]), [0, 1], [-1, -2]).shape).toEqual([4, 3, 2]);
    expect(np.swapaxes(np.zeros([2, 3, 4]), 0, 2).shape).toEqual([4, 3, 2]);
    expect(np.squeeze(np.zeros([1, 3, 1])).shape).toEqual([3]);
    expect(np.squeeze(np.zeros([1, 3, 1]), 0).shape).toEqual([3, 1]);
    expect(code(() => np.squeeze(x, 0))).toBe("FAX1203");
    expect(np.expandDims(x, [0, -1]).shape).toEqual([1, 2, 3, 1]);
    expect(await values(np.broadcastTo([1, 2], [2, 2]))).toEqual([1, 2, 1, 2]);
    expect(code(() => np.broadcastTo(x, [3]))).toBe("FAX1201");
  });

  it("joins, cuts, repeats and turns", async () => {
    expect(await values(np.concatenate([[1], [2, 3]]))).toEqual([1, 2, 3]);
    expect(np.concatenate([x, x], { axis: 1 }).shape).toEqual([2, 6]);
    expect(np.concatenate([x, x], null).shape).toEqual([12]);
    expect(code(() => np.concatenate([x, np.zeros([2, 4])]))).toBe("FAX1201");
    expect(np.stack([x, x], -1).shape).toEqual([2, 3, 2]);
    expect(
      np.vstack([
        [1, 2],
        [3, 4],
      ]).shape,
    ).toEqual([2, 2]);
    expect(np.hstack([[1, 2], [3]]).shape).toEqual([3]);
    expect(np.stack([1, 2, 3]).shape).toEqual([3]);
    expect(np.split(counted(6), 3).map((part) => part.shape)).toEqual([[2], [2], [2]]);
    expect(np.split(counted(6), [2, 3]).map((part) => part.shape[0])).toEqual([2, 1, 3]);
    expect(code(() => np.split(counted(5), 2))).toBe("FAX1203");
    expect(np.arraySplit(counted(5), 2).map((part) => part.shape[0])).toEqual([3, 2]);
    expect(await values(np.flip([1, 2, 3]))).toEqual([3, 2, 1]);
    expect(await values(np.roll([1, 2, 3, 4], 1))).toEqual([4, 1, 2, 3]);
    expect(await values(np.roll(x, -1, 1))).toEqual([1, 2, 0, 4, 5, 3]);
    expect(await values(np.tile([1, 2], [2, 2]))).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
    expect(await values(np.repeat([1, 2], 2))).toEqual([1, 1, 2, 2]);
    expect(await values(np.repeat(x, 2, 0))).toEqual([0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
    const [a, b] = np.meshgrid([
      [1, 2, 3],
      [4, 5],
    ]) as [NDArray, NDArray];
    expect(await values(a)).toEqual([1, 2, 3, 1, 2, 3]);
    expect(await values(b)).toEqual([4, 4, 4, 5, 5, 5]);
  });

  it("pads", async () => {
    expect(await values(np.pad([1, 2], [1, 2]))).toEqual([0, 1, 2, 0, 0]);
    expect(await values(np.pad([1, 2, 3], 2, { mode: "reflect" }))).toEqual([3, 2, 1, 2, 3, 2, 1]);
    expect(await values(np.pad([1, 2, 3], 2, { mode: "symmetric" }))).toEqual([2, 1, 1, 2, 3, 3, 2]);
    expect(await values(np.pad([1, 2, 3], 1, { mode: "wrap" }))).toEqual([3, 1, 2, 3, 1]);
    expect(await values(np.pad([1, 2, 3], 1, { mode: "edge" }))).toEqual([1, 1, 2, 3, 3]);
    expect(
      np.pad(x, [
        [1, 0],
        [0, 2],
      ]).shape,
    ).toEqual([3, 5]);
    expect(code(() => np.pad(x, -1))).toBe("FAX1203");
  });
});

describe("indexing", () => {
  const x = counted(3, 4);

  it("slices as NumPy does", async () => {
    expect(await values(x.slice(1))).toEqual([4, 5, 6, 7]);
    expect(await values(x.slice(-1, [1, 3]))).toEqual([9, 10]);
    expect(await values(x.slice([null, null, -1], 0))).toEqual([8, 4, 0]);
    expect(await values(x.slice([], [3, 0, -2]))).toEqual([3, 1, 7, 5, 11, 9]);
    expect(x.slice(null, "...", null).shape).toEqual([1, 3, 4, 1]);
    expect(x.slice("...", 0).shape).toEqual([3]);
    expect(x.slice([5, 9]).shape).toEqual([0, 4]);
    expect(x.slice([-2, null]).shape).toEqual([2, 4]);
    expect(code(() => x.slice(3))).toBe("FAX1203");
    expect(code(() => x.slice(0, 0, 0))).toBe("FAX1202");
    expect(code(() => x.slice(np.array([0.5])))).toBe("FAX1102");
  });

  it("takes arrays of indices", async () => {
    expect(await values(x.slice(int(2, 0)))).toEqual([8, 9, 10, 11, 0, 1, 2, 3]);
    expect(await values(x.slice(int(2, -1), int(0, 1)))).toEqual([8, 9]);
    expect(await values(x.slice([0, 2], int(3, 1)))).toEqual([3, 1, 7, 5]);
    expect(counted(2, 3, 4).slice(0, [], int(1, 2)).shape).toEqual([2, 3]);
    expect(counted(2, 3, 4).slice([], int(1, 2)).shape).toEqual([2, 2, 4]);
    expect(await values(counted(2, 3, 4).slice(1, [], int(1, 2)))).toEqual([13, 17, 21, 14, 18, 22]);
    expect(await values(np.take(x, [1, 0], 1))).toEqual([1, 0, 5, 4, 9, 8]);
    expect(await values(np.take(x, 5))).toEqual([5]);
    expect(await values(np.take([1, 2], [5, -1]))).toEqual([NaN, 2]);
    expect(await values(np.take([1, 2], [5, -1], { mode: "clip" }))).toEqual([2, 1]);
    expect(await values(np.take([1, 2], [3, -1], { mode: "wrap" }))).toEqual([2, 2]);
    expect(code(() => np.take(x, [0.5]))).toBe("FAX1102");
    expect(await values(np.takeAlongAxis(x, np.array([[3], [0], [1]], { dtype: "i32" }), 1))).toEqual([3, 4, 9]);
    expect(code(() => np.takeAlongAxis(x, int(1), 1))).toBe("FAX1201");
  });

  it("takes traced indices, under vmap and grad too", async () => {
    const row = jit((v: NDArray, i: NDArray) => v.slice(i));
    expect(await values(row(x, np.array(2, { dtype: np.int32 })))).toEqual([8, 9, 10, 11]);
    expect(await values(row(x, np.array(-3, { dtype: np.int32 })))).toEqual([0, 1, 2, 3]);
    expect(await values(jit((v: NDArray, i: NDArray) => v.slice([], i))(x, np.array(1, { dtype: np.int32 })))).toEqual([
      1, 5, 9,
    ]);
    const rows = vmap((i: NDArray) => x.slice(i))(int(1, 0));
    expect(await values(rows)).toEqual([4, 5, 6, 7, 0, 1, 2, 3]);
    const gradient = grad((v: NDArray) => np.sum(np.square(v.slice(int(1, 1)))))(np.array([1, 2]));
    expect(await values(gradient)).toEqual([0, 8]);
  });

  it("iterates over rows", async () => {
    const [first, second] = x as Iterable<NDArray>;
    expect(await values(first as NDArray)).toEqual([0, 1, 2, 3]);
    expect(await values(second as NDArray)).toEqual([4, 5, 6, 7]);
  });
});

describe("linear algebra", () => {
  const a = counted(2, 3);
  const b = counted(3, 2);

  it("multiplies", async () => {
    expect(await values(np.matmul(a, b))).toEqual([10, 13, 28, 40]);
    expect(await values(a.dot([1, 0, 1]))).toEqual([2, 8]);
    expect(await values(np.dot([1, 2], [3, 4]))).toEqual([11]);
    expect(await values(np.dot(a, 2))).toEqual([0, 2, 4, 6, 8, 10]);
    expect(np.matmul(np.zeros([5, 1, 2, 3]), np.zeros([4, 3, 6])).shape).toEqual([5, 4, 2, 6]);
    expect(np.matmul(np.zeros([3]), np.zeros([4, 3, 6])).shape).toEqual([4, 6]);
    expect(np.matmul(np.zeros([4, 2, 3]), np.zeros([3])).shape).toEqual([4, 2]);
    expect(np.dot(np.zeros([2, 3]), np.zeros([5, 3, 4])).shape).toEqual([2, 5, 4]);
    expect(np.tensordot(np.zeros([2, 3, 4]), np.zeros([3, 4, 5])).shape).toEqual([2, 5]);
    expect(np.tensordot(np.zeros([2, 3]), np.zeros([5, 2]), [0, 1]).shape).toEqual([3, 5]);
    expect(await values(np.outer([1, 2], [3, 4]))).toEqual([3, 4, 6, 8]);
    expect(await values(np.inner(a, a))).toEqual([5, 14, 14, 50]);
    expect(await values(np.vdot(a, a))).toEqual([55]);
    expect(np.matmul(np.array([[true]]), np.array([[true]])).dtype).toBe("bool");
    expect(code(() => np.matmul(a, a))).toBe("FAX1201");
    expect(code(() => np.matmul(a, 2))).toBe("FAX1203");
  });

  it("reads matrices", async () => {
    expect(await values(np.trace(counted(3, 3)))).toEqual([12]);
    expect(await values(np.diagonal(counted(3, 4), { offset: 1 }))).toEqual([1, 6, 11]);
    expect(await values(np.diagonal(counted(3, 4), { offset: -1 }))).toEqual([4, 9]);
    expect(await values(np.diag([1, 2], 1))).toEqual([0, 1, 0, 0, 0, 2, 0, 0, 0]);
    expect(await values(np.diag([1, 2], -1))).toEqual([0, 0, 0, 1, 0, 0, 0, 2, 0]);
    expect(await values(np.diag(counted(2, 2)))).toEqual([0, 3]);
    expect(await values(np.tril(np.ones([2, 3])))).toEqual([1, 0, 0, 1, 1, 0]);
    expect(await values(np.triu(np.ones([2, 3]), 1))).toEqual([0, 1, 1, 0, 0, 1]);
  });

  it("sums by labels", async () => {
    expect(await values(np.einsum("ij,jk->ik", a, b))).toEqual([10, 13, 28, 40]);
    expect(await values(np.einsum("ij,jk", a, b))).toEqual([10, 13, 28, 40]);
    expect(await values(np.einsum("ii", counted(3, 3)))).toEqual([12]);
    expect(await values(np.einsum("ii->i", counted(3, 3)))).toEqual([0, 4, 8]);
    expect(await values(np.einsum("ji", a))).toEqual([0, 3, 1, 4, 2, 5]);
    expect(await values(np.einsum("i,j->ij", [1, 2], [3, 4]))).toEqual([3, 4, 6, 8]);
    expect(await values(np.einsum("i,i,i->", [1, 2], [3, 4], [5, 6]))).toEqual([63]);
    expect(np.einsum("...ij,...jk->...ik", np.zeros([7, 2, 3]), np.zeros([3, 4])).shape).toEqual([7, 2, 4]);
    expect(np.einsum("bi,bj->b", np.zeros([7, 2]), np.zeros([7, 3])).shape).toEqual([7]);
    expect(np.einsum("ab,bc,cd,de->ae", ...[2, 3, 4, 5].map((n) => np.zeros([n, n + 1]))).shape).toEqual([2, 6]);
    expect(await values(np.einsum("ij,ij->ij", np.ones([1, 3]), a))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(code(() => np.einsum("ij,jk", a, a))).toBe("FAX1201");
    expect(code(() => np.einsum("ij->ik", a))).toBe("FAX1203");
    expect(code(() => np.einsum("ij->ii", a))).toBe("FAX1203");
    expect(code(() => np.einsum("i", a))).toBe("FAX1203");
    expect(code(() => np.einsum("ij", a, a))).toBe("FAX1203");
    expect(await values(grad((x: NDArray) => np.einsum("ii", x))(np.ones([2, 2])))).toEqual([1, 0, 0, 1]);
  });
});
