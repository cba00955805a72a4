import { describe, expect, it } from "vitest";
import { constExpr } from "../lower/expr.ts";
import type { Lowered } from "../primitives/primitive.ts";
import { Ops, inputsFor } from "./build-graph.test-support.ts";
import { evaluateFused, evaluateGraph } from "./evaluate-kernels.test-support.ts";
import { fuse } from "./fuse.ts";
import type { FusedProgram, FusedStep, Kernel } from "./kernel.ts";
import { boundTensors } from "./kernel-tensors.ts";
import { printKernels } from "./print-kernels.ts";

const options = { maxBindings: 8 };

function kernelsOf(steps: readonly FusedStep[]): Kernel[] {
  return steps.flatMap((step) =>
    step.kind === "kernel" ? [step.kernel] : step.kind === "loop" ? kernelsOf(step.body) : [],
  );
}

function fused(build: (ops: Ops) => readonly Lowered[], { maxBindings } = options, evaluate = true): FusedProgram {
  const ops = new Ops();
  const graph = ops.builder.finish(build(ops));
  const program = fuse(graph, { maxBindings });
  for (const kernel of kernelsOf(program.steps)) {
    const { loaded, stored } = boundTensors(kernel);
    expect(new Set([...loaded, ...stored]).size).toBeLessThanOrEqual(maxBindings);
    expect(loaded.filter((tensor) => stored.includes(tensor))).toEqual([]);
  }
  if (evaluate) {
    const inputs = inputsFor(
      graph.inputs.map((tensor) => tensor.shape),
      7,
    );
    const expected = evaluateGraph(graph, inputs);
    evaluateFused(program, inputs).forEach((output, i) => expectClose(output, expected[i] ?? []));
  }
  return program;
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => {
    const other = expected[i] as number;
    const close = Object.is(value, other) || Math.abs(value - other) <= 1e-9 * Math.max(1, Math.abs(other));
    expect(close, `element ${i}: ${value}, expected ${other}`).toBe(true);
  });
}

function kernelCount(...args: Parameters<typeof fused>): number {
  return kernelsOf(fused(...args).steps).length;
}

describe("kernels per program", () => {
  it("an elementwise chain of 10 is one kernel", () => {
    const count = kernelCount((ops) => {
      let x = ops.input(40);
      for (let i = 0; i < 5; i++) x = ops.unary("tanh", ops.binary("mul", x, 1.5));
      return [x];
    });
    expect(count).toBe(1);
  });

  it("gelu(x@w + b) is one kernel", () => {
    const build = (m: number, k: number, n: number) => (ops: Ops) => [
      ops.gelu(ops.addBias(ops.matmul(ops.input(m, k), ops.input(k, n)), ops.input(n))),
    ];
    expect(kernelCount(build(5, 7, 6))).toBe(1);
    expect(kernelCount(build(256, 128, 512), options, false)).toBe(1);
  });

  it("softmax of rows is one kernel", () => {
    expect(kernelCount((ops) => [ops.softmax(ops.input(9, 13))])).toBe(1);
    expect(kernelCount((ops) => [ops.softmax(ops.input(1024, 1024))], options, false)).toBe(1);
    expect(kernelCount((ops) => [ops.softmax(ops.input(3, 4, 5))])).toBe(1);
  });

  it("softmax of one very long row runs in parallel", () => {
    const kernels = kernelsOf(fused((ops) => [ops.softmax(ops.input(1, 1_000_000))], options, false).steps);
    expect(kernels.length).toBeLessThanOrEqual(5);
    for (const kernel of kernels) {
      for (const stage of kernel.stages) {
        expect(stage.axes.reduce((n, axis) => n * axis.size, 1)).toBeLessThanOrEqual(32_768);
      }
    }
  });

  it("layer norm is one kernel", () => {
    expect(kernelCount((ops) => [ops.layerNorm(ops.input(6, 8), ops.input(8), ops.input(8))])).toBe(1);
    const large = (ops: Ops) => [ops.layerNorm(ops.input(1024, 768), ops.input(768), ops.input(768))];
    expect(kernelCount(large, options, false)).toBe(1);
  });

  it("the sum of squares of an array is at most two kernels", () => {
    const build =
      (...shape: number[]) =>
      (ops: Ops) => {
        const x = ops.input(...shape);
        return [
          ops.reduce(
            "sum",
            ops.binary("mul", x, x),
            shape.map((_, d) => d),
          ),
        ];
      };
    expect(kernelCount(build(30))).toBe(1);
    expect(kernelCount(build(4_000_000), options, false)).toBe(2);
    expect(kernelCount(build(211, 163))).toBe(2);
  });

  it("Adam's update of one tensor is one kernel", () => {
    const build = (n: number) => (ops: Ops) =>
      ops.adam(ops.input(n), ops.input(n), ops.input(n), ops.input(n), ops.input());
    expect(kernelCount(build(20))).toBe(1);
    expect(kernelCount(build(1_000_000), options, false)).toBe(1);
  });

  it("an MLP of two layers is two kernels forward", () => {
    const build = (b: number, i: number, h: number, o: number) => (ops: Ops) => {
      const hidden = ops.unary("tanh", ops.addBias(ops.matmul(ops.input(b, i), ops.input(i, h)), ops.input(h)));
      return [ops.addBias(ops.matmul(hidden, ops.input(h, o)), ops.input(o))];
    };
    expect(kernelCount(build(4, 6, 5, 3))).toBe(2);
    expect(kernelCount(build(128, 784, 512, 10), options, false)).toBe(2);
  });

  it("60 times tanh(x@w) is 60 kernels", () => {
    const count = kernelCount((ops) => {
      const w = ops.input(4, 4);
      let x = ops.input(3, 4);
      for (let i = 0; i < 60; i++) x = ops.unary("tanh", ops.matmul(x, w));
      return [x];
    });
    expect(count).toBe(60);
  });

  it("a value that doubles its readers at each step does not grow exponentially", () => {
    const count = kernelCount((ops) => {
      let x = ops.input(8);
      for (let i = 0; i < 60; i++) x = ops.binary("add", x, ops.binary("mul", x, 0.5));
      return [x];
    });
    expect(count).toBe(1);
  });

  it("independent updates of one space that share an input are one kernel", () => {
    const count = kernelCount((ops) => {
      const [g, a, b] = [ops.input(16), ops.input(16), ops.input(16)];
      return [ops.binary("add", a, g), ops.binary("mul", b, g)];
    });
    expect(count).toBe(1);
  });

  it("sibling reductions share their loop", () => {
    const program = fused((ops) => {
      const x = ops.input(5, 6);
      return [ops.reduce("sum", x, [1]), ops.reduce("max", x, [1])];
    });
    const kernels = kernelsOf(program.steps);
    expect(kernels.length).toBe(1);
    expect(kernels[0]?.stages.filter((stage) => stage.kind === "reduce").length).toBe(1);
  });
});

