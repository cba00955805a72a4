import { describe, expect, it } from "vitest";
import { FaxError } from "../diagnostics/index.ts";
import { baselineProfile } from "../executable.ts";
import { avalOf } from "../ir/aval.ts";
import { ExprPool } from "../lower/expr-pool.ts";
import { binaryExpr, constExpr } from "../lower/expr.ts";
import type { Graph } from "../lower/graph.ts";
import type { Lowered } from "../primitives/primitive.ts";
import { inputsFor, Ops } from "./build-graph.test-support.ts";
import { evaluateGraph, evaluatePlanned } from "./evaluate-kernels.test-support.ts";
import { fitMemory } from "./fit-memory.ts";
import { fuse, fuseUnits, unitsOf } from "./fuse.ts";
import type { FusedProgram } from "./kernel.ts";
import { planMemory } from "./memory-plan.ts";
import { printKernels } from "./print-kernels.ts";
import { rematerialize } from "./rematerialize.ts";

const maxBindings = baselineProfile.limits.maxStorageBuffersPerShaderStage;

type Layer = (ops: Ops, x: Lowered, w: Lowered) => Lowered;

const layerKinds: readonly Layer[] = [
  (ops, x, w) => ops.unary("tanh", ops.matmul(x, w)),
  (ops, x, w) => ops.softmax(ops.matmul(x, w)),
  (ops, x) => ops.binary("mul", ops.unary("sin", x), 1.5),
  (ops, x, w) => ops.binary("add", x, ops.unary("tanh", ops.matmul(x, w))),
  (ops, x) => ops.binary("sub", x, ops.broadcast(ops.reduce("max", x, [1]), x.shape, [0])),
];

/** Layers, and then something that needs what they gave in the opposite order, as derivatives do. */
function thereAndBack(ops: Ops, x: Lowered, w: Lowered, kinds: readonly number[]): Lowered {
  const values = [x];
  for (const kind of kinds) values.push((layerKinds[kind] as Layer)(ops, values.at(-1) as Lowered, w));
  let back = values.at(-1) as Lowered;
  for (const value of values.toReversed()) {
    const slope = ops.binary("sub", 1, ops.binary("mul", value, value));
    back = ops.binary("mul", ops.matmul(back, w), slope);
  }
  return back;
}

const places = ["alone", "in a loop", "from loop to loop"] as const;

/** One loop stacks what its layers give, another takes it in the opposite order, as the derivative of a scan does. */
function thereAndBackInLoops(ops: Ops, x: Lowered, w: Lowered, kinds: readonly number[]): readonly Lowered[] {
  const length = 3;
  const aval = avalOf("f32", [length, ...x.shape]);
  const { carries, stacked } = ops.builder.loop({
    length,
    carries: [x],
    stacked: kinds.map(() => aval),
    body: (_, [state]) => {
      const values = [state as Lowered];
      for (const kind of kinds) values.push((layerKinds[kind] as Layer)(ops, values.at(-1) as Lowered, w));
      return { carries: [values.at(-1) as Lowered], elements: values.slice(0, -1) };
    },
    position: (t) => t,
  });
  const back = ops.builder.loop({
    length,
    carries: [...carries],
    stacked: [],
    body: (t, [state]) => {
      const row = binaryExpr("sub", constExpr(length - 1), t);
      const slopes = stacked.map((stack) => ops.builder.map("f32", x.shape, (index) => stack.at([row, ...index])));
      const next = slopes.reduceRight((g, slope) => ops.binary("mul", ops.matmul(g, w), slope), state as Lowered);
      return { carries: [next], elements: [] };
    },
    position: (t) => t,
  });
  return back.carries;
}

function graphOf(kinds: readonly number[], where: (typeof places)[number]): Graph {
  const ops = new Ops();
  const [x, w] = [ops.input(8, 8), ops.input(8, 8)];
  const scaled = ops.binary("mul", w, 0.01);
  if (where === "alone") return ops.builder.finish([thereAndBack(ops, x, scaled, kinds)]);
  if (where === "from loop to loop") return ops.builder.finish(thereAndBackInLoops(ops, x, scaled, kinds));
  const { carries, stacked } = ops.builder.loop({
    length: 3,
    carries: [x],
    stacked: [avalOf("f32", [3, 8, 8])],
    body: (_, [state]) => {
      const next = thereAndBack(ops, state as Lowered, scaled, kinds);
      return { carries: [ops.binary("add", state as Lowered, next)], elements: [next] };
    },
    position: (t) => t,
  });
  return ops.builder.finish([...carries, ...stacked]);
}

