/** Reads the text that `printJaxpr` writes; the grammar stands there. */
import { FaxError } from "../diagnostics/index.ts";
import { type Aval, avalOf } from "./aval.ts";
import { dtypes, isDType } from "./dtype.ts";
import { type Atom, type Eqn, freshVar, type Jaxpr, jaxprOf, literal, type Param, type Var } from "./jaxpr.ts";
import { type Group, type Placement, placementOf, server } from "./placement.ts";
import { reservedWords } from "./print.ts";

/**
 * The Jaxpr that `text` describes: `parseJaxpr(printJaxpr(j))` equals `j` but for its sources.
 *
 * Errors: FAX4001 where the text breaks the grammar, uses a name that is not bound, or binds one twice.
 *
 * @param file what errors call the text
 */
export function parseJaxpr(text: string, { file = "<jaxpr>" }: { readonly file?: string } = {}): Jaxpr {
  const parser = new Parser(text, file);
  const jaxpr = parser.jaxpr();
  parser.end();
  return jaxpr;
}

interface Token {
  readonly kind: "word" | "number" | "string" | "symbol" | "end";
  readonly text: string;
  readonly start: number;
}

const tokenPattern =
  /(?<skip>\s+|\/\/[^\n]*)|(?<number>-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)(?!\w))|(?<word>[A-Za-z_]\w*)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<symbol>[{}()[\];:,.=@~])/y;

