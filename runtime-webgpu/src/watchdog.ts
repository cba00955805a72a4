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
  async guard<T>(awaited: Promise<T>): Promise<T> {
    let giveUp: (error: Error) => void = () => undefined;
    const stopped = new Promise<never>((_, reject) => (giveUp = reject));
    this.#watch(giveUp);
    try {
      return await Promise.race([awaited, stopped]);
    } finally {
      this.#waiting.delete(giveUp);
      if (this.#waiting.size === 0 && this.#timer !== null) {
        clearInterval(this.#timer);
        this.#timer = null;
      }
    }
  }

  #watch(giveUp: (error: Error) => void): void {
    this.#waiting.add(giveUp);
    if (this.#timer !== null) return;
    if (!this.stopped) this.#ticks = 0;
    this.#timer = setInterval(() => this.#tick(), this.#limit / ticksPerLimit);
    this.#timer.unref();
  }

  #tick(): void {
    if (++this.#ticks < ticksPerLimit) return;
    for (const giveUp of this.#waiting) giveUp(this.#error());
  }
}
