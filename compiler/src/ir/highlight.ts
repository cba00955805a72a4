/** Colours for the text of a Jaxpr. */
import type { Role, Style } from "../diagnostics/style.ts";

const dtype = "(?:f32|f16|i32|u32|bool)";
const group = String.raw`(?:\w+|"(?:[^"\\]|\\.)*")\[\d+\]`;

/** In order of precedence. */
const patterns: readonly (readonly [Role, string])[] = [
  ["comment", String.raw`//[^\n]*`],
  ["placement", String.raw`@(?:server\b(?!\[)|${group}(?:\.${group})*)`],
  ["comment", String.raw`"(?:[^"\\\n]|\\.)*"`],
  ["type", String.raw`~?${dtype}\[[\d,]*\]`],
  ["literal", String.raw`(?<![\w.])-?(?:\d[\w.]*(?:e[+-]\d+)?|inf|nan|true|false):~?${dtype}\b`],
  ["keyword", String.raw`(?<![\w=])(?:lambda|let|in)(?=[ \n])`],
  ["primitive", String.raw`(?<= = )\w+`],
  ["error", "▸"],
];

const anyPattern = new RegExp(patterns.map(([, pattern]) => `(${pattern})`).join("|"), "g");

/** The same text with its types, placements, primitives and literals styled. */
export function highlightJaxpr(text: string, style: Style): string {
  return text.replace(anyPattern, (match: string, ...groups: unknown[]) => {
    const index = groups.slice(0, patterns.length).findIndex((found) => found !== undefined);
    return style(patterns[index]?.[0] ?? "comment", match);
  });
}
