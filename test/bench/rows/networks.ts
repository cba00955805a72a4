/** Networks, their gradients, and optimizers. */
import type { HostArray } from "@fax/compiler/executable";
import type { Ops, Program } from "../libraries/library.ts";
import { bytesOf, labels, type Row, sizeOf, uniform } from "./row.ts";

interface Attention {
  readonly heads: number;
  readonly length: number;
  readonly width: number;
}

function attend<A>(ops: Ops<A>, query: A, key: A, value: A, width: number): A {
  const scores = ops.mul(ops.matmul(query, ops.transpose(key, [0, 2, 1])), width ** -0.5);
  return ops.matmul(ops.softmax(scores), value);
}

function attention({ heads, length, width }: Attention): Row[] {
  const shape = [heads, length, width];
  const inputs = (): HostArray[] => [1, 2, 3, 4].map((seed) => uniform(seed, shape));
  const products = 2 * heads * length * length * width;
  const base = { mode: "call", inputs, tolerance: 1e-3 } as const;
  const name = `attention ${heads}×${length}×${width}`;
  return [
    {
      ...base,
      name: `${name} forward`,
      flops: 2 * products + 5 * heads * length * length,
      bytes: bytesOf(4 * sizeOf(shape)),
      program: (ops, input) => [attend(ops, input(0), input(1), input(2), width)],
    },
    {
      ...base,
      name: `${name} backward`,
      // The forward products, and two for each of them; what the tiles are recomputed from is not counted.
      flops: 6 * products + 10 * heads * length * length,
      bytes: bytesOf(7 * sizeOf(shape)),
      program: (ops, input, all) => {
        const loss = <A>(o: Ops<A>, [q, k, v]: readonly A[], weight: A): A =>
          o.sum(o.mul(attend(o, q as A, k as A, v as A, width), weight));
        return ops.valueAndGrad((params) => loss(ops, params, input(3)), all.slice(0, 3))[1];
      },
    },
  ];
}

interface Mlp {
  readonly batch: number;
  readonly sizes: readonly number[];
}

export function mlpParams(sizes: readonly number[], seed = 10): HostArray[] {
  return sizes.slice(1).flatMap((outputs, layer) => {
    const inputs = sizes[layer] as number;
    return [
      uniform(seed + 2 * layer, [inputs, outputs], Math.sqrt(3 / inputs)),
      uniform(seed + 2 * layer + 1, [outputs], 0.1),
    ];
  });
}

/** The loss of each example. */
export function mlpLoss<A>(ops: Ops<A>, params: readonly A[], x: A, y: A, classes: number): A {
  let hidden = x;
  for (let layer = 0; layer < params.length; layer += 2) {
    if (layer > 0) hidden = ops.relu(hidden);
    hidden = ops.add(ops.matmul(hidden, params[layer] as A), params[layer + 1] as A);
  }
  return ops.crossEntropy(hidden, y, classes);
}

export const mlpParamCount = (sizes: readonly number[]): number =>
  sizes.slice(1).reduce((sum, outputs, layer) => sum + ((sizes[layer] as number) + 1) * outputs, 0);

/** Forward and the gradient of the weights; all but the first layer's also of what comes in. */
export const mlpStepFlops = (batch: number, sizes: readonly number[]): number =>
  sizes
    .slice(1)
    .reduce((sum, outputs, layer) => sum + (layer > 0 ? 6 : 4) * batch * (sizes[layer] as number) * outputs, 0);

function mlp({ batch, sizes }: Mlp): Row[] {
  const classes = sizes.at(-1) as number;
  const count = mlpParamCount(sizes);
  const shared = {
    mode: "call",
    flops: mlpStepFlops(batch, sizes),
    bytes: bytesOf(2 * count, batch * (sizes[0] as number), batch),
    inputs: () => [uniform(1, [batch, sizes[0] as number]), labels(2, [batch], classes), ...mlpParams(sizes)],
    tolerance: 1e-3,
  } as const;
  const name = `MLP ${sizes.join("-")}, batch ${batch}`;
  return [
    {
      ...shared,
      name: `${name}: value and gradient`,
      program: (ops, input, all) => {
        const [loss, gradient] = ops.valueAndGrad(
          (params) => ops.mean(mlpLoss(ops, params, input(0), input(1), classes)),
          all.slice(2),
        );
        return [loss, ...gradient];
      },
    },
    {
      ...shared,
      name: `${name}: step of SGD`,
      program: (ops, input, all) => {
        const [loss, gradient] = ops.valueAndGrad(
          (params) => ops.mean(mlpLoss(ops, params, input(0), input(1), classes)),
          all.slice(2),
        );
        return [loss, ...all.slice(2).map((param, i) => ops.sub(param, ops.mul(gradient[i] as typeof param, 0.1)))];
      },
    },
  ];
}

function adam(quick: boolean): Row {
  const width = quick ? 64 : 256;
  const shapes = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? [width, width] : [width]));
  const count = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  const tensors = (seed: number, scale: number): HostArray[] => shapes.map((s, i) => uniform(seed + i, s, scale));
  return {
    name: "Adam over 20 tensors",
    mode: "call",
    flops: 15 * count,
    bytes: bytesOf(7 * count),
    inputs: () => [
      { dtype: "f32", shape: [], data: Float32Array.of(3) },
      ...tensors(100, 1),
      ...tensors(200, 0.1),
      ...tensors(300, 0.1),
      ...tensors(400, 0.1).map((a) => ({ ...a, data: a.data.map(Math.abs) })),
    ],
    program: adamProgram(20),
    tolerance: 1e-4,
  };
}

