/** What one process measures and compiles, the next one takes up. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Finished, runFax } from "../support/node-process.ts";

let cwd: string;

const source = `
import { experiment, f32, federatedBroadcast, federatedMap, federatedMean, np, program, random } from "@fax/core";
export const round = program({ placements: { clients: 3 }, args: [f32(8, 8), f32(8, 8).at("clients")] }, (state, x) => {
  const drift = federatedMean(federatedMap((s, x) => np.tanh(np.matmul(s, x)), federatedBroadcast(state), x));
  return { state: np.add(state, drift), metrics: { drift: np.sum(drift) } };
});
export default experiment({
  program: round,
  init: ({ key }) => random.normal(key, [8, 8]),
  data: ({ clients }) => [np.ones([clients, 8, 8])],
  clients: 5,
  rounds: 2,
});
`;

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "fax-test-"));
  writeFileSync(join(cwd, "mean.fax.ts"), source);
});

afterAll(() => rmSync(cwd, { recursive: true }));

const fax = (cache: string, ...args: readonly string[]): Promise<Finished> =>
  runFax(args, { cwd, env: { FAX_CACHE: cache, FAX_DEVICE: "software", FAX_DEBUG: "times" } });

test("fax tune keeps schedules where FAX_CACHE says, and fax run tells of them", async () => {
  const cache = join(cwd, "schedules-only");
  const tuned = await fax(cache, "tune", "mean.fax.ts", "--candidates", "3", "--json");
  expect(tuned.exitCode).toBe(0);
  const { file, kernels } = JSON.parse(tuned.out) as {
    readonly file: string;
    readonly kernels: readonly {
      readonly tried: number;
      readonly wrong: number;
      readonly best: { readonly ms: number };
      readonly estimated: { readonly ms: number };
    }[];
  };
  expect(file.startsWith(cache)).toBe(true);
  expect(kernels.map(({ tried, wrong }) => [tried, wrong])).toContainEqual([3, 0]);
  const faster = kernels.filter(({ best, estimated }) => best.ms < estimated.ms).length;
  const { err } = await fax(cache, "run", "mean.fax.ts", "--json");
  expect(err.includes("note: fax tune has measured")).toBe(faster > 0);
});

test("a second run compiles less than the first, unless FAX_CACHE is off", async () => {
  const compiled = ({ err }: Finished): number => err.split("\n").filter((line) => line.startsWith("fuse ")).length;
  const run = async (cache: string): Promise<Finished> => fax(cache, "run", "mean.fax.ts", "--json");
  const rounds = ({ out }: Finished): unknown[] =>
    (JSON.parse(out) as { readonly rounds: readonly { readonly metrics: unknown }[] }).rounds.map((r) => r.metrics);
  const first = await run(join(cwd, "executables"));
  const second = await run(join(cwd, "executables"));
  const third = await run("off");
  expect(compiled(second)).toBeLessThan(compiled(first));
  expect(compiled(third)).toBe(compiled(first));
  expect([rounds(second), rounds(third)]).toEqual([rounds(first), rounds(first)]);
});
