/** What waits for pipelines or for a turn of the event loop; runs in the order of the user's program. */
import type { BufferHandle } from "./handle.ts";
import type { PreparedExecutable } from "./prepared.ts";
import type { Scalar } from "./scalars.ts";

export type Task =
  | {
      readonly kind: "execute";
      readonly prepared: PreparedExecutable;
      readonly inputs: readonly (BufferHandle | Scalar)[];
      readonly outputs: readonly BufferHandle[];
    }
  | { readonly kind: "upload"; readonly bytes: Uint8Array<ArrayBufferLike>; readonly outputs: readonly [BufferHandle] };

export class TaskQueue {
  #tasks: (Task | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#tasks.length - this.#head;
  }

  push(task: Task): void {
    this.#tasks.push(task);
  }

  shift(): Task | undefined {
    const task = this.#tasks[this.#head];
    if (task === undefined) return undefined;
    // A task that has run must not keep its values alive.
    this.#tasks[this.#head++] = undefined;
    if (this.#head === this.#tasks.length) {
      this.#tasks = [];
      this.#head = 0;
    }
    return task;
  }
}
