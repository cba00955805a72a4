/**
 * Dawn in Node waits for a device by asking at every turn of the event loop, as fast as turns go: a core's worth of them.
 * A software adapter computes on the same cores, and on two of them takes half as long again. So while someone waits for
 * such a device and turns are otherwise empty, the event loop naps between them.
 */

/**
 * In ms. A wait that is over before has no nap in it: a thread that sleeps wakes late, and its process's other threads have
 * moved to its core meanwhile, where they wait for it the next time.
 */
const awake = 1;
const longest = 1;
/** Of what a wait has taken so far: as much later its end is seen at most. */
const share = 1 / 16;
/** A turn that takes longer has work in it, which a nap would delay. */
const emptyTurn = 0.1;

/** What time is made of, in ms; tests bring their own. */
export interface Time {
  now(): number;
  /** Blocks the thread. */
  sleep(ms: number): void;
  /** Calls back in the next turn of the event loop. */
  nextTurn(callback: () => void): void;
}

function realTime(): Time {
  const word = new Int32Array(new SharedArrayBuffer(4));
  return {
    now: () => performance.now(),
    sleep: (ms) => void Atomics.wait(word, 0, 0, ms),
    nextTurn: (callback) => void setImmediate(callback),
  };
}

export class Naps {
  readonly #time: Time;
  readonly #onTurn = (): void => this.#turn();
  #waits = 0;
  /** When the first of the waits began, or the last ended. */
  #begun = 0;
  /** When the last turn was left. */
  #left = 0;
  #awaitsTurn = false;

  constructor(time: Time = realTime()) {
    this.#time = time;
  }

  /** Someone waits for the device, until `end`. */
  begin(): void {
    if (this.#waits++ > 0) return;
    this.#begun = this.#left = this.#time.now();
    this.#await();
  }

  /** What else is waited for may be soon there too: it counts from here. */
  end(): void {
    this.#waits--;
    this.#begun = this.#time.now();
  }

  #await(): void {
    if (this.#awaitsTurn) return;
    this.#awaitsTurn = true;
    this.#time.nextTurn(this.#onTurn);
  }

  #turn(): void {
    this.#awaitsTurn = false;
    if (this.#waits === 0) return;
    const now = this.#time.now();
    const waited = now - this.#begun;
    if (waited >= awake && now - this.#left <= emptyTurn) {
      this.#time.sleep(Math.min(longest, waited * share));
    }
    this.#left = this.#time.now();
    this.#await();
  }
}
