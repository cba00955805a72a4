/**
 * Lets a program act before its device exists: opening one takes turns of the event loop, and the first array operation of
 * a user's program is synchronous. What is asked for is written down and replayed in order.
 */
import type { DType, HostArray, HostData } from "@fax/compiler/executable";
import type { Scalar } from "./scalars.ts";

/** What runs programs: a device, or an evaluator in its place. */
export interface Backend<Program, Handle> {
  upload(data: HostArray): Handle;
  execute(program: Program, inputs: readonly (Handle | Scalar)[]): readonly Handle[];
  read(handle: Handle, dtype: DType, size: number): Promise<HostData>;
  release(handle: Handle): void;
}

/** A value of a backend that may not exist yet. */
export class DeferredHandle<Handle> {
  value: { readonly handle: Handle } | { readonly error: unknown } | null = null;
}

export class DeferredBackend<Program, Handle> {
  readonly #opening: Promise<void>;
  readonly #owners = new FinalizationRegistry<DeferredHandle<Handle>>((handle) => this.release(handle));
  #opened: { readonly backend: Backend<Program, Handle> } | { readonly error: unknown } | null = null;
  #waiting: (() => void)[] = [];

  /** When `opening` rejects, every value fails with that error. */
  constructor(opening: Promise<Backend<Program, Handle>>) {
    this.#opening = opening.then(
      (backend) => this.#open({ backend }),
      (error: unknown) => this.#open({ error }),
    );
  }

  /** Takes the data now: the caller may change them afterwards. */
  upload(data: HostArray): DeferredHandle<Handle> {
    const result = new DeferredHandle<Handle>();
    const taken = this.#opened === null ? { ...data, data: data.data.slice() } : data;
    this.#act([result], (backend) => [backend.upload(taken)]);
    return result;
  }

  /** `outputs`: how many values the program gives, which must be known before it can be compiled for the device. */
  execute(
    program: Program,
    outputs: number,
    inputs: readonly (DeferredHandle<Handle> | Scalar)[],
  ): readonly DeferredHandle<Handle>[] {
    const results: DeferredHandle<Handle>[] = [];
    for (let i = 0; i < outputs; i++) results.push(new DeferredHandle<Handle>());
    this.#act(results, (backend) => backend.execute(program, inputs.map(given)));
    return results;
  }

  async read(handle: DeferredHandle<Handle>, dtype: DType, size: number): Promise<HostData> {
    if (this.#opened === null) await this.#opening;
    if (this.#opened === null || "error" in this.#opened) throw this.#opened?.error;
    return this.#opened.backend.read(present(handle), dtype, size);
  }

  release(handle: DeferredHandle<Handle>): void {
    this.#owners.unregister(handle);
    this.#act([], (backend) => {
      if (handle.value !== null && "handle" in handle.value) backend.release(handle.value.handle);
      return [];
    });
  }

  /** Releases the value when `owner` is collected, unless `release` does before. */
  trackOwner(owner: object, handle: DeferredHandle<Handle>): void {
    this.#owners.register(owner, handle, handle);
  }

  #act(
    results: readonly DeferredHandle<Handle>[],
    body: (backend: Backend<Program, Handle>) => readonly Handle[],
  ): void {
    const opened = this.#opened;
    if (opened === null) {
      this.#waiting.push(() => {
        try {
          this.#act(results, body);
        } catch (error) {
          for (const result of results) result.value = { error };
        }
      });
      return;
    }
    if ("error" in opened) {
      for (const result of results) result.value = opened;
      return;
    }
    const handles = body(opened.backend);
    for (let i = 0; i < results.length; i++) {
      (results[i] as DeferredHandle<Handle>).value = { handle: handles[i] as Handle };
    }
  }

  #open(opened: { readonly backend: Backend<Program, Handle> } | { readonly error: unknown }): void {
    this.#opened = opened;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const act of waiting) act();
  }
}

function given<Handle>(input: DeferredHandle<Handle> | Scalar): Handle | Scalar {
  return input instanceof DeferredHandle ? present<Handle>(input) : input;
}

function present<Handle>({ value }: DeferredHandle<Handle>): Handle {
  if (value !== null && "handle" in value) return value.handle;
  throw value?.error;
}
