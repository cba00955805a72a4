/**
 * Jaxprs as text: canonical (structurally equal Jaxprs print alike) and read back by `parseJaxpr`.
 *
 *     jaxpr    = "{" "lambda" {binder} ";" {binder} "." "let" {eqn} "in" "(" [atom {"," atom}] ")" "}"
 *     eqn      = (binder {binder} | "()") "=" primitive ["[" {name "=" param} "]"] {atom}
 *     binder   = name ":" type
 *     type     = ["~"] dtype "[" [size {"," size}] "]" ["@" ("server" | group {"." group})]
 *     group    = name "[" size "]"
 *     atom     = name | literal
 *     literal  = (number | "nan" | "inf" | "-inf" | "true" | "false") ":" ["~"] dtype
 *     param    = number | "true" | "false" | "null" | name | string | "@" … | jaxpr
 *              | "[" [param {"," param}] "]" | "{" {name "=" param} "}"
 *
 * What stands before `;` are the constvars. `~` is a weak type. Placements are written if any group occurs anywhere in
 * the text, else everything is at the server. Names go a, b, …, z, aa, … in order of appearance; Jaxprs inside
 * parameters have scopes of their own. A name that is no identifier (of a parameter or group) is written as a JSON string.
 * `//` starts a comment.
 */
import { formatLocation } from "../diagnostics/location.ts";
import { plainStyle, type Style } from "../diagnostics/style.ts";
import type { Aval } from "./aval.ts";
import { highlightJaxpr } from "./highlight.ts";
import { type Atom, type Eqn, isJaxpr, isPlacement, type Jaxpr, jaxprsOf, type Literal, type Param } from "./jaxpr.ts";
import { sortedEntries, type Var } from "./jaxpr.ts";
import { isServer, type Placement } from "./placement.ts";

export interface PrintOptions {
  /** Ends each equation's line with the place in the user's source that it stems from, as a comment. */
  readonly sources?: boolean;
  /** Sources are printed relative to it: the working folder unless given. */
  readonly cwd?: string;
  readonly style?: Style;
  /** An equation whose line gets `▸` in front. */
  readonly mark?: Eqn;
}

/** Words that are no variable's name, and that a string is quoted for. */
export const reservedWords: ReadonlySet<string> = new Set([
  "lambda",
  "let",
  "in",
  "nan",
  "inf",
  "true",
  "false",
  "null",
]);

const lineWidth = 110;
/** Binders wider than this stand out of the column of `=` rather than widen it for all. */
const binderWidth = 48;
/** The same for what stands before the comments with sources. */
const sourceColumn = 96;

export function printJaxpr(jaxpr: Jaxpr, options: PrintOptions = {}): string {
  const printer = new Printer(options, mentionsGroup(jaxpr));
  const text = printer.jaxpr(jaxpr, printer.nameAll(jaxpr), "").join("\n");
  return options.style === undefined || options.style === plainStyle ? text : highlightJaxpr(text, options.style);
}

/** The names of one Jaxpr's variables, and the scopes of the Jaxprs in its equations in the order of the text. */
interface Scope {
  readonly names: Map<Var, string>;
  readonly inner: Scope[];
}

class Printer {
  readonly #options: PrintOptions;
  readonly #placed: boolean;
  #named = 0;

  constructor(options: PrintOptions, placed: boolean) {
    this.#options = options;
    this.#placed = placed;
  }

