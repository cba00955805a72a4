/** `fax doctor`: what there is on this machine to run on, and with what versions. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, cpus, release, totalmem, type } from "node:os";
import { type AdapterDescription, type AdapterReport, describeAdapters } from "@fax/runtime-webgpu";
import type { ExitCode } from "./command-line.ts";
import { resolveInstalled } from "./load-module.ts";
import type { Terminal } from "./terminal.ts";

export interface DoctorOptions {
  readonly json?: boolean;
}

export interface Versions {
  readonly fax: string;
  readonly node: string;
  readonly webgpu: string | null;
  readonly os: string;
}

export async function doctor({ json }: DoctorOptions, terminal: Terminal): Promise<ExitCode> {
  const report = await describeAdapters();
  const versions = installedVersions();
  if (json) terminal.stdout(`${JSON.stringify({ versions, ...report }, null, 2)}\n`);
  else terminal.stdout(renderReport(report, versions, terminal));
  return 0;
}

export function faxVersion(): string {
  return versionIn(new URL("../package.json", import.meta.url)) ?? "unknown";
}

function installedVersions(): Versions {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return {
    fax: faxVersion(),
    node: process.version,
    webgpu: webgpuVersion(),
    os: `${type()} ${release()} ${arch()}, ${cpus().length} cores, ${memory}`,
  };
}

/** The Dawn addon belongs to the runtime, so it is found from there. */
function webgpuVersion(): string | null {
  const runtime = resolveInstalled("@fax/runtime-webgpu");
  if (runtime === undefined) return null;
  try {
    const { resolve } = createRequire(runtime);
    const main = resolve("webgpu");
    const folder = main.slice(0, main.lastIndexOf("node_modules") + "node_modules/webgpu".length);
    return versionIn(`${folder}/package.json`);
  } catch {
    return null;
  }
}

function versionIn(manifest: URL | string): string | null {
  try {
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version?: string };
    return version ?? null;
  } catch {
    return null;
  }
}

/** Limits that decide what fits and how kernels are shaped, with their units. */
const shownLimits: readonly (readonly [name: string, label: string, bytes: boolean])[] = [
  ["maxBufferSize", "largest buffer", true],
  ["maxStorageBufferBindingSize", "largest binding", true],
  ["maxStorageBuffersPerShaderStage", "storage buffers a kernel", false],
  ["maxComputeInvocationsPerWorkgroup", "invocations a workgroup", false],
  ["maxComputeWorkgroupStorageSize", "workgroup memory", true],
];

export function renderReport(report: AdapterReport, versions: Versions, terminal: Pick<Terminal, "style">): string {
  const style = terminal.style.stdout;
  const row = (label: string, value: string): string => `  ${style("muted", label.padEnd(24))} ${value}`;
  const lines = [
    style("strong", "Versions"),
    row("fax", versions.fax),
    row("node", versions.node),
    row("webgpu (Dawn)", versions.webgpu ?? style("warning", "not installed")),
    row("system", versions.os),
    "",
    style("strong", "Adapters"),
  ];
  for (const adapter of report.adapters) lines.push(...adapterLines(adapter, adapter.name === report.used, row, terminal));
  for (const missing of report.missing) lines.push(`  ${style("muted", "–")} ${missing}`);
  const used = report.used ?? "the reference evaluator, on the CPU";
  lines.push("", `${style("strong", "Would run on")} ${style("good", used)} ${style("muted", `(device ${report.preference})`)}`);
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