/** `count`, then parameters, gradients, means and mean squares of as many tensors. */
function adamProgram(tensors: number): Program {
  const [b1, b2, rate, eps] = [0.9, 0.999, 1e-3, 1e-8];
  return (ops, input) => {
    const bias1 = ops.sub(1, ops.power(b1, input(0)));
    const bias2 = ops.sub(1, ops.power(b2, input(0)));
    return Array.from({ length: tensors }, (_, i) => {
      const [param, grad] = [input(1 + i), input(1 + tensors + i)];
      const mean = ops.add(ops.mul(input(1 + 2 * tensors + i), b1), ops.mul(grad, 1 - b1));
      const square = ops.add(ops.mul(input(1 + 3 * tensors + i), b2), ops.mul(ops.mul(grad, grad), 1 - b2));
      const step = ops.div(ops.div(mean, bias1), ops.add(ops.sqrt(ops.div(square, bias2)), eps));
      return [ops.sub(param, ops.mul(step, rate)), mean, square];
    }).flat();
  };
}

export interface Transformer {
  readonly layers: number;
  readonly batch: number;
  readonly length: number;
  readonly width: number;
  readonly heads: number;
  readonly classes: number;
}

const perLayer = 10;

/** A step of SGD of a decoder without its embedding: inputs are vectors, labels, then the parameters. */
export function transformerProgram({ layers, batch, length, width, heads, classes }: Transformer): Program {
  const headWidth = width / heads;
  const split = <A>(ops: Ops<A>, x: A): A => {
    const parted = ops.transpose(ops.reshape(x, [batch, length, heads, headWidth]), [0, 2, 1, 3]);
    return ops.reshape(parted, [batch * heads, length, headWidth]);
  };
  const join = <A>(ops: Ops<A>, x: A): A => {
    const parted = ops.transpose(ops.reshape(x, [batch, heads, length, headWidth]), [0, 2, 1, 3]);
    return ops.reshape(parted, [batch * length, width]);
  };
  const block = <A>(ops: Ops<A>, x: A, p: readonly A[]): A => {
    const [scale1, bias1, query, key, value, output, scale2, bias2, up, down] = p as [A, A, A, A, A, A, A, A, A, A];
    const normed = ops.layerNorm(x, scale1, bias1);
    const [q, k, v] = [query, key, value].map((w) => split(ops, ops.matmul(normed, w))) as [A, A, A];
    const attended = ops.add(x, ops.matmul(join(ops, attend(ops, q, k, v, headWidth)), output));
    const inner = ops.gelu(ops.matmul(ops.layerNorm(attended, scale2, bias2), up));
    return ops.add(attended, ops.matmul(inner, down));
  };
  return (ops, input, all) => {
    const params = all.slice(2);
    const loss = (p: readonly (typeof params)[number][]) => {
      let x = ops.reshape(input(0), [batch * length, width]);
      for (let layer = 0; layer < layers; layer++) x = block(ops, x, p.slice(layer * perLayer, (layer + 1) * perLayer));
      const logits = ops.matmul(x, p[layers * perLayer] as typeof x);
      return ops.mean(ops.crossEntropy(logits, input(1), classes));
    };
    const [value, gradient] = ops.valueAndGrad(loss, params);
    return [value, ...params.map((param, i) => ops.sub(param, ops.mul(gradient[i] as typeof param, 0.1)))];
  };
}

export function transformerInputs({ layers, batch, length, width, classes }: Transformer): HostArray[] {
  const weight = (seed: number, rows: number, columns: number): HostArray =>
    uniform(seed, [rows, columns], Math.sqrt(3 / rows));
  const ones: HostArray = { dtype: "f32", shape: [width], data: new Float32Array(width).fill(1) };
  const zeros: HostArray = { dtype: "f32", shape: [width], data: new Float32Array(width) };
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const seed = 1000 + 10 * layer;
    return [
      ones,
      zeros,
      ...[1, 2, 3, 4].map((i) => weight(seed + i, width, width)),
      ones,
      zeros,
      weight(seed + 5, width, 4 * width),
      weight(seed + 6, 4 * width, width),
    ];
  });
  return [
    uniform(1, [batch, length, width]),
    labels(2, [batch * length], classes),
    ...blocks.flat(),
    weight(3, width, classes),
  ];
}

function transformer(shape: Transformer): Row {
  const { layers, batch, length, width, classes } = shape;
  const tokens = batch * length;
  const weights = layers * (4 * width * width + 8 * width * width) + width * classes;
  return {
    name: `transformer step, ${layers}×${width}, ${tokens} tokens`,
    mode: "call",
    flops: 6 * tokens * weights + 12 * layers * tokens * length * width,
    bytes: bytesOf(2 * weights, tokens * width, tokens),
    inputs: () => transformerInputs(shape),
    program: transformerProgram(shape),
    tolerance: 2e-3,
  };
}

/** What the first call is measured with. */
export const firstCallMlp: Mlp = { batch: 128, sizes: [784, 512, 512, 10] };

export function networkRows(quick: boolean): Row[] {
  return [
    ...attention(quick ? { heads: 4, length: 128, width: 64 } : { heads: 8, length: 512, width: 64 }),
    ...mlp(quick ? { batch: 32, sizes: [784, 128, 128, 10] } : firstCallMlp),
    adam(quick),
    transformer({ layers: 2, batch: 4, length: 64, width: quick ? 64 : 128, heads: 4, classes: 256 }),
  ];
}

/** The row whose first call is measured. */
export function firstCallRow(): Row {
  return mlp(firstCallMlp)[0] as Row;
}