class Parser {
  readonly #text: string;
  readonly #file: string;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    this.#tokens = this.#tokenize();
  }

  #tokenize(): Token[] {
    const tokens: Token[] = [];
    let start = 0;
    while (start < this.#text.length) {
      tokenPattern.lastIndex = start;
      const match = tokenPattern.exec(this.#text);
      const kinds = match?.groups;
      if (match === null || kinds === undefined) {
        throw this.#error(`the character ${JSON.stringify(this.#text[start])} begins nothing here`, start);
      }
      const kind = (["number", "word", "string", "symbol"] as const).find((name) => kinds[name] !== undefined);
      if (kind !== undefined) tokens.push({ kind, text: match[0], start });
      start += match[0].length;
    }
    return [...tokens, { kind: "end", text: "", start }];
  }

  jaxpr(): Jaxpr {
    const scope = new Map<string, Var>();
    this.#expect("{");
    this.#expect("lambda");
    const constvars = this.#binders(scope);
    this.#expect(";");
    const invars = this.#binders(scope);
    this.#expect(".");
    this.#expect("let");
    const eqns: Eqn[] = [];
    while (!this.#at("in")) eqns.push(this.#eqn(scope));
    this.#expect("in");
    this.#expect("(");
    const outvars = this.#list(")", () => this.#atom(scope));
    this.#expect("}");
    return jaxprOf({ constvars, invars, eqns, outvars });
  }

  end(): void {
    if (this.#peek().kind !== "end") throw this.#unexpected("the end of the text");
  }

  #eqn(scope: Map<string, Var>): Eqn {
    if (this.#at("(")) {
      this.#expect("(");
      this.#expect(")");
    } else if (!this.#atBinder()) throw this.#unexpected("an equation or in");
    // What an equation binds is not yet in scope for its operands, but its names must be free.
    const bound = this.#binders(scope, false);
    this.#expect("=");
    const primitive = this.#word("the name of a primitive");
    const params = this.#accept("[") ? this.#fields("]") : {};
    const inputs: Atom[] = [];
    while (this.#peek().kind === "number" || (this.#peek().kind === "word" && !this.#at("in") && !this.#atBinder())) {
      inputs.push(this.#atom(scope));
    }
    for (const { name, variable } of bound) scope.set(name, variable);
    return { primitive, inputs, params, outputs: bound.map(({ variable }) => variable), source: null };
  }

  #atBinder(): boolean {
    const [name, colon] = [this.#peek(), this.#peek(1)];
    return name.kind === "word" && !reservedWords.has(name.text) && colon.text === ":";
  }

  #binders(scope: Map<string, Var>): Var[];
  #binders(scope: Map<string, Var>, define: false): { name: string; variable: Var }[];
  #binders(scope: Map<string, Var>, define = true): (Var | { name: string; variable: Var })[] {
    const bound: { name: string; variable: Var }[] = [];
    while (this.#atBinder()) {
      const { text: name, start } = this.#take();
      if (scope.has(name) || bound.some((other) => other.name === name)) {
        throw this.#error(`${name} is bound twice`, start);
      }
      this.#expect(":");
      bound.push({ name, variable: freshVar(this.#type()) });
    }
    if (!define) return bound;
    for (const { name, variable } of bound) scope.set(name, variable);
    return bound.map(({ variable }) => variable);
  }

  #type(): Aval {
    const { weak, dtype } = this.#elementType();
    this.#expect("[");
    const shape = this.#list("]", () => this.#size());
    const placement = this.#at("@") ? this.#placement() : server;
    return avalOf(dtype, shape, { weak, placement });
  }

  #elementType(): Pick<Aval, "weak" | "dtype"> {
    const weak = this.#accept("~");
    const { start } = this.#peek();
    const dtype = this.#word("a dtype");
    if (!isDType(dtype)) throw this.#error(`${dtype} is no dtype: there are ${dtypes.join(", ")}`, start);
    return { weak, dtype };
  }

  #placement(): Placement {
    this.#expect("@");
    if (this.#at("server") && this.#peek(1).text !== "[") {
      this.#take();
      return server;
    }
    const groups: Group[] = [this.#group()];
    // A full stop with nothing between it and a name goes on; any other ends the binders of a header.
    while (this.#at(".") && this.#peek(1).kind !== "symbol" && this.#peek(1).start === this.#peek().start + 1) {
      this.#take();
      groups.push(this.#group());
    }
    return placementOf(...groups);
  }

  #group(): Group {
    const name = this.#name("the name of a group");
    this.#expect("[");
    const size = this.#size();
    this.#expect("]");
    return { name, size };
  }

  #size(): number {
    const { text, start } = this.#peek();
    if (!/^\d+$/.test(text)) throw this.#unexpected("a size");
    this.#take();
    const size = Number(text);
    if (!Number.isSafeInteger(size)) throw this.#error(`the size ${text} is too large`, start);
    return size;
  }

  #atom(scope: ReadonlyMap<string, Var>): Atom {
    const { kind, text, start } = this.#peek();
    if (kind === "number" || text === "true" || text === "false") {
      this.#take();
      this.#expect(":");
      const { dtype, weak } = this.#elementType();
      const value = kind === "number" ? numberOf(text) : Number(text === "true");
      return literal(value, avalOf(dtype, [], { weak }));
    }
    const name = this.#word("a variable or a literal");
    const variable = scope.get(name);
    if (variable === undefined) throw this.#error(`${name} is not bound here`, start);
    return variable;
  }

  #param(): Param {
    const { kind, text } = this.#peek();
    if (kind === "number") {
      this.#take();
      return numberOf(text);
    }
    if (text === "@") return this.#placement();
    if (text === "{") {
      if (this.#peek(1).text === "lambda" && this.#peek(2).text !== "=") return this.jaxpr();
      this.#take();
      return this.#fields("}");
    }
    if (this.#accept("[")) return this.#list("]", () => this.#param());
    if (kind === "word" && reservedWords.has(text)) {
      this.#take();
      if (text === "null") return null;
      if (text === "true" || text === "false") return text === "true";
      this.#next--;
      throw this.#unexpected("a parameter");
    }
    return this.#name("a parameter");
  }

  #fields(close: string): { [name: string]: Param } {
    const fields: [string, Param][] = [];
    while (!this.#accept(close)) {
      const { start } = this.#peek();
      const name = this.#name(`a parameter's name or ${close}`);
      if (fields.some(([other]) => other === name)) throw this.#error(`the parameter ${name} is given twice`, start);
      this.#expect("=");
      fields.push([name, this.#param()]);
    }
    return Object.fromEntries(fields);
  }

  #list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.#accept(close)) return items;
    do items.push(item());
    while (this.#accept(","));
    this.#expect(close);
    return items;
  }

  /** A word, or a string that stands for one. */
  #name(what: string): string {
    const { kind, text, start } = this.#peek();
    if (kind !== "string") return this.#word(what);
    this.#take();
    try {
      return JSON.parse(text) as string;
    } catch {
      throw this.#error(`${text} is no JSON string`, start);
    }
  }

  #word(what: string): string {
    if (this.#peek().kind !== "word") throw this.#unexpected(what);
    return this.#take().text;
  }

  #peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#next + ahead, this.#tokens.length - 1)] as Token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  /** Whether this very symbol or keyword is next; a string of the same text is none. */
  #at(text: string): boolean {
    return this.#peek().text === text;
  }

  #accept(text: string): boolean {
    const found = this.#at(text);
    if (found) this.#next++;
    return found;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw this.#unexpected(text);
  }

  #unexpected(wanted: string): FaxError {
    const { kind, text, start } = this.#peek();
    return this.#error(`expected ${wanted}, but found ${kind === "end" ? "the end of the text" : text}`, start);
  }

  #error(fact: string, offset: number): FaxError {
    const before = this.#text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    return new FaxError({
      code: "FAX4001",
      message: `parse: line ${line}, column ${column}: ${fact}`,
      source: { file: this.#file, line, column },
      excerpt: this.#text.split("\n")[line - 1] ?? "",
    });
  }
}

function numberOf(text: string): number {
  if (text === "nan" || text === "-nan") return NaN;
  if (text.endsWith("inf")) return text.startsWith("-") ? -Infinity : Infinity;
  return Number(text);
}