  nameAll(jaxpr: Jaxpr): Scope {
    const scope: Scope = { names: new Map(), inner: [] };
    const name = (variable: Var): void => {
      if (!scope.names.has(variable)) scope.names.set(variable, this.#nextName());
    };
    jaxpr.constvars.forEach(name);
    jaxpr.invars.forEach(name);
    for (const eqn of jaxpr.eqns) {
      eqn.outputs.forEach(name);
      for (const inner of jaxprsOf(eqn.params)) scope.inner.push(this.nameAll(inner));
    }
    return scope;
  }

  #nextName(): string {
    for (;;) {
      const name = nameOf(this.#named++);
      if (!reservedWords.has(name)) return name;
    }
  }

  /** Lines of which the first stands where the caller is; the others begin with `indent`. */
  jaxpr(jaxpr: Jaxpr, scope: Scope, indent: string): string[] {
    const inner = scope.inner[Symbol.iterator]();
    const outputs = `in (${jaxpr.outvars.map((atom) => this.#atom(atom, scope)).join(", ")}) }`;
    const header = this.#header(jaxpr, scope, indent);
    if (jaxpr.eqns.length === 0) return [...header.slice(0, -1), `${header[header.length - 1]} ${outputs}`];
    const binders = jaxpr.eqns.map((eqn) => this.#binders(eqn.outputs, scope) || "()");
    const width = Math.max(...binders.map(({ length }) => (length > binderWidth ? 0 : length)));
    const equations = jaxpr.eqns.map((eqn, i) => {
      const margin = `${indent}${eqn === this.#options.mark ? "  ▸ " : "    "}`;
      const start = `${margin}${(binders[i] as string).padEnd(width)} = ${eqn.primitive}`;
      return this.#equation(eqn, start, scope, inner, `${indent}    `);
    });
    const lines = this.#options.sources ? this.#withSources(jaxpr.eqns, equations) : equations;
    return [...header, ...lines.flat(), `${indent}  ${outputs}`];
  }

  #header(jaxpr: Jaxpr, scope: Scope, indent: string): string[] {
    const binder = (variable: Var): string => `${this.#binders([variable], scope)}`;
    const words = ["{ lambda", ...jaxpr.constvars.map(binder), ";", ...jaxpr.invars.map(binder)];
    const last = words.pop() as string;
    const lines: string[] = [];
    let line = "";
    for (const word of [...words, `${last}.`, "let"]) {
      if (line !== "" && indent.length + line.length + word.length >= lineWidth) {
        lines.push(line);
        line = `${indent}         ${word}`;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    return [...lines, line];
  }

  #equation(eqn: Eqn, start: string, scope: Scope, inner: Iterator<Scope>, indent: string): string[] {
    const operands = eqn.inputs.map((atom) => ` ${this.#atom(atom, scope)}`).join("");
    const entries = sortedEntries(eqn.params);
    if (entries.length === 0) return [`${start}${operands}`];
    const deep = `${indent}  `;
    const params = entries.map(([name, value]) => {
      const [first, ...rest] = this.#param(value, inner, deep);
      return [`${word(name)}=${first}`, ...rest];
    });
    if (params.every((lines) => lines.length === 1)) {
      const line = `${start}[${params.flat().join(" ")}]${operands}`;
      if (line.length <= lineWidth) return [line];
    }
    return [
      `${start}[`,
      ...params.flatMap(([first, ...rest]) => [`${deep}${first}`, ...rest]),
      `${indent}]${operands}`,
    ];
  }

  /** Comments at the ends of the equations' first lines, in one column as far as that is not too far right. */
  #withSources(eqns: readonly Eqn[], equations: readonly string[][]): string[][] {
    const widths = equations.map(([first = ""]) => (first.length > sourceColumn ? 0 : first.length));
    const column = Math.max(...widths);
    return equations.map(([first = "", ...rest], i) => {
      const source = eqns[i]?.source ?? null;
      if (source === null) return [first, ...rest];
      return [`${first.padEnd(column)}  // ${formatLocation(source, this.#options.cwd ?? workingFolder())}`, ...rest];
    });
  }

  #param(param: Param, inner: Iterator<Scope>, indent: string): string[] {
    if (typeof param === "number") return [numberText(param)];
    if (typeof param === "string") return [word(param)];
    if (param === null || typeof param === "boolean") return [String(param)];
    if (isPlacement(param)) return [placementText(param)];
    if (isJaxpr(param)) {
      const next = inner.next();
      return this.jaxpr(param, next.done ? this.nameAll(param) : next.value, indent);
    }
    if (isList(param))
      return bracketed(
        "[",
        param.map((item) => this.#param(item, inner, indent)),
        ",",
        "]",
      );
    const fields = sortedEntries(param).map(([name, value]) => {
      const [first, ...rest] = this.#param(value, inner, indent);
      return [`${word(name)}=${first}`, ...rest];
    });
    return bracketed("{", fields, " ", "}");
  }

  #binders(variables: readonly Var[], scope: Scope): string {
    return variables.map((variable) => `${scope.names.get(variable)}:${this.#type(variable.aval)}`).join(" ");
  }

  #type(aval: Aval): string {
    const type = `${aval.weak ? "~" : ""}${aval.dtype}[${aval.shape.join(",")}]`;
    return this.#placed ? `${type}${placementText(aval.placement)}` : type;
  }

  #atom(atom: Atom, scope: Scope): string {
    if (atom.kind === "literal") return literalText(atom);
    // An unbound variable is a fault that the checker prints.
    return scope.names.get(atom) ?? `unbound_${atom.id}`;
  }
}

/** a, b, …, z, aa, ab, … */
function nameOf(index: number): string {
  const letter = String.fromCharCode(97 + (index % 26));
  return index < 26 ? letter : `${nameOf(Math.floor(index / 26) - 1)}${letter}`;
}

function isList(param: Param): param is readonly Param[] {
  return Array.isArray(param);
}

/** Items one after the other; an item of several lines goes on where its last line ends. */
function bracketed(open: string, items: readonly string[][], separator: string, close: string): string[] {
  const lines = [open];
  items.forEach(([first, ...rest], i) => {
    lines.push(`${lines.pop()}${i > 0 ? separator : ""}${first}`, ...rest);
  });
  lines.push(`${lines.pop()}${close}`);
  return lines;
}

/** A name or string as it stands in the text: bare if it is an identifier. */
function word(text: string): string {
  return /^[A-Za-z_]\w*$/.test(text) && !reservedWords.has(text) ? text : JSON.stringify(text);
}

function placementText(placement: Placement): string {
  if (isServer(placement)) return "@server";
  return `@${placement.groups.map(({ name, size }) => `${word(name)}[${size}]`).join(".")}`;
}

function numberText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

/** `0.5:f32`, `2.0:~f32`, `3:i32`, `true:bool`, `-inf:f32`. */
export function literalText({ value, aval }: Literal): string {
  const type = `${aval.weak ? "~" : ""}${aval.dtype}`;
  if (aval.dtype === "bool" && (Object.is(value, 0) || value === 1)) return `${value === 1}:${type}`;
  const text = numberText(value);
  const fraction = (aval.dtype === "f32" || aval.dtype === "f16") && /^-?\d+$/.test(text) ? ".0" : "";
  return `${text}${fraction}:${type}`;
}

function mentionsGroup(jaxpr: Jaxpr): boolean {
  const placed = ({ aval }: Var): boolean => !isServer(aval.placement);
  return (
    jaxpr.constvars.some(placed) ||
    jaxpr.invars.some(placed) ||
    jaxpr.eqns.some((eqn) => eqn.outputs.some(placed) || jaxprsOf(eqn.params).some(mentionsGroup))
  );
}

function workingFolder(): string {
  return (globalThis as { process?: { cwd(): string } }).process?.cwd() ?? "/";
}
