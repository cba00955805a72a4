/** Speed, kept by what is deterministic: kernels and submits per call, live intermediates. */
import { type AdapterProfile, baselineProfile, CompiledProgram, type Executable, optimize } from "@fax/compiler";
import { grad, makeJaxpr, np, type NDArray, valueAndGrad } from "@fax/core";
import { gelu, layerNorm, softmax, softmaxCrossEntropyWithIntegerLabels as crossEntropy } from "@fax/nn";
import { adam, applyUpdates } from "@fax/optim";
import { describe, expect, it } from "vitest";
import { faxFunction } from "../bench/libraries/fax.ts";
import { federatedRows } from "../bench/rows/federated.ts";

/** What SwiftShader, the adapter that every machine has, and an ordinary desktop GPU through Dawn let a kernel bind. */
const profiles: readonly AdapterProfile[] = [
  {
    ...baselineProfile,
    class: "cpu",
    name: "software",
    limits: { ...baselineProfile.limits, maxStorageBuffersPerShaderStage: 12 },
  },
  {
    ...baselineProfile,
    class: "gpu",
    name: "gpu",
    limits: { ...baselineProfile.limits, maxStorageBuffersPerShaderStage: 16 },
  },
];

function compiled(fn: (...args: never[]) => unknown, ...args: readonly unknown[]): CompiledProgram {
  return new CompiledProgram(optimize(makeJaxpr(fn)(...args).jaxpr));
}

function executables(fn: (...args: never[]) => unknown, ...args: readonly unknown[]): Executable[] {
  const program = compiled(fn, ...args);
  return profiles.map((profile) => program.executable(profile));
}

function dispatches(executable: Executable): number {
  return executable.steps.filter((step) => step.kind === "dispatch").length;
}

const x = np.zeros([64, 32]);
const w = np.zeros([32, 32]);
const b = np.zeros([32]);

interface Layers {
  readonly w1: NDArray;
  readonly b1: NDArray;
  readonly w2: NDArray;
  readonly b2: NDArray;
}

const layers: Layers = { w1: np.zeros([784, 512]), b1: np.zeros([512]), w2: np.zeros([512, 10]), b2: np.zeros([10]) };
const images = np.zeros([128, 784]);
const digits = np.zeros([128], { dtype: np.int32 });
const logits = np.zeros([128, 10]);
const mlp = (v: NDArray, p: Layers): NDArray =>
  np.add(np.matmul(np.tanh(np.add(np.matmul(v, p.w1), p.b1)), p.w2), p.b2);
const normalized = (v: NDArray, scale: NDArray, bias: NDArray): NDArray => layerNorm(v, { scale, bias });

const heads = np.zeros([2, 64, 16]);
const attention = (q: NDArray, k: NDArray, v: NDArray): NDArray =>
  np.einsum("hqk,hkd->hqd", softmax(np.divide(np.einsum("hqd,hkd->hqk", q, k), 4)), v);

const gradientOfAttention = (q: NDArray, k: NDArray, v: NDArray, weights: NDArray): unknown =>
  grad((...args: [NDArray, NDArray, NDArray]) => np.sum(np.multiply(weights, attention(...args))), [0, 1, 2])(q, k, v);

