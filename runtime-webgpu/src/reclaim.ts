/**
 * Frees what the user's program no longer reaches. JavaScript's collector does not see device memory, so a collection is
 * asked for when what lives on the device has grown by as much as was alive after the last one. Finalizers run between
 * turns of the event loop only: whoever is over the budget has to wait for a turn.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collections cost milliseconds, on a GPU as much as many steps; a software adapter's memory is the process's own. */
const leastBudget = { gpu: 256 * 2 ** 20, cpu: 64 * 2 ** 20 } as const;
const mostGrowth = 2 ** 30;

/** What a buffer costs besides its bytes, on the device and in the process. */
export const overheadPerBuffer = 16 * 2 ** 10;

const collectGarbage: () => void = (() => {
  try {
    setFlagsFromString("--expose-gc");
    const gc: unknown = runInNewContext("gc");
    return typeof gc === "function" ? (gc as () => void) : () => {};
  } catch {
    // A process that forbids it collects when it likes.
    return () => {};
  }
})();

export async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

export class Reclaimer {
  readonly #measure: () => number;
  readonly #least: number;
  #budget: number;

  /** `measure` tells the bytes that live on the device. */
  constructor(adapter: "gpu" | "cpu", measure: () => number) {
    this.#measure = measure;
    this.#least = leastBudget[adapter];
    this.#budget = this.#least;
  }

  get overBudget(): boolean {
    return this.#measure() > this.#budget;
  }

  async reclaim(): Promise<void> {
    // First a turn: a synchronous loop that is still running drops more until its end.
    await nextTurn();
    collectGarbage();
    // One turn posts the finalizers, the other runs them.
    await nextTurn();
    await nextTurn();
    const alive = this.#measure();
    this.#budget = Math.max(this.#least, alive + Math.min(alive, mostGrowth));
  }
}
