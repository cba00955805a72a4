/** Lines of WGSL in nested blocks. Text can still be added to an outer block while an inner one is open: it lands before. */
export class Scope {
  readonly depth: number;
  readonly parent: Scope | null;
  /** Runs only if something holds: nothing that must not always run may move out of it. */
  readonly conditional: boolean;
  private readonly lines: (string | Scope)[] = [];

  constructor(parent: Scope | null, conditional: boolean) {
    this.parent = parent;
    this.depth = parent ? parent.depth + 1 : 0;
    this.conditional = conditional;
  }

  add(line: string): void {
    this.lines.push(line);
  }

  addBlock(header: string, body: Scope, footer = "}"): void {
    this.lines.push(header, body, footer);
  }

  /** The other side of a block whose footer opened it. */
  addContinuation(body: Scope): void {
    this.lines.push(body, "}");
  }

  render(indent: string): string {
    return this.lines
      .map((line) => (typeof line === "string" ? `${indent}${line}\n` : line.render(`${indent}  `)))
      .join("");
  }
}