function expectSame(program: FusedProgram, graph: Graph, seed: number): void {
  const shapes = graph.inputs.map(({ shape }) => shape);
  const inputs = inputsFor(shapes, seed);
  const expected = evaluateGraph(graph, inputs);
  const order = (points: number[][]): number[][] => points.toReversed();
  const actual = evaluatePlanned(program, planMemory(program, baselineProfile), inputs, order);
  actual.forEach((output, i) =>
    output.forEach((value, k) => {
      const other = expected[i]?.[k] ?? NaN;
      const isClose = Math.abs(value - other) <= 1e-7 * Math.max(1, Math.abs(other));
      expect(isClose, `seed ${seed}: ${value} is not ${other}\n${printKernels(program)}`).toBe(true);
    }),
  );
}

function drawn(seed: number): number[] {
  let state = Math.imul(seed, 2654435761) >>> 0;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  return Array.from({ length: 3 + below(4) }, () => below(layerKinds.length));
}

describe("values that are computed again", () => {
  it.each(places)("are the same, however often, %s", (where) => {
    let rounds = 0;
    for (let seed = 1; seed <= 16; seed++) {
      const graph = graphOf(drawn(seed), where);
      const pool = new ExprPool();
      let normal = unitsOf(graph, pool);
      for (let round = 0; round < 3; round++) {
        const program = fuseUnits(normal, { maxBindings }, pool);
        expectSame(program, graph, seed);
        const options = { profile: baselineProfile, donated: [], target: 0 };
        const units = rematerialize(normal, program, options, pool);
        if (units === null) break;
        normal = { ...normal, units };
        rounds++;
      }
    }
    expect(rounds).toBeGreaterThan(20);
  });
});

describe("a limit", () => {
  const graph = graphOf([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "alone");
  const whole = planMemory(fuse(graph, { maxBindings }), baselineProfile).peakBytes;
  const fit = (memoryLimit: number) => fitMemory(graph, { profile: baselineProfile, donated: [], memoryLimit });

  it("that is not reached changes nothing", () => {
    const { program, plan } = fit(whole);
    expect(plan.peakBytes).toBe(whole);
    expect(printKernels(program)).toBe(printKernels(fuse(graph, { maxBindings })));
  });

  it("of half the memory is kept, with a reason for each value", () => {
    const { program, plan } = fit(whole / 2);
    expect(plan.peakBytes).toBeLessThanOrEqual(whole / 2);
    expectSame(program, graph, 1);
    const reason = /f32\[8,8\] of \w+ is computed again for \w+: saves 256 bytes at the peak for [\d,]+ FLOPs/;
    expect(plan.reasons.join("\n")).toMatch(reason);
    expect(printKernels(program)).toMatch(reason);
  });

  it("that cannot be kept is an error with the least that was reached", () => {
    const thrown = (): FaxError => {
      try {
        fit(512);
      } catch (error) {
        if (error instanceof FaxError) return error;
      }
      throw new Error("it fits");
    };
    const { code, message } = thrown();
    expect(code).toBe("FAX2009");
    const [, from, allowed, least, over] = /takes ([\d,]+) .*may take ([\d,]+) .*to ([\d,]+) bytes, ([\d,]+)/.exec(
      message,
    ) as unknown as string[];
    const number = (text = ""): number => Number(text.replaceAll(",", ""));
    expect([number(from), number(allowed)]).toEqual([whole, 512]);
    expect(number(least) - number(over)).toBe(512);
    expect(fit(number(least)).plan.peakBytes).toBe(number(least));
  });

  it("reaches what a loop stacks for another", () => {
    const stacking = graphOf([0, 2, 0, 2, 0], "from loop to loop");
    const { peakBytes } = planMemory(fuse(stacking, { maxBindings }), baselineProfile);
    const options = { profile: baselineProfile, donated: [], memoryLimit: Math.floor(0.6 * peakBytes) };
    const { program, plan } = fitMemory(stacking, options);
    expectSame(program, stacking, 1);
    expect(plan.reasons.join("\n")).toMatch(
      /f32\[8,8\] of mul is computed again in each iteration instead of being stacked: saves 512 bytes/,
    );
  });
});
