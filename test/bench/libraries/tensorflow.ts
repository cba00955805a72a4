/** TensorFlow.js on WebGPU: eager, with fused operations of its own where it has them. */
import type { HostArray } from "@fax/compiler/executable";
import { importPeer } from "./peers.ts";
import { applyProgram, type Library, NotPossible, type Ops, type Prepared } from "./library.ts";

/** What is used of TensorFlow.js. */
interface Tensor {
  readonly shape: readonly number[];
  dispose(): void;
  data(): Promise<ArrayLike<number>>;
}

type Binary = (x: Tensor | number, y: Tensor | number) => Tensor;
type Unary = (x: Tensor) => Tensor;
type Reduce = (x: Tensor, axis?: number, keepDims?: boolean) => Tensor;

interface TfBackend {
  readonly device: GPUDevice;
  /** Null while nothing waits to be submitted. */
  readonly commandEncoder: GPUCommandEncoder | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

interface TfModule {
  env(): { set(flag: string, value: boolean): void };
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  backend(): TfBackend;
  tensor(data: HostArray["data"], shape: readonly number[], dtype: "float32" | "int32"): Tensor;
  tidy(body: () => readonly Tensor[]): Tensor[];
  valueAndGrads(fn: (...params: Tensor[]) => Tensor): (params: readonly Tensor[]) => {
    readonly value: Tensor;
    readonly grads: readonly Tensor[];
  };
  readonly add: Binary;
  readonly sub: Binary;
  readonly mul: Binary;
  readonly div: Binary;
  readonly pow: Binary;
  readonly sqrt: Unary;
  readonly tanh: Unary;
  readonly relu: Unary;
  readonly square: Unary;
  readonly rsqrt: Unary;
  matMul(x: Tensor, y: Tensor): Tensor;
  dot(x: Tensor, y: Tensor): Tensor;
  transpose(x: Tensor, permutation: readonly number[]): Tensor;
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  broadcastTo(x: Tensor, shape: readonly number[]): Tensor;
  readonly sum: Reduce;
  readonly mean: Reduce;
  softmax(x: Tensor): Tensor;
  logSoftmax(x: Tensor): Tensor;
  oneHot(x: Tensor, classes: number): Tensor;
  gather(x: Tensor, index: number): Tensor;
}

function opsOf(tf: TfModule): Ops<Tensor> {
  const gelu = (x: Tensor): Tensor => {
    const inner = tf.mul(tf.add(x, tf.mul(tf.mul(x, tf.mul(x, x)), 0.044715)), Math.sqrt(2 / Math.PI));
    return tf.mul(x, tf.mul(tf.add(tf.tanh(inner), 1), 0.5));
  };
  return {
    add: (x, y) => tf.add(x, y),
    sub: (x, y) => tf.sub(x, y),
    mul: (x, y) => tf.mul(x, y),
    div: (x, y) => tf.div(x, y),
    power: (base, exponent) => tf.pow(base, exponent),
    sqrt: (x) => tf.sqrt(x),
    tanh: (x) => tf.tanh(x),
    relu: (x) => tf.relu(x),
    gelu,
    matmul: (x, y) => (y.shape.length === 1 ? tf.dot(x, y) : tf.matMul(x, y)),
    transpose: (x, permutation) => tf.transpose(x, permutation),
    reshape: (x, shape) => tf.reshape(x, shape),
    broadcast: (x, shape) => tf.broadcastTo(x, shape),
    sum: (x, axis) => tf.sum(x, axis),
    mean: (x, axis) => tf.mean(x, axis),
    softmax: (x) => tf.softmax(x),
    layerNorm: (x, scale, bias) => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const variance = tf.mean(tf.square(centred), -1, true);
      return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), scale), bias);
    },
    crossEntropy: (logits, labels, classes) =>
      tf.mul(tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(labels, classes)), -1), -1),
    row: (x, index) => tf.gather(x, index),
    valueAndGrad: (loss, params) => {
      const { value, grads } = tf.valueAndGrads((...args) => loss(args))(params);
      return [value, grads];
    },
  };
}

export async function tensorflowJs(): Promise<Library> {
  const { module: tf, version } = importPeer<TfModule>("@tensorflow/tfjs");
  importPeer("@tensorflow/tfjs-backend-webgpu");
  if (!(await tf.setBackend("webgpu"))) throw new NotPossible("TensorFlow.js finds no WebGPU adapter");
  await tf.ready();
  // Else it computes what is small on the CPU, in JavaScript.
  tf.env().set("WEBGPU_CPU_FORWARD", false);
  const ops = opsOf(tf);
  return {
    name: "tensorflow.js",
    version,
    prepare: (task) => {
      const inputs = task.inputs.map(({ data, shape, dtype }) => {
        if (dtype === "f16") throw new NotPossible("it has no f16 tensors");
        return tf.tensor(data, shape, dtype === "f32" ? "float32" : "int32");
      });
      let results: Tensor[] = [];
      let chain = inputs[0];
      const run = (args: readonly Tensor[]): readonly Tensor[] =>
        tf.tidy(() => [...applyProgram(task.program, ops, args)]);
      return Promise.resolve({
        start(chained) {
          const outputs = run(chained && chain !== undefined ? [chain, ...inputs.slice(1)] : inputs);
          chain = outputs[0];
          results.push(...outputs);
        },
        async finish() {
          const backend = tf.backend();
          backend.endComputePassEncoder();
          if (backend.commandEncoder !== null) backend.submitQueue();
          await backend.device.queue.onSubmittedWorkDone();
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
