/** One row: every library prepared, checked, and timed in turns. */
import type { AdapterProfile } from "@fax/compiler/executable";
import { type BenchAdapter, countDispatches } from "./adapter.ts";
import { bareCall, byHand } from "./bare-call.ts";
import { compileWithoutCache } from "./compile.ts";
import type { FaxTask } from "./libraries/fax.ts";
import { type Floor, productByHand } from "./floor.ts";
import { type Library, type LibraryName, NotPossible, type Prepared } from "./libraries/library.ts";
import { type Contender, measureInTurns, type Sample } from "./measure.ts";
import type { Expected, Row } from "./rows/row.ts";

export interface Entry {
  readonly library: LibraryName;
  readonly samples: readonly Sample[];
  /** Dispatches per call, where they could be counted. */
  readonly kernels: number | null;
  /** Milliseconds of the first call here: after other rows, whose kernels may be the same. */
  readonly firstMs: number;
}

export interface RowResult {
  readonly row: Row;
  readonly entries: readonly Entry[];
  /** Why a library has no entry. */
  readonly absent: Partial<Record<LibraryName, string>>;
  readonly peakBytes: number | null;
  /** Of the same done by hand, in rows that are about calls or one product. */
  readonly bare: readonly Sample[] | null;
  /** What the results were compared with. */
  readonly checked: string;
}

/** Results that are alive at once while a batch runs. */
const mostResultBytes = { cpu: 128 * 2 ** 20, gpu: 4 * 2 ** 30 } as const;

export async function benchRow(
  row: Row,
  libraries: readonly Library[],
  adapter: BenchAdapter,
  { budget, floor }: { readonly budget: number; readonly floor: Floor | null },
): Promise<RowResult> {
  const { profile, own } = adapter;
  const absent: Partial<Record<LibraryName, string>> = { ...row.without };
  const inputs = row.inputs();
  const task: FaxTask = { inputs, program: row.program, fax: row.fax, onnx: row.onnx };
  const ready: { library: Library; prepared: Prepared; firstMs: number; kernels: number }[] = [];
  let reference: readonly ArrayLike<number>[] | null = null;
  const expected = row.expected?.(inputs);
  let resultBytes = 0;
  for (const library of libraries) {
    if (absent[library.name] !== undefined) continue;
    try {
      const prepared = await library.prepare(task);
      const start = performance.now();
      const results = await prepared.read();
      const firstMs = performance.now() - start;
      if (expected) checkExpected(results, expected, row.tolerance);
      if (reference !== null) checkAgree(results, reference, row.tolerance);
      reference ??= results;
      resultBytes = results.reduce((sum, { length }) => sum + 4 * length, 0);
      const kernels = await countDispatches(async () => {
        prepared.start(false);
        await prepared.finish();
      });
      ready.push({ library, prepared, firstMs, kernels });
    } catch (error) {
      absent[library.name] = `${error instanceof NotPossible ? "" : "failed: "}${messageOf(error)}`;
    }
  }
  const mostCalls = Math.max(
    1,
    Math.min(row.mode === "chained" ? 1000 : 64, Math.floor(mostResultBytes[profile.class] / resultBytes)),
  );
  const contenders = ready.map(({ library, prepared }) => contender(row, library.name, prepared, mostCalls));
  const product = floor && row.product ? await productByHand(adapter, row.product, floor) : null;
  const bare = row.mode === "call" ? product : await bareCall(own, row.mode);
  const all = bare ? [...contenders, bare] : contenders;
  if (row.mode !== "call") for (const one of all) await warmUp(one, steadyMs);
  const samples = await measureInTurns(all, budget);
  bare?.destroy();
  for (const { prepared } of ready) prepared.dispose();
  const entries = ready.map(({ library, firstMs, kernels }) => ({
    library: library.name,
    samples: samples.get(library.name) ?? [],
    kernels: kernels > 0 ? kernels : null,
    firstMs,
  }));
  const by = [expected ? "plain JavaScript" : "", ready.length > 1 ? "the other libraries" : ""].filter(
    (s) => s !== "",
  );
  return {
    row,
    entries,
    absent,
    bare: bare && (samples.get(byHand) ?? []),
    peakBytes: peakBytes(task, profile),
    checked: by.join(", ") || "nothing",
  };
}

/** Engines optimize what runs often, so rows about calls by themselves are measured after some thousand of them. */
const steadyMs = 1000;

async function warmUp({ run, mostCalls }: Contender, ms: number): Promise<void> {
  const start = performance.now();
  while (performance.now() - start < ms) await run(mostCalls);
}

function contender({ mode }: Row, name: string, prepared: Prepared, mostCalls: number): Contender {
  const run = async (calls: number): Promise<void> => {
    if (mode === "readback") {
      for (let i = 0; i < calls; i++) await prepared.read();
      return;
    }
    for (let i = 0; i < calls; i++) prepared.start(mode === "chained");
    await prepared.finish();
  };
  return { name, run, mostCalls };
}

function peakBytes(task: FaxTask, profile: AdapterProfile): number {
  return compileWithoutCache(task, profile).peakBytes;
}

function rootMeanSquare(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] as number) ** 2;
  return Math.sqrt(squares / values.length);
}

function checkExpected(results: readonly ArrayLike<number>[], expected: readonly Expected[], tolerance: number): void {
  const scale = rootMeanSquare(expected.map(({ value }) => value));
  for (const { output, index, value } of expected) {
    const found = results[output]?.[index] ?? NaN;
    if (!(Math.abs(found - value) <= tolerance * (scale + Math.abs(value)))) {
      throw new Error(`result ${output} is ${found} at ${index}, and should be ${value}`);
    }
  }
}

/** The libraries differ from each other by the sum of their errors, and reassociate more than plain JavaScript. */
function checkAgree(
  results: readonly ArrayLike<number>[],
  reference: readonly ArrayLike<number>[],
  tolerance: number,
): void {
  for (const [output, values] of reference.entries()) {
    const found = results[output];
    if (found?.length !== values.length) throw new Error(`result ${output} has another size`);
    const scale = rootMeanSquare(values) + 1e-6;
    for (let i = 0; i < values.length; i++) {
      const [a, b] = [found[i] as number, values[i] as number];
      if (!(Math.abs(a - b) <= tolerance * 10 * (scale + Math.abs(b)))) {
        throw new Error(`result ${output} is ${a} at ${i}, and fax has ${b}`);
      }
    }
  }
}

export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] as string;
}
