/** `fax tune`: which schedules of a module's kernels are the fastest on the device at hand. */
import { CompiledProgram, optimize } from "@fax/compiler";
import { device, setDevice, tune as tunePrograms, type TunedKernel, type TuneReport, withClients } from "@fax/core";
import type { ExitCode } from "./command-line.ts";
import { type Entry, entryOf, programsOf, traceEntry } from "./entries.ts";
import { loadModule } from "./load-module.ts";
import { ProgressBar } from "./progress-bar.ts";
import { type devices, tellDevice } from "./run.ts";
import type { Terminal } from "./terminal.ts";

export interface TuneCommandOptions {
  readonly entry?: string;
  readonly clients?: number;
  readonly device?: (typeof devices)[number];
  /** Seconds. */
  readonly budget: number;
  readonly candidates: number;
  readonly json?: boolean;
}

export async function tune(file: string, options: TuneCommandOptions, terminal: Terminal): Promise<ExitCode> {
  tellDevice(terminal);
  if (options.device !== undefined) setDevice(options.device);
  const module = await loadModule(file, { cwd: terminal.cwd });
  const { entry, clients, budget, candidates } = options;
  const all = entry === undefined ? programsOf(module) : [];
  const entries = all.length > 0 ? all : [entryOf(module, entry)];
  await device();
  let bar: ProgressBar | null = null;
  const report = await tunePrograms(programsOnce(entries, clients), {
    budget,
    candidates,
    onProgress: ({ done, total }) => {
      bar ??= new ProgressBar(terminal, total, () => performance.now(), "kernel");
      bar.advance(done);
    },
  });
  (bar as ProgressBar | null)?.clear();
  if (options.json) terminal.stdout(`${JSON.stringify(report, null, 2)}\n`);
  else terminal.stdout(renderReport(report, terminal));
  return 0;
}

/** A module may export a program by itself and in an experiment. */
function programsOnce(entries: readonly Entry[], clients: number | undefined): CompiledProgram[] {
  const unique = entries.filter(({ program }, i) => entries.findIndex((other) => other.program === program) === i);
  return unique.map(({ name, program }) => {
    const sized = clients === undefined ? program : withClients(program, clients);
    return new CompiledProgram(optimize(traceEntry({ name, program: sized }).jaxpr));
  });
}

export function renderReport({ device, kernels, file }: TuneReport, { style }: Pick<Terminal, "style">): string {
  const muted = (text: string): string => style.stdout("muted", text);
  const rows = [
    ["kernel", "runs", "estimate", "best", "gain", "schedules", ""],
    ...kernels.map((kernel) => [
      shortened(kernel.kernel),
      String(kernel.runs),
      milliseconds(kernel.estimated.ms),
      milliseconds(kernel.best.ms),
      gainOf(kernel) > 1 ? `${gainOf(kernel).toFixed(2)}×` : "–",
      kernel.tried === 0 ? `0 of ${kernel.legal}, no time left` : `${kernel.tried} of ${kernel.legal}`,
      [kernel.best.schedule, ...(kernel.wrong > 0 ? [`${kernel.wrong} gave other results`] : [])].join("; "),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row, i) => {
    const cells = row.map((cell, column) =>
      column === 0 || column >= 5 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    const text = cells.join("  ").trimEnd();
    return i === 0 ? muted(text) : text;
  });
  const total = (measure: (kernel: TunedKernel) => number): string =>
    milliseconds(kernels.reduce((sum, kernel) => sum + kernel.runs * measure(kernel), 0));
  const faster = kernels.filter((kernel) => gainOf(kernel) > 1).length;
  lines.push(
    "",
    `${faster} of ${kernels.length} kernels run faster than by the estimate on ${device}: ${total(({ best }) => best.ms)} a call instead of ${total(({ estimated }) => estimated.ms)}`,
    file === null ? "nothing is kept, since FAX_CACHE is off" : muted(`kept in ${file}`),
  );
  return `${lines.join("\n")}\n`;
}

function gainOf({ estimated, best }: TunedKernel): number {
  return best.ms > 0 ? estimated.ms / best.ms : 1;
}

function shortened(name: string): string {
  return name.length > 44 ? `${name.slice(0, 43)}…` : name;
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 3 : 1)} ms`;
}
