/**
 * Values on the device. A handle stands for a value from the moment it is asked for; its storage exists once the task
 * that computes it has run. Handles of one storage are the same bytes (an output that is an input, outputs that share) or
 * parts of it.
 */
import { type FaxError, InternalError } from "@fax/compiler/diagnostics";
import type { BoundBuffer, BufferPool, PooledBuffer } from "./buffer-pool.ts";

/**
 * What became of calls that were submitted together: known some turns afterwards. Their failure is also that of all that
 * depends on them.
 */
export class Verdict {
  error: FaxError | null = null;
  settled = false;
  readonly #inputs: Verdict[] = [];
  readonly #waiting: (() => void)[] = [];
  #done: Promise<void> | null = null;

  /** Of a value that is used. */
  dependOn(input: Verdict): void {
    if (input !== this && (!input.settled || input.error !== null) && !this.#inputs.includes(input)) {
      this.#inputs.push(input);
    }
  }

  /** Calls back as soon as it is settled. */
  whenSettled(settled: () => void): void {
    if (this.settled) settled();
    else this.#waiting.push(settled);
  }

  /** Once, when the commands are submitted or later. */
  decide(own: Promise<FaxError | null>): void {
    void this.#decide(own);
  }

  /** In place of `decide`, when it is known what became of the commands themselves. */
  settle(own: FaxError | null): void {
    if (this.#inputs.some((input) => !input.settled)) {
      void this.#decide(Promise.resolve(own));
      return;
    }
    this.error = this.#inputs.find((input) => input.error !== null)?.error ?? own;
    this.settled = true;
    this.#inputs.length = 0;
    for (const settled of this.#waiting.splice(0)) settled();
  }

  /** Never rejects: whoever reads the value finds the error. Made on demand: most verdicts are never waited for. */
  get done(): Promise<void> {
    return (this.#done ??= new Promise((resolve) => this.whenSettled(resolve)));
  }

  async #decide(own: Promise<FaxError | null>): Promise<void> {
    for (const input of this.#inputs) if (!input.settled) await input.done;
    this.settle(await own);
  }
}

/** Counts its handles. */
export class Storage {
  readonly buffer: PooledBuffer;
  readonly #pool: BufferPool;
  #references = 0;

  constructor(buffer: PooledBuffer, pool: BufferPool) {
    this.buffer = buffer;
    this.#pool = pool;
  }

  /** Handles, and calls that are being recorded, that know it. */
  get references(): number {
    return this.#references;
  }

  retain(): this {
    this.#references++;
    return this;
  }

  release(): void {
    if (--this.#references === 0) this.#pool.give(this.buffer);
  }
}

type State =
  | { readonly kind: "pending" }
  | {
      readonly kind: "ready";
      readonly storage: Storage;
      /** The storage's buffer, or a part of it. */
      readonly buffer: BoundBuffer;
      readonly bytes: number;
      readonly verdict: Verdict | null;
    }
  | { readonly kind: "failed"; readonly error: Error }
  | { readonly kind: "freed" };

/** Opaque to callers: they pass it to the device that made it. */
export class BufferHandle {
  #state: State = { kind: "pending" };
  #uses = 0;
  #dropped = false;
  #wake: (() => void) | null = null;
  #resolved: Promise<void> | null = null;

  get state(): State {
    return this.#state;
  }

  /** No longer pending. Made on demand: most values are never waited for. */
  async whenResolved(): Promise<void> {
    if (this.#state.kind !== "pending") return;
    this.#resolved ??= new Promise((resolve) => (this.#wake = resolve));
    await this.#resolved;
  }

  /** `buffer`: the storage's, or a part of it. */
  resolve(storage: Storage, buffer: BoundBuffer, bytes: number, verdict: Verdict | null): void {
    this.#enter({ kind: "ready", storage: storage.retain(), buffer, bytes, verdict });
  }

  /** The value has been copied out of `from`, and lies elsewhere from now on; nothing if it is not there any more. */
  move(from: BoundBuffer, storage: Storage, buffer: BoundBuffer): void {
    if (this.#state.kind !== "ready" || this.#state.buffer !== from) return;
    const before = this.#state.storage;
    this.#state = { ...this.#state, storage: storage.retain(), buffer };
    before.release();
  }

  fail(error: Error): void {
    this.#enter({ kind: "failed", error });
  }

  /** Pending tasks and reads that need it. */
  get uses(): number {
    return this.#uses;
  }

  use(): void {
    if (this.#dropped) throw new InternalError("a buffer is used after it was released");
    this.#uses++;
  }

  unuse(): void {
    this.#uses--;
    this.#freeIfUnneeded();
  }

  /** The user's side no longer needs it; idempotent. */
  drop(): void {
    this.#dropped = true;
    this.#freeIfUnneeded();
  }

  #enter(state: State): void {
    this.#state = state;
    this.#wake?.();
    this.#freeIfUnneeded();
  }

  #freeIfUnneeded(): void {
    if (!this.#dropped || this.#uses > 0 || this.#state.kind !== "ready") return;
    const { storage } = this.#state;
    this.#state = { kind: "freed" };
    storage.release();
  }
}
