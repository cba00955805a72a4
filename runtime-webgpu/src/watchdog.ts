/**
 * Ends the wait for a device that has stopped: an endless kernel never fails by itself. It counts its own ticks instead
 * of reading a clock, so that a process that slept or was busy is not taken for a device that did.
 */
const ticksPerLimit = 16;

export class Watchdog {
  readonly #limit: number;
  readonly #error: () => Error;
  readonly #waiting = new Set<(error: Error) => void>();
  #ticks = 0;
  #timer: NodeJS.Timeout | null = null;

  /** `limit` in ms; `error` tells what is wrong when the device has made no progress for so long. */
  constructor(limit: number, error: () => Error) {
    this.#limit = limit;
    this.#error = error;
  }

  /** The device has stopped, as far as is known. */
  get stopped(): boolean {
    return this.#ticks >= ticksPerLimit;
  }

  /** The device has finished something. */
  progress(): void {
    this.#ticks = 0;
  }

  /** The outcome of `awaited`, or a rejection when the device stops. Does not keep the process alive. */
  guard<T>(awaited: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#watch(reject);
      awaited.then(
        (value) => {
          this.#waiting.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiting.delete(reject);
          reject(error);
        },
      );
    });
  }

  #watch(giveUp: (error: Error) => void): void {
    if (this.#waiting.size === 0 && !this.stopped) this.#ticks = 0;
    this.#waiting.add(giveUp);
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.#tick(), this.#limit / ticksPerLimit);
    this.#timer.unref();
  }

  #tick(): void {
    // It outlives a wait: reads follow each other closely.
    if (this.#waiting.size > 0 && ++this.#ticks < ticksPerLimit) return;
    for (const giveUp of this.#waiting) giveUp(this.#error());
    this.#waiting.clear();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
