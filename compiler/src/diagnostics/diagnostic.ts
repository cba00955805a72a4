/** Diagnostics are data; `render.ts` turns them into text. */
import type { Code } from "./codes.ts";
import type { SourceLocation } from "./location.ts";

export interface Note {
  readonly text: string;
  readonly source?: SourceLocation | null;
}

export interface Diagnostic {
  readonly code: Code;
  /** One sentence with both facts, no full stop: `sub: operands are at different placements, @server and @clients[8]`. */
  readonly message: string;
  readonly source?: SourceLocation | null;
  /** The text of the line at `source`, where no file holds it. */
  readonly excerpt?: string;
  readonly notes?: readonly Note[];
  /** What would be legal here, as code if possible. */
  readonly help?: string;
}

/** The user's program is at fault. */
export class FaxError extends Error {
  override readonly name = "FaxError";
  readonly diagnostic: Diagnostic;

  constructor(diagnostic: Diagnostic, options?: ErrorOptions) {
    super(`${diagnostic.code} ${diagnostic.message}${diagnostic.help ? ` (help: ${diagnostic.help})` : ""}`, options);
    this.diagnostic = diagnostic;
  }

  get code(): Code {
    return this.diagnostic.code;
  }

  /** The same fault with more known about it; what is already said stays. */
  with(more: { source?: SourceLocation | null; notes?: readonly Note[]; help?: string }): FaxError {
    const { diagnostic } = this;
    const completed = new FaxError(
      {
        ...diagnostic,
        source: diagnostic.source ?? more.source ?? null,
        notes: [...(diagnostic.notes ?? []), ...(more.notes ?? [])],
        ...((diagnostic.help ?? more.help) ? { help: diagnostic.help ?? more.help } : {}),
      } as Diagnostic,
      { cause: this.cause },
    );
    if (this.stack !== undefined) completed.stack = this.stack;
    return completed;
  }
}

/** A fault of fax itself: an invariant that does not hold. */
export class InternalError extends Error {
  override readonly name = "InternalError";
}

export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}
