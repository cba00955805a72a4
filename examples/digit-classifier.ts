// What the examples on handwritten digits have in common: a network with one hidden layer, its loss, its accuracy.
import { f32, type NDArray, np, type Placed, random, tree } from "@fax/core";
import { mnist } from "@fax/data";
import * as nn from "@fax/nn";

const [pixels, width, classes] = [784, 64, 10];

export const model = {
  hidden: { w: f32(pixels, width), b: f32(width) },
  output: { w: f32(width, classes), b: f32(classes) },
};
export type Model = Placed<typeof model>;

const dense = ({ w, b }: Model["hidden"], x: NDArray) => np.add(np.matmul(x, w), b);

const logits = ({ hidden, output }: Model, images: NDArray) => dense(output, nn.relu(dense(hidden, images)));

export const lossOf = (model: Model, images: NDArray, labels: NDArray) =>
  np.mean(nn.softmaxCrossEntropy(logits(model, images), nn.oneHot(labels, classes)));

// Normal weights whose variance keeps the scale of what passes through (He et al. 2015).
export function initialModel(key: NDArray): Model {
  const normal = (layer: number, inputs: number, outputs: number) =>
    np.multiply(random.normal(random.foldIn(key, layer), [inputs, outputs]), Math.sqrt(2 / inputs));
  return {
    hidden: { w: normal(0, pixels, width), b: np.zeros(width) },
    output: { w: normal(1, width, classes), b: np.zeros(classes) },
  };
}

// x + rate · direction, array by array.
export const move = (x: Model, rate: number, direction: Model): Model =>
  tree.map((x: NDArray, d: NDArray) => np.add(x, np.multiply(rate, d)), x, direction);

export const zeros = (like: Model): Model => tree.map((x: NDArray) => np.zerosLike(x), like);

export const { train, test } = mnist({ train: 8000, test: 2000 });
const testImages = np.array(test.images, { shape: [test.size, pixels] });
const testLabels = np.array(test.labels);

// The share of test digits that the model tells right.
export const accuracy = (model: Model) => np.mean(np.equal(np.argmax(logits(model, testImages), 1), testLabels));
