/** Compiled programs by structure: looked up by a hash, compared exactly, the least recently used forgotten. */
import { type CompiledProgram, equalJaxpr, hashJaxpr, type Jaxpr } from "@fax/compiler";

interface Entry {
  readonly jaxpr: Jaxpr;
  readonly program: CompiledProgram;
}

export class ProgramCache {
  readonly #limit: number;
  readonly #compile: (jaxpr: Jaxpr) => CompiledProgram;
  /** Entries of one hash; the list that was used last is the last in the map. */
  readonly #entries = new Map<number, Entry[]>();

  /** `limit`: how many hashes are remembered; `compile` makes what is not known. */
  constructor(limit: number, compile: (jaxpr: Jaxpr) => CompiledProgram) {
    this.#limit = limit;
    this.#compile = compile;
  }

  get(jaxpr: Jaxpr): CompiledProgram {
    const hash = hashJaxpr(jaxpr);
    const known = this.#entries.get(hash);
    const found = known?.find((entry) => equalJaxpr(entry.jaxpr, jaxpr));
    const entry = found ?? { jaxpr, program: this.#compile(jaxpr) };
    const entries = known ?? [];
    if (found === undefined) entries.push(entry);
    this.#entries.delete(hash);
    this.#entries.set(hash, entries);
    if (this.#entries.size > this.#limit) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    return entry.program;
  }
}
