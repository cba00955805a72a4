/** jax-js on WebGPU. Its operations consume their operands: `ref` keeps them. */
import type { HostArray } from "@fax/compiler/executable";
import { importPeer } from "./peers.ts";
import { applyProgram, type Library, NotPossible, type Ops, type Prepared } from "./library.ts";

/** What is used of jax-js. */
interface JaxArray {
  readonly ref: JaxArray;
  readonly ndim: number;
  dispose(): void;
  data(): Promise<ArrayLike<number>>;
  slice(index: number): JaxArray;
}

type Operand = JaxArray | number;
type Binary = (x: Operand, y: Operand) => JaxArray;
type Unary = (x: JaxArray) => JaxArray;
type Reduce = (x: JaxArray, axis?: number, options?: { keepdims?: boolean }) => JaxArray;

interface JaxModule {
  init(...devices: string[]): Promise<readonly string[]>;
  defaultDevice(device: string): string;
  blockUntilReady(arrays: readonly JaxArray[]): Promise<unknown>;
  jit(fn: (...inputs: JaxArray[]) => readonly JaxArray[]): (...inputs: JaxArray[]) => JaxArray[];
  valueAndGrad(
    fn: (params: readonly JaxArray[]) => JaxArray,
  ): (params: readonly JaxArray[]) => [JaxArray, readonly JaxArray[]];
  readonly numpy: {
    array(
      data: HostArray["data"],
      options: { readonly shape: readonly number[]; readonly dtype: string; readonly device: string },
    ): JaxArray;
    readonly add: Binary;
    readonly subtract: Binary;
    readonly multiply: Binary;
    readonly divide: Binary;
    readonly power: Binary;
    readonly matmul: Binary;
    readonly sqrt: Unary;
    readonly tanh: Unary;
    transpose(x: JaxArray, permutation: readonly number[]): JaxArray;
    reshape(x: JaxArray, shape: readonly number[]): JaxArray;
    broadcastTo(x: JaxArray, shape: readonly number[]): JaxArray;
    readonly sum: Reduce;
    readonly mean: Reduce;
  };
  readonly nn: {
    readonly relu: Unary;
    readonly gelu: Unary;
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number): JaxArray;
    oneHot(x: JaxArray, classes: number): JaxArray;
  };
}

const dtypes = { f32: "float32", f16: "float16", i32: "int32", u32: "uint32", bool: "bool" } as const;

function opsOf({ numpy: np, nn, valueAndGrad }: JaxModule): Ops<JaxArray> {
  const keep = (x: Operand): Operand => (typeof x === "number" ? x : x.ref);
  const binary =
    (apply: Binary): Binary =>
    (x, y) =>
      apply(keep(x), keep(y));
  return {
    add: binary(np.add),
    sub: binary(np.subtract),
    mul: binary(np.multiply),
    div: binary(np.divide),
    power: binary(np.power),
    sqrt: (x) => np.sqrt(x.ref),
    tanh: (x) => np.tanh(x.ref),
    relu: (x) => nn.relu(x.ref),
    gelu: (x) => nn.gelu(x.ref),
    matmul: binary(np.matmul),
    transpose: (x, permutation) => np.transpose(x.ref, permutation),
    reshape: (x, shape) => np.reshape(x.ref, shape),
    broadcast: (x, shape) => np.broadcastTo(x.ref, shape),
    sum: (x, axis) => np.sum(x.ref, axis),
    mean: (x, axis) => np.mean(x.ref, axis),
    softmax: (x) => nn.softmax(x.ref, -1),
    layerNorm: (x, scale, bias) => np.add(np.multiply(nn.standardize(x.ref, -1), scale.ref), bias.ref),
    crossEntropy: (logits, labels, classes) =>
      np.multiply(np.sum(np.multiply(nn.logSoftmax(logits.ref, -1), nn.oneHot(labels.ref, classes)), -1), -1),
    row: (x, index) => x.ref.slice(index),
    valueAndGrad: (loss, params) => valueAndGrad(loss)(params.map((param) => param.ref)),
  };
}

export async function jaxJs(): Promise<Library> {
  const { module, version } = importPeer<JaxModule>("@jax-js/jax");
  if (!(await module.init("webgpu")).includes("webgpu")) throw new NotPossible("jax-js finds no WebGPU adapter");
  module.defaultDevice("webgpu");
  const ops = opsOf(module);
  return {
    name: "jax-js",
    version,
    prepare: (task) => {
      if (task.inputs.some(({ dtype }) => dtype === "f16")) {
        throw new NotPossible("its f16 arrays need Float16Array, which this Node lacks");
      }
      const inputs = task.inputs.map(({ data, shape, dtype }) =>
        module.numpy.array(data, { shape, dtype: dtypes[dtype], device: "webgpu" }),
      );
      const run = module.jit((...args) => applyProgram(task.program, ops, args));
      let results: JaxArray[] = [];
      let chain = inputs[0];
      return Promise.resolve({
        start(chained) {
          const args = inputs.map((input, i) => (chained && i === 0 && chain !== undefined ? chain.ref : input.ref));
          const outputs = run(...args);
          chain = outputs[0];
          results.push(...outputs);
        },
        async finish() {
          await module.blockUntilReady(results);
          for (const result of results) result.dispose();
          results = [];
          chain = inputs[0];
        },
        async read() {
          // Reading consumes the array.
          return Promise.all(run(...inputs.map((input) => input.ref)).map((output) => output.data()));
        },
        dispose() {
          for (const input of inputs) input.dispose();
        },
      } satisfies Prepared);
    },
  };
}
