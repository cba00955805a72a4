import { describe, expect, it } from "vitest";
import { baselineProfile } from "../executable.ts";
import { avalOf } from "../ir/aval.ts";
import type { Lowered } from "../primitives/primitive.ts";
import { inputsFor, Ops } from "./build-graph.test-support.ts";
import { evaluateGraph, evaluatePlanned } from "./evaluate-kernels.test-support.ts";
import { fuse } from "./fuse.ts";
import type { FusedProgram } from "./kernel.ts";
import { planMemory } from "./memory-plan.ts";
import type { MemoryPlan } from "./memory-plan-types.ts";
import { printMemoryPlan } from "./print-memory.ts";

/** Plans, and checks that the program computes the same in the planned buffers, whatever the order of rows. */
function planned(build: (ops: Ops) => readonly Lowered[]): { program: FusedProgram; plan: MemoryPlan } {
  const ops = new Ops();
  const graph = ops.builder.finish(build(ops));
  const program = fuse(graph, { maxBindings: 8 });
  const plan = planMemory(program, baselineProfile);
  const inputs = inputsFor(
    graph.inputs.map((tensor) => tensor.shape),
    3,
  );
  const expected = evaluateGraph(graph, inputs);
  for (const order of [(all: number[][]) => all, (all: number[][]) => all.toReversed()]) {
    evaluatePlanned(program, plan, inputs, order).forEach((output, i) => {
      expect(output.length).toBe(expected[i]?.length);
      output.forEach((value, k) => expect(value).toBeCloseTo(expected[i]?.[k] ?? NaN, 9));
    });
  }
  return { program, plan };
}

function temps(plan: MemoryPlan): number {
  return plan.buffers.filter((buffer) => buffer.role === "temp").length;
}

describe("reuse", () => {
  it("a chain of 60 tanh(x@w) needs two buffers besides its inputs", () => {
    const { plan } = planned((ops) => {
      const w = ops.input(4, 4);
      let x = ops.input(3, 4);
      for (let i = 0; i < 60; i++) x = ops.unary("tanh", ops.matmul(x, w));
      return [x];
    });
    expect(temps(plan)).toBe(1);
    expect(plan.peakBytes).toBe(2 * 256);
  });

  it("a reshaped input is its buffer, an input as output too", () => {
    const { plan, program } = planned((ops) => {
      const x = ops.input(2, 6);
      return [ops.reshape(x, [3, 4]), x];
    });
    expect(plan.buffers).toEqual([{ bytes: 48, role: "input", label: "input 0" }]);
    expect(program.outputs.map((tensor) => plan.assignment.get(tensor.id))).toEqual([0, 0]);
  });

  it("empty tensors have buffers of 4 bytes", () => {
    const { plan } = planned((ops) => [ops.unary("exp", ops.input(0, 3))]);
    expect(plan.buffers.map((buffer) => buffer.bytes)).toEqual([4, 4]);
  });
});

type Body = (ops: Ops, carries: readonly Lowered[]) => Lowered[];

function loop(ops: Ops, length: number, carries: readonly Lowered[], body: Body): readonly Lowered[] {
  return ops.builder.loop({
    length,
    carries,
    stacked: [],
    body: (_, inner) => ({ carries: body(ops, inner), elements: [] }),
    position: (t) => t,
  }).carries;
}

