/** Benchmarks: fax against the floor and against other libraries, on one adapter in one process. `npm run bench`. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { cacheVariable } from "@fax/runtime-webgpu";
import { openAdapter } from "./adapter.ts";
import { benchRow, messageOf, type RowResult } from "./bench-row.ts";
import { compileWithoutCache } from "./compile.ts";
import { measureFirstCalls, printFirstCall } from "./first-call.ts";
import { describeFloor, measureFloor } from "./floor.ts";
import { jaxRun } from "./jax.ts";
import { benchLibraries } from "./libraries/all.ts";
import { limitLines } from "./limits.ts";
import { type Sample, timed } from "./measure.ts";
import { type BenchOptions, parseOptions, usage } from "./options.ts";
import { firstCallCells, geometricMeans, headings, jsonOf, line, rowCells, spread } from "./report.ts";
import { arrayRows } from "./rows/arrays.ts";
import { callRows } from "./rows/calls.ts";
import { federatedRows } from "./rows/federated.ts";
import { networkRows, transformerInputs, transformerProgram } from "./rows/networks.ts";

const firstCallName = "MLP value and gradient: first call";
const compileName = "trace and compile a 12-layer transformer's step";

async function main(options: BenchOptions): Promise<void> {
  // What an earlier run has kept would make this one another.
  process.env[cacheVariable] ??= "off";
  if (options.firstCall !== null) return printFirstCall(options.firstCall, options);
  const selected = (name: string): boolean =>
    options.only.length === 0 || options.only.some((part) => name.includes(part));
  const adapter = await openAdapter(options.device);
  const { libraries, absent } = await benchLibraries(options, adapter.info);
  print(`adapter: ${adapter.info.reason}`);
  for (const { name, version } of libraries) if (version !== "") print(`${name} ${version}`);
  for (const [name, reason] of Object.entries(absent)) print(`${name}: – ${reason}`);
  const floor = options.floor ? await measureFloor(adapter.own, adapter.profile, options.quick) : null;
  if (floor !== null) for (const text of describeFloor(floor)) print(text);
  const jaxFound = jaxRun({ ...options, source: options.jax });
  const jax = typeof jaxFound === "string" ? null : jaxFound;
  print(jax === null ? `jax: – ${jaxFound as string}` : `jax ${jax.version} on ${jax.device}, in a process of its own`);
  print("");

  const peers = libraries.map(({ name }) => name).filter((name) => name !== "fax");
  print(line(headings(peers)));
  print(line(headings(peers).map(() => "---")));
  const rows = [
    ...arrayRows(options.quick, adapter.profile.class),
    ...networkRows(options.quick),
    ...federatedRows(options.quick),
    ...callRows(),
  ].filter(({ name }) => selected(name));
  const results: RowResult[] = [];
  for (const row of rows) {
    const { needs } = row;
    if (needs !== undefined && !adapter.profile.features.includes(needs)) {
      print(line([row.name, `– the adapter has no ${needs}`]));
      continue;
    }
    const result = await benchRow(row, libraries, adapter, { budget: options.budget, floor });
    results.push(result);
    print(line(rowCells(result, floor, peers, options.clock)));
  }
  const names = libraries.map(({ name }) => name).filter((name) => name !== "onnxruntime");
  const firstCalls = selected(firstCallName) ? measureFirstCalls(names, options, options.quick ? 1 : 3) : [];
  if (firstCalls.length > 0) print(line(firstCallCells(firstCalls, peers, options.clock)));
  const compile = selected(compileName) ? await measureCompile(options, adapter.profile) : [];
  if (compile.length > 0) print(line([compileName, "–", "–", "–", "–", "–", spread(compile, options.clock), "–"]));
  print("");
  for (const text of geometricMeans(results, peers, options.clock)) print(text);
  for (const text of limitLines(results, floor, jax, options.clock)) print(text);
  if (options.json !== null) {
    const { version: node } = process;
    const machine = { node, cpus: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}` };
    const run = { adapter: adapter.info.reason, date: new Date().toISOString(), ...machine, quick: options.quick };
    writeFileSync(options.json, jsonOf({ ...run, libraries, absent, floor, jax, results, firstCalls, compile }));
  }
}

async function measureCompile(
  { quick }: BenchOptions,
  profile: Parameters<typeof compileWithoutCache>[1],
): Promise<Sample[]> {
  const shape = { layers: 12, batch: 4, length: 64, width: 128, heads: 4, classes: 256 };
  const task = { inputs: transformerInputs(shape), program: transformerProgram(shape) };
  const samples: Sample[] = [];
  for (let i = 0; i < (quick ? 2 : 5); i++) {
    samples.push(await timed(1, async () => void (await Promise.resolve(compileWithoutCache(task, profile)))));
  }
  return samples;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  await main(parseOptions(process.argv.slice(2)));
  // Libraries keep timers and threads.
  process.exit(0);
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n\n${usage}\n`);
  process.exit(1);
}
