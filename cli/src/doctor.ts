/** `fax doctor`: what there is on this machine to run on, and with what versions. */
import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem, type } from "node:os";
import { type AdapterDescription, type AdapterReport, describeAdapters } from "@fax/runtime-webgpu";
import type { ExitCode } from "./command-line.ts";
import type { Terminal } from "./terminal.ts";

export interface DoctorOptions {
  readonly json?: boolean;
}

export async function doctor({ json }: DoctorOptions, terminal: Terminal): Promise<ExitCode> {
  const report = await describeAdapters();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const versions: Versions = {
    fax: faxVersion(),
    node: process.version,
    ...report.versions,
    system: `${type()} ${release()} ${arch()}, ${cpus().length} cores, ${memory}`,
  };
  if (json) terminal.stdout(`${JSON.stringify({ ...report, versions }, null, 2)}\n`);
  else terminal.stdout(renderReport({ ...report, versions }, terminal));
  return 0;
}

/** Of fax, of what it runs on, and of npm packages; null: not installed. */
type Versions = AdapterReport["versions"];

export function faxVersion(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

/** Limits that decide what fits and how kernels are shaped, with their units. */
const shownLimits: readonly (readonly [name: string, label: string, bytes: boolean])[] = [
  ["maxBufferSize", "largest buffer", true],
  ["maxStorageBufferBindingSize", "largest binding", true],
  ["maxStorageBuffersPerShaderStage", "storage buffers a kernel", false],
  ["maxComputeInvocationsPerWorkgroup", "invocations a workgroup", false],
  ["maxComputeWorkgroupStorageSize", "workgroup memory", true],
];

export function renderReport(report: AdapterReport, terminal: Pick<Terminal, "style">): string {
  const style = terminal.style.stdout;
  const row = (label: string, value: string): string => `  ${style("muted", label.padEnd(26))} ${value}`;
  const lines = [
    style("strong", "Versions"),
    ...Object.entries(report.versions).map(([name, version]) =>
      row(name, version ?? style("warning", "not installed")),
    ),
    "",
    style("strong", "Adapters"),
  ];
  for (const adapter of report.adapters)
    lines.push(...adapterLines(adapter, adapter.name === report.used, row, terminal));
  for (const missing of report.missing) lines.push(`  ${style("muted", "–")} ${missing}`);
  const used = report.used ?? "the reference evaluator, on the CPU";
  lines.push(
    "",
    `${style("strong", "Would run on")} ${style("good", used)} ${style("muted", `(device ${report.preference})`)}`,
  );
  if (report.install.length > 0) {
    lines.push("", style("strong", "For more speed"), ...report.install.map((hint) => `  ${hint}`));
  }
  return `${lines.join("\n")}\n`;
}

function adapterLines(
  { kind, name, features, limits, subgroupSize }: AdapterDescription,
  used: boolean,
  row: (label: string, value: string) => string,
  { style }: Pick<Terminal, "style">,
): string[] {
  const numbers = shownLimits.flatMap(([limit, label, bytes]) => {
    const value = limits[limit];
    return value === undefined ? [] : [row(`  ${label}`, bytes ? formatBytes(value) : String(value))];
  });
  const has = (feature: string): string => (features.includes(feature) ? "yes" : "no");
  const subgroups = subgroupSize > 0 ? `yes, of ${subgroupSize}` : has("subgroups");
  return [
    `  ${used ? style.stdout("good", "✓") : style.stdout("muted", "·")} ${name} ${style.stdout("muted", `(${kind})`)}`,
    ...numbers,
    row("  shader-f16", has("shader-f16")),
    row("  subgroups", subgroups),
    row("  timestamp-query", has("timestamp-query")),
  ];
}

function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}
