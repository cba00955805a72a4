/**
 * The examples of the documentation, run. A comment that ends a statement says what it gives: values (`[1, 4]`, `0, 1` for
 * several), values with their dtype (`f32 [1, 4]`), types (`f32[2,3]`), or for `console.log` what it prints. A comment that
 * begins like none of these is prose.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { format } from "node:util";
import { compileFunction } from "node:vm";
import { NDArray } from "@fax/core";
import { transform } from "esbuild";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Example {
  /** As in `packages/core/src/grad.ts:68`. */
  readonly place: string;
  readonly text: string;
}

/** Of every doc comment in the packages' sources. */
export function sourceExamples(): Example[] {
  return readdirSync(`${root}packages`, { recursive: true, encoding: "utf8" })
    .map((path) => `packages/${path.replaceAll("\\", "/")}`)
    .filter((path) => /^packages\/[^/]+\/src\/.*(?<!\.test)\.ts$/.test(path))
    .sort()
    .flatMap((path) => commentExamples(path, readFileSync(root + path, "utf8")));
}

function commentExamples(path: string, source: string): Example[] {
  return [...source.matchAll(/\/\*\*.*?\*\//gs)].flatMap(({ 0: comment, index }) =>
    [...comment.matchAll(/@example\b(.*?)(?=\s@[a-z]+\b|\*\/$)/gs)].map((match) => {
      const line = source.slice(0, index + match.index).split("\n").length;
      return { place: `${path}:${line}`, text: (match[1] ?? "").replace(/^\s*\* ?/gm, "").trim() };
    }),
  );
}

/** The TypeScript blocks of a Markdown file. */
export function markdownExamples(path: string): Example[] {
  const source = readFileSync(root + path, "utf8");
  return [...source.matchAll(/^```ts\n(.*?)^```$/gms)].map(({ 1: text = "", index }) => ({
    place: `${path}:${source.slice(0, index).split("\n").length + 1}`,
    text,
  }));
}

/** Runs an example where `scope` gives the names, reads all that it computes, and returns where it disagrees with itself. */
export async function runExample({ text }: Example, scope: Readonly<Record<string, unknown>>): Promise<string[]> {
  const differences: string[] = [];
  let printed: string | undefined;
  const names = {
    ...scope,
    console: { log: (...args: readonly unknown[]) => (printed = format(...args)) },
    $gives: async (value: unknown, comment: string) => {
      const given = await read(value);
      const difference = printed === undefined ? compare(given, comment) : comparePrinted(printed, comment);
      printed = undefined;
      if (difference !== null) differences.push(difference);
    },
  };
  const { code } = await transform(`async function example() {\n${instrument(text)}\n}`, { loader: "ts" });
  const run = compileFunction(`${code}\nreturn example();`, Object.keys(names)) as (...args: unknown[]) => unknown;
  await run(...Object.values(names));
  return differences;
}

/** The example as the body of a function: without imports and exports, and with a check after every statement. */
function instrument(text: string): string {
  const file = ts.createSourceFile("example.ts", text, ts.ScriptTarget.Latest, true);
  return file.statements
    .map((statement) => {
      if (ts.isImportDeclaration(statement)) return "";
      const comment = /^[ \t]*\/\/ ?(.*)/.exec(text.slice(statement.end))?.[1] ?? "";
      const check = (value: string): string => `await $gives(${value}, ${JSON.stringify(comment.trim())});`;
      if (ts.isExpressionStatement(statement) || ts.isExportAssignment(statement)) {
        return check(statement.expression.getText());
      }
      const body = statement.getText().replace(/^export (?:default )?/, "");
      if (!ts.isVariableStatement(statement)) return body;
      const bound = statement.declarationList.declarations.flatMap(({ name }) => boundNames(name));
      return `${body}\n${check(bound.length === 1 ? bound.join() : `[${bound.join(", ")}]`)}`;
    })
    .join("\n");
}

function boundNames(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : boundNames(element.name)));
}

/** An array that was read. */
class Contents {
  readonly type: string;
  readonly dtype: string;
  readonly values: unknown;
  constructor({ dtype, shape }: NDArray<string>, values: unknown) {
    this.type = `${dtype}[${shape.join(",")}]`;
    this.dtype = dtype;
    this.values = values;
  }
}

/** The value with its arrays read, which runs what is pending. */
async function read(value: unknown): Promise<unknown> {
  const settled = await value;
  if (settled instanceof NDArray) {
    return new Contents(settled, await (settled.ndim === 0 ? settled.item() : settled.tolist()));
  }
  if (Array.isArray(settled)) return Promise.all(settled.map(read));
  if (typeof settled !== "object" || settled === null || Object.getPrototypeOf(settled) !== Object.prototype) {
    return settled;
  }
  return Promise.all(Object.values(settled).map(read));
}

const dtype = "f16|f32|i32|u32|bool";
const startsExpectation = new RegExp(String.raw`^(?:[[\d-]|(?:true|false|${dtype})\b)`);

function compare(given: unknown, comment: string): string | null {
  if (!startsExpectation.test(comment)) return null;
  const expected = splitItems(comment);
  const values: readonly unknown[] = expected.length > 1 && Array.isArray(given) ? given : [given];
  const wrong = values.length !== expected.length || !expected.every((text, i) => agrees(values[i], text));
  return wrong ? `gives ${values.map(shown).join(", ")}, and the comment says ${comment}` : null;
}

/** At the commas outside brackets. */
function splitItems(text: string): string[] {
  let depth = 0;
  const items = [""];
  for (const character of text) {
    if (character === "[") depth += 1;
    if (character === "]") depth -= 1;
    if (character === "," && depth === 0) items.push("");
    else items.push(items.pop() + character);
  }
  return items.map((item) => item.trim());
}

function agrees(given: unknown, text: string): boolean {
  if (given instanceof Contents && given.type === text) return true;
  const typed = new RegExp(`^(${dtype}) (.*)$`).exec(text);
  if (typed !== null && !(given instanceof Contents && given.dtype === typed[1])) return false;
  return close(plain(given), parsed(typed?.[2] ?? text));
}

/** What no value is close to where the text is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function plain(given: unknown): unknown {
  if (given instanceof Contents) return given.values;
  return Array.isArray(given) ? given.map(plain) : given;
}

function shown(given: unknown): string {
  return given instanceof Contents ? `${given.type} ${JSON.stringify(given.values)}` : JSON.stringify(plain(given));
}

function close(given: unknown, expected: unknown): boolean {
  if (Array.isArray(given) && Array.isArray(expected)) {
    return given.length === expected.length && given.every((item, i) => close(item, expected[i]));
  }
  if (typeof given !== "number" || typeof expected !== "number") return given !== undefined && given === expected;
  return given === expected || Math.abs(given - expected) <= 1e-5 * Math.abs(expected || 1);
}

/** Equal, but that the numbers are only close. */
function comparePrinted(printed: string, comment: string): string | null {
  const number = /-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/g;
  const numbers = (text: string): number[] => (text.match(number) ?? []).map(Number);
  const same = printed.replace(number, "#") === comment.replace(number, "#");
  if (comment === "" || (same && close(numbers(printed), numbers(comment)))) return null;
  return `prints ${printed}, and the comment says ${comment}`;
}
