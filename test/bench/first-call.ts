/** The first call of the MLP's value and gradient in a new process, where nothing is traced, compiled or cached. */
import { spawnSync } from "node:child_process";
import { benchLibraries } from "./libraries/all.ts";
import { openAdapter } from "./adapter.ts";
import type { LibraryName } from "./libraries/library.ts";
import { type Clock, timed } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import { firstCallRow } from "./rows/networks.ts";

export interface FirstCall {
  readonly library: LibraryName;
  readonly samples: readonly Readonly<Record<Clock, number>>[];
}

/** In the child: prints the milliseconds from the library's program to its results on the host. */
export async function printFirstCall(name: string, options: BenchOptions): Promise<void> {
  const adapter = await openAdapter(options.device);
  const { libraries, absent } = await benchLibraries({ ...options, libraries: [name as LibraryName] }, adapter.info);
  const [library] = libraries;
  if (library === undefined) throw new Error(absent[name as LibraryName]);
  const row = firstCallRow();
  const task = { inputs: row.inputs(), program: row.program };
  const prepared = await library.prepare(task);
  process.stdout.write(`${JSON.stringify(await timed(1, async () => void (await prepared.read())))}\n`);
}

/** In turns, each in a process of its own. */
export function measureFirstCalls(names: readonly LibraryName[], options: BenchOptions, times: number): FirstCall[] {
  const samples = new Map(names.map((name) => [name, [] as Readonly<Record<Clock, number>>[]]));
  for (let round = 0; round < times; round++) {
    for (const name of names) {
      const script = process.argv[1] as string;
      const args = [script, "--first-call", name, "--device", options.device, "--peers", options.peers];
      const { stdout, status } = spawnSync(process.execPath, args, {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      const line = stdout.trim().split("\n").at(-1) ?? "";
      if (status === 0 && line.startsWith("{"))
        samples.get(name)?.push(JSON.parse(line) as Readonly<Record<Clock, number>>);
    }
  }
  return names.map((library) => ({ library, samples: samples.get(library) ?? [] }));
}
