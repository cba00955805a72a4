import { describe, expect, it } from "vitest";
import { baselineProfile } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Lowered } from "../primitives/primitive.ts";
import { inputsFor, Ops } from "./build-graph.test-support.ts";
import { evaluateFused, evaluateGraph, evaluatePlanned } from "./evaluate-kernels.test-support.ts";
import { fuse } from "./fuse.ts";
import type { FusedProgram, Kernel } from "./kernel.ts";
import { planMemory } from "./memory-plan.ts";

const shapes = [[3], [2, 5], [70], [1, 4], [4, 1, 3], [64], [9], [2, 2]];

/** Fuses, and checks that the kernels compute what the graph does, apart and in the planned buffers. */
function fused(build: (ops: Ops) => readonly Lowered[]): FusedProgram {
  const ops = new Ops();
  const graph = ops.builder.finish(build(ops));
  const program = fuse(graph, { maxBindings: 8 });
  const inputs = inputsFor(
    graph.inputs.map((tensor) => tensor.shape),
    5,
  );
  const expected = evaluateGraph(graph, inputs);
  const results = [
    evaluateFused(program, inputs),
    evaluatePlanned(program, planMemory(program, baselineProfile), inputs),
    evaluateFused(program, inputs, (points) => points.toReversed()),
  ];
  for (const result of results) {
    result.forEach((output, i) => {
      output.forEach((value, k) => expect(value).toBeCloseTo(expected[i]?.[k] ?? NaN, 9));
    });
  }
  return program;
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

const same = (x: Lowered, shape: readonly number[]): boolean => x.shape.join() === shape.join();

function kernelsOf({ steps }: FusedProgram): Kernel[] {
  return steps.flatMap((step) => (step.kind === "kernel" ? [step.kernel] : []));
}

const inputs = (ops: Ops, count = shapes.length): Lowered[] => shapes.slice(0, count).map((s) => ops.input(...s));

describe("kernels of one form", () => {
  it("are one over arenas, whatever their shapes are", () => {
    const program = fused((ops) => {
      const [params, grads] = [inputs(ops), inputs(ops)];
      return params.map((param, i) => ops.binary("sub", param, ops.unary("tanh", grads[i] as Lowered)));
    });
    const [kernel, ...others] = kernelsOf(program);
    expect(others).toEqual([]);
    expect(kernel?.reasons.at(-1)).toBe(
      "8 kernels of this form are one: their tensors lie together in 3 arenas, which saves 3 dispatches, for at most 8 copies a call",
    );
    for (const { members } of program.arenas) {
      expect(members.map(({ tensor }) => sizeOf(tensor.shape))).toEqual(shapes.map(sizeOf));
      expect(members.map(({ offset }) => offset)).toEqual([0, 64, 128, 256, 320, 384, 448, 512]);
    }
  });

  it("share single values, and store those besides", () => {
    const program = fused((ops) => {
      const count = ops.input();
      const next = ops.binary("add", count, 1);
      const states = Array.from({ length: 3 }, () => inputs(ops));
      const [params = [], means = [], grads = []] = states;
      const updated = params.map((param, i) => {
        const mean = ops.binary("add", means[i] as Lowered, ops.binary("mul", grads[i] as Lowered, 0.5));
        const scaled = ops.binary("div", mean, ops.broadcast(next, mean.shape, []));
        return [ops.binary("sub", param, scaled), mean];
      });
      return [...updated.flat(), next];
    });
    const kernels = kernelsOf(program);
    expect(kernels.map(({ stages }) => stages.map((stage) => stage.kind === "store" && stage.once))).toEqual([
      [true, false],
    ]);
  });

  it("take together what other kernels compute apart", () => {
    const vectors = [3, 70, 64, 9, 5, 6];
    const program = fused((ops) => {
      const params = vectors.map((n) => ops.input(n));
      const grads = vectors.map((n) => ops.reduce("sum", ops.input(n, 4), [1]));
      const norm = grads
        .map((grad) => ops.reduce("sum", ops.binary("mul", grad, grad), [0]))
        .reduce((sum, x) => ops.binary("add", sum, x));
      return params.map((param, i) => {
        const grad = grads[i] as Lowered;
        return ops.binary("sub", param, ops.binary("div", grad, ops.broadcast(norm, grad.shape, [])));
      });
    });
    const inputs = new Set(program.inputs);
    const outputs = new Set(program.outputs);
    const roles = program.arenas.map(({ members }) => {
      const [first] = members;
      if (first === undefined) return "nothing";
      return inputs.has(first.tensor) ? "input" : outputs.has(first.tensor) ? "output" : "temp";
    });
    expect(roles.toSorted()).toEqual(["input", "output", "temp"]);
    // The results are written over the gradients, all at once.
    const { buffers } = planMemory(program, baselineProfile);
    expect(buffers.filter(({ within }) => within !== undefined).length).toBe(2 * vectors.length);
  });
});

describe("packs of packs", () => {
  // Both outputs of a part, and what both are computed from, are more than one kernel binds.
  const wide = (ops: Ops): Lowered[] => {
    const given = Array.from({ length: 5 }, () => inputs(ops, 6));
    const more = Array.from({ length: 4 }, () => inputs(ops, 6));
    const sum = (tensors: Lowered[][], i: number): Lowered =>
      tensors.map((of) => of[i] as Lowered).reduce((total, x) => ops.binary("add", total, x));
    return shapes.slice(0, 6).flatMap((_, i) => {
      const first = ops.unary("tanh", sum(given, i));
      return [first, ops.binary("mul", ops.unary("exp", first), sum(more, i))];
    });
  };

  it("take what lies together already where it is", () => {
    const program = fused((ops) => wide(ops).map((x) => ops.unary("sin", x)));
    const members = program.arenas.flatMap((arena) => arena.members.map(({ tensor }) => tensor));
    expect(new Set(members).size).toBe(members.length);
    expect(kernelsOf(program).length).toBeLessThanOrEqual(3);
  });
});

it("random updates of trees, which share some tensors, compute what they are", () => {
  const random = randomFrom(11);
  const pick = (n: number): number => Math.floor(random() * n);
  let packed = 0;
  for (let trial = 0; trial < 60; trial++) {
    const count = 3 + pick(8);
    const tensors = Array.from(
      { length: count },
      () => [[], [1], [3], [64], [2, 70], [1, 5], [3, 1, 4]][pick(7)] ?? [],
    );
    const [states, steps] = [1 + pick(4), Array.from({ length: 2 + pick(5) }, () => [pick(4), pick(99), pick(99)])];
    const kept = Array.from({ length: steps.length }, () => random() < 0.5);
    const sharing = random() < 0.3;
    const program = fused((ops) => {
      const scale = ops.input();
      const given = Array.from({ length: states }, () => tensors.map((shape) => ops.input(...shape)));
      return tensors.flatMap((shape, i) => {
        const values = given.map((of, k) =>
          sharing && k === 1 && i % 3 === 1 ? of.find((x) => same(x, shape)) : of[i],
        );
        const all = [...values, ops.broadcast(scale, shape, [])] as Lowered[];
        for (const [kind = 0, left = 0, right = 0] of steps) {
          const [x, y] = [all[left % all.length], all[right % all.length]] as [Lowered, Lowered];
          if (kind === 0) all.push(ops.unary("tanh", x));
          else all.push(ops.binary(kind === 1 ? "add" : kind === 2 ? "mul" : "max", x, y));
        }
        const made = all.slice(-steps.length);
        return made.filter((_, k) => kept[k] === true || k === made.length - 1);
      });
    });
    packed += Number(program.arenas.length > 0);
  }
  expect(packed).toBeGreaterThan(20);
});

describe("kernels stay apart", () => {
  it("that one bundle holds already", () => {
    const program = fused((ops) => inputs(ops, 4).map((x) => ops.unary("tanh", x)));
    expect(program.arenas).toEqual([]);
    expect(kernelsOf(program).length).toBe(1);
  });

  it("whose inputs would have to be copied for more than the dispatches cost", () => {
    const program = fused((ops) => {
      const operands = Array.from({ length: 7 }, () => inputs(ops, 3));
      return shapes.slice(0, 3).map((_, i) => {
        const [first, ...rest] = operands.map((tensors) => tensors[i] as Lowered);
        return rest.reduce((sum, x) => ops.binary("add", sum, x), first as Lowered);
      });
    });
    expect(program.arenas).toEqual([]);
  });

  it("of which one leads to the other", () => {
    const program = fused((ops) => {
      const [x, weights] = [ops.input(5), Array.from({ length: 12 }, () => ops.input(5))];
      let y = x;
      for (const w of weights)
        y = ops.unary("tanh", ops.binary("mul", ops.reduce("sum", ops.broadcast(y, [5, 5], [1]), [1]), w));
      return [y];
    });
    expect(program.arenas).toEqual([]);
  });

  it("of which an input is an output as well, or is taken twice", () => {
    const program = fused((ops) => {
      const [x, ...rest] = inputs(ops);
      return [x as Lowered, ...[x as Lowered, ...rest].map((y) => ops.unary("tanh", y))];
    });
    for (const { members } of program.arenas) {
      expect(members.some(({ tensor }) => tensor === program.inputs[0])).toBe(false);
    }
  });
});

describe("the plan of arenas", () => {
  const update = (ops: Ops): Lowered[] => {
    const [params, grads] = [inputs(ops), inputs(ops)];
    return params.map((param, i) => ops.binary("sub", param, grads[i] as Lowered));
  };

  it("has a buffer for each arena, and parts of it for what lies there", () => {
    const plan = planMemory(fused(update), baselineProfile);
    const whole = plan.buffers.filter(({ within }) => within === undefined);
    expect(whole.map(({ role, bytes, label }) => [role, bytes, label])).toEqual([
      ["input", 576 * 4, "inputs 0 to 7"],
      ["input", 576 * 4, "inputs 8 to 15"],
      ["output", 576 * 4, "outputs 0 to 7"],
    ]);
    expect(plan.buffers.length).toBe(3 + 24);
    expect(plan.peakBytes).toBe(576 * 4);
  });

  it("writes outputs over inputs only where all of the arena is donated", () => {
    const program = fused(update);
    const params = Array.from({ length: 8 }, (_, i) => i);
    expect(planMemory(program, baselineProfile, params).peakBytes).toBe(0);
    expect(planMemory(program, baselineProfile, params.slice(1)).peakBytes).toBe(576 * 4);
  });
});
