/** What `fax inspect --explain` says, by which a reader judges the compiler. */
import { expect, it } from "vitest";
import { baselineProfile, inspectStage, parseJaxpr, type ScheduleChoice } from "./index.ts";

/** Softmax of a product, without its shift, and the sum of the product's squares. */
const program = parseJaxpr(`{ lambda ; x:f32[32,64]@server w:f32[64,16]@server. let
  h:f32[32,16]@server = dot_general[dimension_numbers=[[[1],[0]],[[],[]]]] x w
  e:f32[32,16]@server = exp h
  s:f32[32]@server = reduce_sum[axes=[1]] e
  b:f32[32,16]@server = broadcast_in_dim[broadcast_dimensions=[0] shape=[32,16]] s
  p:f32[32,16]@server = div e b
  q:f32[32,16]@server = mul h h
  t:f32[]@server = reduce_sum[axes=[0,1]] q
in (p, t) }`);

it("explains each kernel with its costs, what its arrays are for and how it runs, and adds up what fusion saved", () => {
  const lines = inspectStage(program, "fused", { profile: baselineProfile, explain: true }).trimEnd().split("\n");
  const having = (pattern: RegExp): string[] => lines.filter((line) => pattern.test(line));
  const kernels = having(/^ {2}kernel /).length;
  expect(having(/^ {4}# costs [\d,]+ FLOPs and [\d,]+ bytes, [\d.]+ FLOPs a byte$/)).toHaveLength(kernels);
  expect(having(/^ {4}# runs by /)).toHaveLength(kernels);
  expect(having(/^ {4}# t\d+ is 2,048 bytes in memory for the caller$/)).toHaveLength(1);
  expect(having(/^ {4}# t\d+ is 4 bytes in memory for the caller$/)).toHaveLength(1);
  const [counts, ends, saved] = lines.slice(-3);
  const numbers = (line = ""): number[] =>
    [...line.matchAll(/[\d,]+\d|\d/g)].map(([n]) => Number(n.replaceAll(",", "")));
  const [inAll, different, dispatches = 0, flops, moved = 0] = numbers(counts);
  expect([inAll, different, dispatches]).toEqual([kernels, kernels, kernels]);
  // x, w, p and t, once each.
  expect(ends).toMatch(/^# inputs and outputs are 14,340 bytes;/);
  expect(moved).toBeGreaterThanOrEqual(14_340);
  // Seven operations; the product's 2 · 32 · 16 · 64, then exp, the sum, div, mul and the other sum.
  expect(flops).toBe(65_536 + 5 * 512);
  expect(saved).toMatch(
    /^# each operation by itself would take 7 dispatches, 68,096 FLOPs and 35,076 bytes: fusion saves /,
  );
  expect(numbers(saved).slice(3, 5)).toEqual([7 - dispatches, 35_076 - moved]);
});

it("says where a schedule is not the estimate's", () => {
  const choose: ScheduleChoice = (_, legal) => {
    const other = legal()[1];
    return other ? { ...other.schedule, reasons: ["measured to be faster"] } : null;
  };
  const options = { profile: baselineProfile, choose };
  expect(inspectStage(program, "fused", { ...options, explain: true })).toContain("    # measured to be faster\n");
  expect(inspectStage(program, "wgsl", options)).toContain("\n// measured to be faster\n");
});
