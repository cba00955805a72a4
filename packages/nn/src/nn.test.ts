import { grad, type NDArray, np, setDevice } from "@fax/core";
import { describe, expect, it } from "vitest";
import * as nn from "./index.ts";

setDevice("reference");

async function values(x: NDArray<string>): Promise<number[]> {
  return [...(await x.data())];
}

/** Numbers that are equal to so many decimals. */
function near(expected: readonly number[], digits = 5): unknown[] {
  return expected.map((value): unknown => expect.closeTo(value, digits));
}

const int = (...x: number[]): NDArray => np.array(x, { dtype: np.int32 });

describe("activations", () => {
  it("have jax.nn's values", async () => {
    const x = np.array([-1, 0, 2]);
    expect(await values(nn.relu(x))).toEqual(near([0, 0, 2]));
    expect(await values(nn.sigmoid(x))).toEqual(near([0.26894143, 0.5, 0.880797]));
    expect(await values(nn.silu(x))).toEqual(near([-0.26894143, 0, 1.761594]));
    expect(await values(nn.softplus(x))).toEqual(near([0.31326166, 0.6931472, 2.126928]));
    expect(await values(nn.elu(x))).toEqual(near([-0.63212055, 0, 2]));
    expect(await values(nn.leakyRelu(x))).toEqual(near([-0.01, 0, 2]));
    expect(await values(nn.gelu(np.array([1])))).toEqual(near([0.841192]));
    expect(await values(nn.gelu(np.array([1]), { approximate: false }))).toEqual(near([0.8413447]));
    expect(await values(nn.tanh(x))).toEqual(near([-0.7615942, 0, 0.9640276]));
    expect(nn.sigmoid(int(1)).dtype).toBe("f32");
  });

  it("have gradients everywhere", async () => {
    const at = (f: (x: NDArray) => NDArray) => grad((x: NDArray) => np.sum(f(x)))(np.array([-200, 0, 200]));
    expect(await values(at(nn.relu))).toEqual(near([0, 0, 1]));
    expect(await values(at(nn.softplus))).toEqual(near([0, 0.5, 1]));
    expect(await values(at(nn.elu))).toEqual(near([0, 1, 1]));
    expect(await values(at(nn.silu))).toEqual(near([0, 0.5, 1]));
  });
});

describe("softmax", () => {
  it("does not overflow", async () => {
    expect(await values(nn.softmax(np.array([1000, 1000])))).toEqual(near([0.5, 0.5]));
    expect(await values(nn.logSoftmax(np.array([[0, Math.log(3)]])))).toEqual(near([Math.log(0.25), Math.log(0.75)]));
    expect(await values(nn.logsumexp(np.array([1000, 1000])))).toEqual(near([1000 + Math.LN2], 3));
    expect(await values(nn.logsumexp(np.array([-Infinity, -Infinity])))).toEqual(near([-Infinity]));
    expect(
      await values(
        nn.softmax(
          np.array([
            [1, 2],
            [1, 2],
          ]),
          0,
        ),
      ),
    ).toEqual(near([0.5, 0.5, 0.5, 0.5]));
    expect(nn.logsumexp(np.zeros([2, 3]), { axis: 1, keepdims: true }).shape).toEqual([2, 1]);
    expect(await values(grad((x: NDArray) => nn.logsumexp(x))(np.array([0, Math.log(3)])))).toEqual(near([0.25, 0.75]));
    expect(await values(grad((x: NDArray) => nn.logSoftmax(x).slice(0))(np.array([0, Math.log(3)])))).toEqual(
      near([0.75, -0.75]),
    );
  });

  it("normalizes layers", async () => {
    const x = np.array([[1, 2, 3, 4]]);
    expect(await values(nn.standardize(x))).toEqual(near([-1.3416355, -0.4472118, 0.4472118, 1.3416355]));
    expect(await values(nn.layerNorm(x, { scale: 2, bias: np.array([1, 1, 1, 1]) }))).toEqual(
      near([-1.683271, 0.1055764, 1.8944236, 3.683271]),
    );
  });
});

describe("losses", () => {
  it("agree on labels of either kind", async () => {
    const logits = np.array([
      [1, 2, 0.5],
      [0, -1, 3],
    ]);
    const labels = int(1, 2);
    expect(await values(nn.oneHot(labels, 3))).toEqual(near([0, 1, 0, 0, 0, 1]));
    expect(nn.oneHot(labels, 3, { axis: 0 }).shape).toEqual([3, 2]);
    expect(await values(nn.oneHot(int(5), 3))).toEqual(near([0, 0, 0]));
    const dense = nn.softmaxCrossEntropy(logits, nn.oneHot(labels, 3));
    const expected = [Math.log(Math.E + Math.E ** 2 + Math.E ** 0.5) - 2, Math.log(1 + Math.E ** -1 + Math.E ** 3) - 3];
    expect(await values(dense)).toEqual(near(expected));
    expect(await values(nn.softmaxCrossEntropyWithIntegerLabels(logits, labels))).toEqual(near(expected));
    const gradient = grad((x: NDArray) => np.sum(nn.softmaxCrossEntropyWithIntegerLabels(x, labels)))(logits);
    expect(await values(np.subtract(nn.softmax(logits), nn.oneHot(labels, 3)))).toEqual(
      near([...(await gradient.data())]),
    );
  });
});
