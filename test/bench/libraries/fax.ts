/** fax, on the device that the benchmarks opened. */
import { type DeviceInfo, jit, np, type NDArray, valueAndGrad } from "@fax/core";
import type { HostArray } from "@fax/compiler/executable";
import { gelu, layerNorm, oneHot, relu, softmax, softmaxCrossEntropy } from "@fax/nn";
import { applyProgram, type Library, type Ops, type Prepared, type Task } from "./library.ts";

export const faxOps: Ops<NDArray> = {
  add: (x, y) => np.add(x, y),
  sub: (x, y) => np.subtract(x, y),
  mul: (x, y) => np.multiply(x, y),
  div: (x, y) => np.divide(x, y),
  power: (base, exponent) => np.power(base, exponent),
  sqrt: (x) => np.sqrt(x),
  tanh: (x) => np.tanh(x),
  relu: (x) => relu(x),
  gelu: (x) => gelu(x),
  matmul: (x, y) => np.matmul(x, y),
  transpose: (x, permutation) => np.transpose(x, permutation),
  reshape: (x, shape) => np.reshape(x, shape),
  broadcast: (x, shape) => np.broadcastTo(x, shape),
  sum: (x, axis) => (axis === undefined ? np.sum(x) : np.sum(x, axis)),
  mean: (x, axis) => (axis === undefined ? np.mean(x) : np.mean(x, axis)),
  softmax: (x) => softmax(x),
  layerNorm: (x, scale, bias) => layerNorm(x, { scale, bias }),
  crossEntropy: (logits, labels, classes) => softmaxCrossEntropy(logits, oneHot(labels, classes)),
  row: (x, index) => x.slice(index),
  valueAndGrad: (loss, params) => valueAndGrad((p: readonly NDArray[]) => loss(p))(params),
};

export type FaxFunction = (inputs: readonly NDArray[]) => readonly NDArray[];

/** The task as a function of fax. */
export function faxFunction({ program, fax }: FaxTask): FaxFunction {
  return fax ?? ((inputs) => applyProgram(program, faxOps, inputs));
}

export interface FaxTask extends Task {
  /** The same in fax's own words, where it has more to say than the common operations. */
  readonly fax?: FaxFunction | undefined;
}

export function faxArray({ data, shape, dtype }: HostArray): NDArray {
  return np.array(data, { shape, dtype });
}

export function fax({ webgpu }: DeviceInfo): Library {
  if (webgpu === null) throw new Error("the benchmarks need a WebGPU device");
  return {
    name: "fax",
    version: "",
    prepare: (task) => {
      const inputs = task.inputs.map(faxArray);
      const run = jit(faxFunction(task));
      let results: NDArray[] = [];
      let chain = inputs[0];
      return Promise.resolve({
        start(chained) {
          const outputs = run(chained && chain !== undefined ? [chain, ...inputs.slice(1)] : inputs);
          chain = outputs[0];
          results.push(...outputs);
        },
        async finish() {
          await webgpu.idle();
          for (const result of results) result.dispose();
          results = [];
          chain = inputs[0];
        },
        async read() {
          const outputs = run(inputs);
          const data = await Promise.all(outputs.map((output) => output.data()));
          for (const output of outputs) output.dispose();
          return data;
        },
        dispose() {
          for (const input of inputs) input.dispose();
        },
      } satisfies Prepared);
    },
  };
}
