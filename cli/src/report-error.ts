/** Whatever was thrown, as text for the user: one who made a mistake, one whose code threw, or one who found ours. */
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  diagnosticToJson,
  FaxError,
  formatLocation,
  InternalError,
  type JsonDiagnostic,
  renderDiagnostic,
  renderExcerpt,
  type RenderOptions,
  type SourceLocation,
  type Style,
} from "@fax/compiler/diagnostics";
import { resolveInstalled } from "./load-module.ts";

export interface ErrorContext {
  readonly cwd: string;
  readonly style: Style;
}

/** The error as the user reads it, with a newline at its end. */
export function renderError(error: unknown, { cwd, style }: ErrorContext): string {
  const options: RenderOptions = { cwd, style, readFile };
  if (error instanceof FaxError) return `${renderDiagnostic(error.diagnostic, options)}\n`;
  if (error instanceof InternalError) return internalText(error, style);
  if (!(error instanceof Error))
    return `${style("error", "error:")} ${style("strong", `${describe(error)} was thrown`)}\n`;
  const frames = userFrames(error.stack ?? "");
  // Without a frame of the user's the fault is not theirs, unless the system itself says what is wrong.
  if (frames.length === 0 && !isSystemError(error)) return internalText(error, style);
  const lines = [`${style("error", "error:")} ${style("strong", `${error.name}: ${error.message}`)}`];
  const [first] = frames;
  if (first) {
    lines.push(`  ${style("location", formatLocation(first.source, cwd))}`, ...renderExcerpt(first.source, options));
    for (const { name, source } of frames) {
      const place = formatLocation(source, cwd);
      lines.push(style("muted", name === "" ? `  at ${place}` : `  at ${name} (${place})`));
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The same for `--json`. */
export function errorToJson(
  error: unknown,
  cwd: string,
): JsonDiagnostic | { readonly code: null; readonly message: string } {
  if (error instanceof FaxError) return diagnosticToJson(error.diagnostic, { cwd });
  return { code: null, message: error instanceof Error ? `${error.name}: ${error.message}` : describe(error) };
}

export function readFile(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

interface Frame {
  readonly name: string;
  readonly source: SourceLocation;
}

/** The frames of a stack in the user's own files, innermost first. */
export function userFrames(stack: string): Frame[] {
  return stack.split("\n").flatMap((line) => {
    const match =
      /^\s+at (?:async )?(?:(?<name>.+) \()?(?<file>(?:file:\/\/)?[^()]+?):(?<line>\d+):(?<column>\d+)\)?$/.exec(line);
    const { name = "", file = "", line: row = "", column = "" } = match?.groups ?? {};
    const path = file.startsWith("file://") ? fileURLToPath(file) : file;
    if (match === null || !isUserFile(path)) return [];
    return [
      { name: name === "<anonymous>" ? "" : name, source: { file: path, line: Number(row), column: Number(column) } },
    ];
  });
}

/** Folders of fax itself: this command's, and those of the packages it runs with. */
const ownFolders = [
  fileURLToPath(new URL(".", import.meta.url)),
  ...["@fax/core", "@fax/compiler", "@fax/runtime-webgpu", "@fax/nn", "@fax/optim", "@fax/data"].flatMap((name) => {
    const url = resolveInstalled(name);
    return url?.startsWith("file:") ? [fileURLToPath(new URL(".", url))] : [];
  }),
];

function isUserFile(path: string): boolean {
  if (path.startsWith("node:") || path.includes("node_modules")) return false;
  return !ownFolders.some((folder) => path.startsWith(folder));
}

function isSystemError(error: Error): boolean {
  return "code" in error && typeof error.code === "string" && "syscall" in error;
}

function internalText(error: Error, style: Style): string {
  const lines = [
    `${style("error", "internal error:")} ${style("strong", error.message)}`,
    "  This is a fault of fax, not of your program.",
  ];
  const report = join(tmpdir(), `fax-internal-error-${process.pid}.txt`);
  const text = [
    `fax ${process.argv.slice(2).join(" ")}`,
    `node ${process.version}, ${process.platform} ${process.arch}`,
    error.stack ?? error.message,
    ...(error.cause instanceof Error ? [`caused by ${error.cause.stack ?? error.cause.message}`] : []),
  ].join("\n");
  try {
    writeFileSync(report, `${text}\n`);
    lines.push(`  Its stack, the command line and the versions are in ${report}: please attach it to a report.`);
  } catch {
    // Without a place to write to, the stack itself is the next best thing.
    lines.push(text);
  }
  return `${lines.join("\n")}\n`;
}

function describe(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
