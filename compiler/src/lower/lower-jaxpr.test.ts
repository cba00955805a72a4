import { expect, it } from "vitest";
import { avalOf } from "../ir/aval.ts";
import { jaxprOf, type Jaxpr } from "../ir/jaxpr.ts";
import { fuse } from "../fuse/fuse.ts";
import { inputsFor } from "../fuse/build-graph.test-support.ts";
import { evaluateFused, evaluateGraph } from "../fuse/evaluate-kernels.test-support.ts";
import { lax } from "../primitives/lax.ts";
import { scan } from "../primitives/scan.ts";
import { trace } from "../trace/builder.ts";
import type { Value } from "../trace/ndarray.ts";
import { lowerJaxpr } from "./lower-jaxpr.ts";
import { printGraph } from "./print-graph.ts";

const f32 = (...shape: number[]) => avalOf("f32", shape);

function traced(shapes: readonly (readonly number[])[], body: (args: Value[]) => readonly Value[]): Jaxpr {
  const { jaxpr, consts } = trace(
    shapes.map((shape) => f32(...shape)),
    body,
  );
  expect(consts).toEqual([]);
  return jaxpr;
}

it("literals meet arrays of any shape; movement is a map of one load", () => {
  const jaxpr = traced([[2, 3]], ([x]) => [lax.mul(lax.transpose(x as Value, [1, 0]), 0.5)]);
  expect(printGraph(lowerJaxpr(jaxpr))).toMatchInlineSnapshot(`
    "graph(t0: f32[2,3]) {
      # transpose for i0 < 3, i1 < 2
      t1: f32[3,2]; t1[i0, i1] = t0[i1, i0]
      # mul for i2 < 3, i3 < 2
      t2: f32[3,2]; t2[i2, i3] = t1[i2, i3] * 0.5
      return t2
    }
    "
  `);
});

it("literal outputs are stored", () => {
  const jaxpr = traced([], () => []);
  const literal = { kind: "literal", value: 2, aval: f32() } as const;
  const graph = lowerJaxpr(jaxprOf({ ...jaxpr, outvars: [literal, literal] }));
  expect(evaluateGraph(graph, [])).toEqual([[2], [2]]);
  expect(evaluateFused(fuse(graph, { maxBindings: 8 }), [])).toEqual([[2], [2]]);
});

it.each([0, 1, 4])("a scan of %i iterations is a loop node, or none", (length) => {
  const { jaxpr: body } = trace([f32(3), f32(3), f32(3)], ([w, c, x]) => {
    const next = lax.add(lax.mul(w as Value, c as Value), x as Value);
    return [next, lax.reduce_sum(next, [0])];
  });
  const jaxpr = traced([[3], [3], [length, 3]], (args) =>
    scan(args, { jaxpr: body, length, reverse: false, num_consts: 1, num_carry: 1 }),
  );
  const graph = lowerJaxpr(jaxpr);
  expect(graph.nodes.filter((node) => node.kind === "loop").length).toBe(length > 1 ? 1 : 0);
  const inputs = inputsFor(
    graph.inputs.map((tensor) => tensor.shape),
    5,
  );
  const expected = evaluateGraph(graph, inputs);
  expect(evaluateFused(fuse(graph, { maxBindings: 8 }), inputs)).toEqual(expected);
  let carry = inputs[1] ?? [];
  for (let t = 0; t < length; t++) {
    carry = carry.map((c, k) => (inputs[0]?.[k] ?? 0) * c + (inputs[2]?.[3 * t + k] ?? 0));
    expect(expected[1]?.[t]).toBeCloseTo(
      carry.reduce((sum, x) => sum + x, 0),
      9,
    );
  }
  expect(expected[0]).toEqual(carry);
});