describe("what is stored", () => {
  it("operands of a contraction are cheap or in memory", () => {
    const relu = kernelCount(
      (ops) => [ops.matmul(ops.binary("max", ops.input(512, 512), 0), ops.input(512, 512))],
      options,
      false,
    );
    const tanh = kernelCount(
      (ops) => [ops.matmul(ops.unary("tanh", ops.input(512, 512)), ops.input(512, 512))],
      options,
      false,
    );
    expect([relu, tanh]).toEqual([1, 2]);
  });

  it("movement is a kernel only as an output", () => {
    const moved = (ops: Ops) => ops.transpose(ops.reshape(ops.input(4, 6), [6, 4]), [1, 0]);
    expect(kernelCount((ops) => [moved(ops)])).toBe(1);
    expect(kernelCount((ops) => [ops.matmul(moved(ops), ops.input(6, 3))])).toBe(1);
  });

  it("a reshape after a contraction joins it", () => {
    const count = kernelCount((ops) => {
      const product = ops.matmul(ops.input(4, 5), ops.input(5, 6));
      return [ops.unary("tanh", ops.reshape(product, [2, 2, 3, 2]))];
    });
    expect(count).toBe(1);
  });

  it("inputs as outputs and duplicated outputs need nothing", () => {
    const program = fused((ops) => {
      const x = ops.input(3);
      const y = ops.unary("exp", x);
      return [x, y, y];
    });
    expect(kernelsOf(program.steps).length).toBe(1);
    expect(program.outputs[0]).toBe(program.inputs[0]);
  });

  it("constant outputs are stored, empty ones are not", () => {
    expect(kernelCount((ops) => [ops.builder.map("f32", [3, 2], () => constExpr(1, "f32"))])).toBe(1);
    expect(kernelCount((ops) => [ops.unary("exp", ops.input(0, 3))])).toBe(0);
    expect(kernelCount((ops) => [ops.reduce("max", ops.input(2, 0), [1])])).toBe(1);
    // With an empty part a concatenation is its other part, which is an input here.
    expect(kernelCount((ops) => [ops.concatenate([ops.input(0, 2), ops.input(3, 2)])])).toBe(0);
  });

  it("more arrays than a kernel may bind are taken in parts", () => {
    const sum = kernelCount((ops) => [
      Array.from({ length: 40 }, () => ops.input(6)).reduce((total, x) => ops.binary("add", total, x)),
    ]);
    expect(sum).toBe(7);
    const joined = kernelCount((ops) => [
      ops.concatenate(Array.from({ length: 40 }, (_, i) => ops.input(1 + (i % 3), 2))),
    ]);
    expect(joined).toBeLessThanOrEqual(8);
  });
});

describe("loops", () => {
  it("fuses the body, drops carries that do not change, stores elements in place", () => {
    const program = fused((ops) => {
      const [w, x0, xs] = [ops.input(3, 3), ops.input(2, 3), ops.input(5, 2, 3)];
      const { carries, stacked } = ops.builder.loop({
        length: 5,
        carries: [x0, w],
        stacked: [],
        body: (t, [x, same]) => {
          const row = ops.builder.map("f32", [2, 3], (index) => xs.at([t, ...index]));
          const next = ops.unary("tanh", ops.binary("add", ops.matmul(x as Lowered, same as Lowered), row));
          return { carries: [next, same as Lowered], elements: [] };
        },
        position: (t) => t,
      });
      return [...carries, ...stacked];
    });
    expect(program.steps.map((step) => step.kind)).toEqual(["loop"]);
    const [loop] = program.steps;
    expect(loop?.kind === "loop" && [loop.carries.length, loop.body.length]).toEqual([1, 1]);
  });

  it("swaps carries", () => {
    const program = fused((ops) => {
      const { carries } = ops.builder.loop({
        length: 3,
        carries: [ops.input(2), ops.input(2)],
        stacked: [],
        body: (_, [a, b]) => ({ carries: [b as Lowered, ops.binary("mul", a as Lowered, 2)], elements: [] }),
        position: (t) => t,
      });
      return carries;
    });
    expect(kernelsOf(program.steps).length).toBeLessThanOrEqual(2);
  });
});

it("prints kernels with their reasons", () => {
  expect(printKernels(fused((ops) => [ops.softmax(ops.input(128, 10))], options, false))).toMatchSnapshot();
});