describe("kernels per call", () => {
  const cases: readonly [name: string, most: number, fn: (...args: never[]) => unknown, args: readonly unknown[]][] = [
    [
      "an elementwise chain of 10",
      1,
      (v: NDArray) => {
        let y = v;
        for (let i = 0; i < 5; i++) y = np.sin(np.add(y, i + 0.5));
        return y;
      },
      [x],
    ],
    ["gelu(x @ w + b)", 1, (v: NDArray, m: NDArray, c: NDArray) => gelu(np.add(np.matmul(v, m), c)), [x, w, b]],
    ["softmax of rows", 1, (v: NDArray) => softmax(v), [x]],
    ["layer norm", 1, normalized, [x, b, b]],
    [
      "the gradient of layer norm",
      3,
      (v: NDArray, scale: NDArray, bias: NDArray, weights: NDArray) =>
        grad((...args: [NDArray, NDArray, NDArray]) => np.sum(np.multiply(weights, normalized(...args))), [0, 1, 2])(
          v,
          scale,
          bias,
        ),
      [x, b, b, x],
    ],
    [
      "cross entropy with integer labels",
      1,
      (v: NDArray, labels: NDArray) => crossEntropy(v, labels),
      [logits, digits],
    ],
    [
      "the gradient of cross entropy with integer labels",
      2,
      (v: NDArray, labels: NDArray) => grad((u: NDArray) => np.mean(crossEntropy(u, labels)))(v),
      [logits, digits],
    ],
    ["a sum of squares", 2, (v: NDArray) => np.sum(np.square(v)), [np.zeros([1000, 100])]],
    [
      "an Adam update of one tensor",
      1,
      (p: NDArray, g: NDArray, state: ReturnType<ReturnType<typeof adam>["init"]>) => {
        const { updates, state: next } = adam(0.001).update(g, state, p);
        return [applyUpdates(p, updates as NDArray), next];
      },
      [w, w, adam(0.001).init(w)],
    ],
    ["the forward pass of a two-layer MLP", 2, mlp, [images, layers]],
    [
      "the value and the gradient of a two-layer MLP",
      8,
      (v: NDArray, labels: NDArray, p: Layers) =>
        valueAndGrad((q: Layers) => np.mean(crossEntropy(mlp(v, q), labels)))(p),
      [images, digits, layers],
    ],
    // Scores are in memory, and read once: softmax goes along with the second product.
    ["attention", 2, attention, [heads, heads, heads]],
    ["the gradient of attention", 4, gradientOfAttention, [heads, heads, heads, heads]],
  ];
  for (const [name, most, fn, args] of cases) {
    it(`${name}: at most ${most}`, () => {
      for (const executable of executables(fn, ...args)) expect(dispatches(executable)).toBeLessThanOrEqual(most);
    });
  }

  it.each([
    ["by hand", 64],
    ["of the library", 64],
    ["of the library", 256],
  ] as const)(
    "an Adam update of 20 tensors, %s, %i wide: at most 3, and 2 where a kernel binds 12 buffers",
    (which, width) => {
      const tensors = Array.from({ length: 20 }, (_, i) => np.zeros(i % 2 === 0 ? [width, width] : [width]));
      const optimizer = adam(0.001);
      const library = (p: NDArray[], g: NDArray[], state: ReturnType<typeof optimizer.init<NDArray[]>>) => {
        const { updates, state: next } = optimizer.update(g, state, p);
        return [applyUpdates(p, updates), next];
      };
      const byHand = (p: NDArray[], g: NDArray[], { count, mu, nu }: Parameters<typeof library>[2]) =>
        p.map((param, i) => {
          const [grad, last, lastSquare] = [g[i], mu[i], nu[i]] as [NDArray, NDArray, NDArray];
          const mean = np.add(np.multiply(last, 0.9), np.multiply(grad, 0.1));
          const square = np.add(np.multiply(lastSquare, 0.999), np.multiply(np.square(grad), 0.001));
          const [bias1, bias2] = [0.9, 0.999].map((b) => np.subtract(1, np.power(b, count))) as [NDArray, NDArray];
          const root = np.add(np.sqrt(np.divide(square, bias2)), 1e-8);
          return [np.subtract(param, np.divide(np.divide(mean, bias1), root)), mean, square];
        });
      const program = compiled(which === "by hand" ? byHand : library, tensors, tensors, optimizer.init(tensors));
      for (const profile of [...profiles, baselineProfile]) {
        const most = profile.limits.maxStorageBuffersPerShaderStage < 12 ? 3 : 2;
        expect(dispatches(program.executable(profile))).toBeLessThanOrEqual(most);
      }
    },
  );

  it("attention is one kernel on GPUs, and on any adapter that its scores do not fit", () => {
    const long = np.zeros([8, 32768, 64]);
    for (const executable of executables(attention, long, long, long)) {
      expect(dispatches(executable)).toBe(1);
      // The result, and nothing else: the scores would take 34 GB.
      expect(executable.peakBytes).toBe(8 * 32768 * 64 * 4);
    }
    const gradient = executables(gradientOfAttention, long, long, long, long);
    for (const executable of gradient) {
      expect(dispatches(executable)).toBeLessThanOrEqual(4);
      // Three gradients, and for each row its maximum and two sums.
      expect(executable.peakBytes).toBeLessThanOrEqual(3 * 8 * 32768 * 65 * 4);
    }
    const [software, gpu] = executables(attention, heads, heads, heads);
    expect(software && dispatches(software)).toBe(2);
    expect(gpu && dispatches(gpu)).toBe(1);
  });

  it.each([...federatedRows(true), ...federatedRows(false)].map((row) => [row.name, row] as const))(
    "%s: at most 10 for each local step",
    (_, row) => {
      const inputs = row.inputs().map(({ shape, dtype }) => np.zeros(shape, { dtype }));
      for (const executable of executables(faxFunction({ ...row, inputs: [] }), inputs)) {
        const loops = executable.steps.flatMap((step) => (step.kind === "loop" ? [step] : []));
        expect(loops).toHaveLength(1);
        expect(loops[0]?.body.filter(({ kind }) => kind === "dispatch").length).toBeLessThanOrEqual(10);
      }
    },
  );

  it("the identical layers of a chain of 60 tanh(x @ w) share kernels", () => {
    const chain = (v: NDArray, m: NDArray): NDArray => {
      let y = v;
      for (let i = 0; i < 60; i++) y = np.tanh(np.matmul(y, m));
      return y;
    };
    const program = compiled(chain, x, w);
    for (const profile of profiles) expect(program.executable(profile).kernels.length).toBeLessThanOrEqual(2);
  });
});