describe("loops", () => {
  it("an update of its own element is computed in place", () => {
    const { plan } = planned((ops) => [
      ...loop(ops, 4, [ops.input(5)], (o, [x]) => [o.binary("mul", x as Lowered, 1.5)]),
    ]);
    expect(temps(plan)).toBe(0);
    expect([...plan.loops.values()][0]?.before.length).toBe(1);
  });

  it.each([3, 4])("a state that is read while its successor is computed alternates (%i iterations)", (length) => {
    const { plan } = planned((ops) => {
      const w = ops.input(3, 3);
      return [...loop(ops, length, [ops.input(2, 3)], (o, [x]) => [o.unary("tanh", o.matmul(x as Lowered, w))])];
    });
    expect(plan.peakBytes).toBe(2 * 256);
  });

  it("a first value that nobody else needs is where the loop starts", () => {
    const { plan } = planned((ops) => {
      const x = ops.unary("tanh", ops.input(5));
      return [...loop(ops, 4, [x], (o, [y]) => [o.binary("mul", y as Lowered, 1.5)])];
    });
    expect([...plan.loops.values()][0]).toEqual({ before: [], after: [] });
    expect(plan.peakBytes).toBe(256);
  });

  it("swapped and rotated carries", () => {
    expect.hasAssertions();
    planned((ops) => [
      ...loop(ops, 3, [ops.input(2), ops.input(2)], (o, [a, b]) => [b as Lowered, o.binary("mul", a as Lowered, 2)]),
    ]);
    planned((ops) => {
      const inits = [ops.input(2), ops.input(2), ops.input(2)];
      return [...loop(ops, 5, inits, (_, [a, b, c]) => [b as Lowered, c as Lowered, a as Lowered])];
    });
  });

  it("one first value for two carries, one result for two carries, an outer value as result", () => {
    expect.hasAssertions();
    planned((ops) => {
      const [x, y] = [ops.unary("exp", ops.input(2)), ops.input(2)];
      const [a, b, c] = loop(ops, 3, [x, x, x], (o, [p, q]) => {
        const sum = o.binary("add", p as Lowered, q as Lowered);
        return [sum, sum, y];
      });
      return [a as Lowered, b as Lowered, c as Lowered, x];
    });
  });

  it("loops in loops, with the outer state as first value, read inside, and changed inside", () => {
    const { plan } = planned((ops) => {
      const w = ops.input(3, 3);
      return [
        ...loop(ops, 3, [ops.input(2, 3)], (o, [p]) => {
          const [q] = loop(o, 2, [p as Lowered], (inner, [x]) => [inner.unary("tanh", inner.matmul(x as Lowered, w))]);
          return [q as Lowered];
        }),
      ];
    });
    expect(plan.peakBytes).toBe(2 * 256);
    planned((ops) => [
      ...loop(ops, 3, [ops.input(2), ops.input(2)], (o, [p, s]) => {
        const [q] = loop(o, 3, [p as Lowered], (inner, [x]) => [
          inner.binary("sub", inner.binary("mul", x as Lowered, 0.5), inner.unary("tanh", p as Lowered)),
        ]);
        const delta = o.binary("sub", q as Lowered, p as Lowered);
        return [o.binary("add", p as Lowered, o.binary("mul", delta, 0.5)), o.binary("add", s as Lowered, delta)];
      }),
    ]);
  });

  it("stacked outputs are whole after the loop", () => {
    expect.hasAssertions();
    planned((ops) => {
      const [x, xs] = [ops.input(3), ops.input(4, 3)];
      const { carries, stacked } = ops.builder.loop({
        length: 4,
        carries: [x],
        stacked: [[4, 3], [4], [4, 3], [4, 3]].map((shape) => avalOf("f32", shape)),
        body: (t, [state]) => {
          const row = ops.builder.map("f32", [3], (index) => xs.at([t, ...index]));
          const next = ops.binary("add", ops.binary("mul", state as Lowered, 0.5), row);
          return { carries: [next], elements: [next, ops.reduce("sum", next, [0]), state as Lowered, x] };
        },
        position: (t) => t,
      });
      return [...carries, ...stacked];
    });
  });
});

it("prints", () => {
  const { program, plan } = planned((ops) => {
    const w = ops.input(4, 4);
    return [...loop(ops, 3, [ops.input(3, 4)], (o, [x]) => [o.unary("tanh", o.matmul(x as Lowered, w))])];
  });
  expect(printMemoryPlan(program, plan)).toMatchInlineSnapshot(`
    "memory, 512 bytes at the peak, of which at least 512 are alive at once {
      b0: 64 bytes input # input 0
      b1: 48 bytes input # input 1
      b2: 48 bytes output # output 0
      b3: 48 bytes temp # loop value
      copy b1 -> b3, 48 bytes
      loop 3 times {
        dot_general_tanh(b3|b2, b0) -> b2|b3
      }
      return b2
      # the carry f32[3,4] of dot_general_tanh alternates between two buffers: its last value is read while it is computed
    }
    "
  `);
});
