/**
 * Diagnostics as text for people and as JSON for tools.
 *
 *     error[FAX1301] sub: operands are at different placements, @server and @clients[8]
 *       fed.fax.ts:21:13
 *       21 │   const d = np.subtract(model, grads);
 *          │             ^
 *       note: legal here: both @server, or both @clients[8]
 *       help: np.subtract(model, federatedMean(grads))
 */
import type { Diagnostic, Note } from "./diagnostic.ts";
import { formatLocation, relativePath, type SourceLocation } from "./location.ts";
import { plainStyle, type Style } from "./style.ts";

export interface RenderOptions {
  /** Paths are printed relative to it. */
  readonly cwd: string;
  /** The text of a source file, undefined where there is none. */
  readonly readFile?: (file: string) => string | undefined;
  readonly style?: Style;
}

/** The most columns of a source line that are shown; of a longer one, a window around the column. */
const excerptWidth = 120;

/** The diagnostic over several lines, without a newline at its end. */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions): string {
  const style = options.style ?? plainStyle;
  const { code, message, source, notes = [], help } = diagnostic;
  const lines = [`${style("error", `error[${code}]`)} ${style("strong", message)}`];
  if (source) {
    lines.push(`  ${style("location", formatLocation(source, options.cwd))}`);
    lines.push(...renderExcerpt(source, options, diagnostic.excerpt));
  }
  for (const note of notes) lines.push(labelled("note", noteText(note, options.cwd), style));
  if (help !== undefined) lines.push(labelled("help", help, style));
  return lines.join("\n");
}

/** Lines after the first stand under the text of the first. */
function labelled(label: "note" | "help", text: string, style: Style): string {
  const [first = "", ...rest] = text.split("\n");
  return [`  ${style(label, `${label}:`)} ${first}`, ...rest.map((line) => `        ${line}`)].join("\n");
}

function noteText({ text, source }: Note, cwd: string): string {
  return source ? `${text} at ${formatLocation(source, cwd)}` : text;
}

/** The source's line with a marker under its column: two lines, or none where the text cannot be had. */
export function renderExcerpt(source: SourceLocation, options: RenderOptions, known?: string): string[] {
  const style = options.style ?? plainStyle;
  const line = known ?? options.readFile?.(source.file)?.split(/\r?\n/)[source.line - 1];
  if (line === undefined) return [];
  const from = line.length > excerptWidth ? Math.max(0, source.column - 1 - excerptWidth / 2) : 0;
  const cut = line.slice(from, from + excerptWidth);
  const shown = `${from > 0 ? "…" : ""}${cut}${from + excerptWidth < line.length ? "…" : ""}`;
  // The marker's line keeps tabs, so that it stands under its column however wide a tab is.
  const indent = `${from > 0 ? " " : ""}${cut.slice(0, source.column - 1 - from).replace(/[^\t]/g, " ")}`;
  const number = String(source.line);
  const bar = style("muted", "│");
  return [
    `  ${style("muted", number)} ${bar} ${shown.trimEnd()}`,
    `  ${" ".repeat(number.length)} ${bar} ${indent}${style("error", "^")}`,
  ];
}

export interface JsonLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A diagnostic as a tool reads it: files relative to `cwd`, nothing absent. */
export interface JsonDiagnostic {
  readonly code: string;
  readonly message: string;
  readonly source: JsonLocation | null;
  readonly notes: readonly { readonly text: string; readonly source: JsonLocation | null }[];
  readonly help: string | null;
}

export function diagnosticToJson(diagnostic: Diagnostic, { cwd }: { readonly cwd: string }): JsonDiagnostic {
  const locate = (source: SourceLocation | null | undefined): JsonLocation | null =>
    source ? { file: relativePath(source.file, cwd), line: source.line, column: source.column } : null;
  return {
    code: diagnostic.code,
    message: diagnostic.message,
    source: locate(diagnostic.source),
    notes: (diagnostic.notes ?? []).map(({ text, source }) => ({ text, source: locate(source) })),
    help: diagnostic.help ?? null,
  };
}
