/** The examples in the documentation run, and give what they say. */
import { readFileSync } from "node:fs";
import * as core from "@fax/core";
import * as data from "@fax/data";
import * as nn from "@fax/nn";
import * as optim from "@fax/optim";
import { expect, it } from "vitest";
import * as parallel from "../../examples/parallel-loss.fax.ts";
import { type Example, markdownExamples, runExample, sourceExamples } from "../support/doc-examples.ts";

const { f32, np, random, setDevice } = core;
const libraries = { ...nn, ...optim, ...data, ...core, nn };

setDevice("reference");

/** What an example need not define because its name says it. */
const props = {
  key: random.key(0),
  w: np.array([2, -1]),
  x: np.array([1, 2]),
  loss: (w: core.NDArray, x: core.NDArray) => np.square(np.dot(x, w)),
  params: { w: np.ones([2, 3]), b: np.zeros([3]) },
  grads: { w: np.ones([2, 3]), b: np.ones([3]) },
  logits: np.array([
    [1, 2, 3],
    [3, 2, 1],
  ]),
  labels: np.array([0, 2], { dtype: np.int32 }),
  parallelLoss: parallel.parallelLoss,
};

/** The arguments of the program in which the examples of federated operators stand: at the server, and at each client. */
const server = { w: np.array([2, -1]) };
const clients = {
  x: np.array([
    [1, 2],
    [3, -4],
    [-7, 6],
  ]),
  losses: np.array([3, 1, 2]),
  weights: np.array([1, 0, 3]),
};

async function runInProgram(example: Example): Promise<string[]> {
  const specs = [
    ...Object.values(server).map(({ shape }) => f32(...shape)),
    ...Object.values(clients).map(({ shape }) => f32(...shape.slice(1)).at("clients")),
  ];
  const names = [...Object.keys(server), ...Object.keys(clients)].join(", ");
  const values = [...Object.values(server), ...Object.values(clients)];
  const text = `program({ placements: { clients: 3 }, args: specs }, (${names}) => ${example.text})(...values)`;
  return runExample({ ...example, text }, { ...libraries, specs, values });
}

const named = (examples: readonly Example[]): [string, Example][] =>
  examples.map((example) => [example.place, example]);

it.each(named(sourceExamples()))("%s", async (_place, example) => {
  const inProgram = example.text.startsWith("federated");
  expect(await (inProgram ? runInProgram(example) : runExample(example, { ...libraries, ...props }))).toEqual([]);
});

const readme = markdownExamples("README.md");

it.each(named(readme))("%s", async (_place, example) => {
  expect(await runExample(example, libraries)).toEqual([]);
});

it("the README shows the program of examples/parallel-loss.fax.ts", () => {
  const declared = (text: string): string | undefined =>
    /export const parallelLoss.*?\n\);\n/s.exec(text)?.[0].replaceAll(/\s|,(?=\s*\))/g, "");
  const path = new URL("../../examples/parallel-loss.fax.ts", import.meta.url);
  expect(readme.map(({ text }) => declared(text))).toContain(declared(readFileSync(path, "utf8")));
});
