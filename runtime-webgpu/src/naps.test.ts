import { describe, expect, it } from "vitest";
import { Naps } from "./naps.ts";

/** Turns take as long as the test says; naps are written down. */
class FakeTime {
  #now = 0;
  #next: (() => void) | null = null;
  readonly naps: number[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number): void {
    this.naps.push(ms);
    this.#now += ms;
  }

  nextTurn(callback: () => void): void {
    this.#next = callback;
  }

  /** `count` turns of `ms` each; false once nobody waits for one. */
  turns(count: number, ms: number): boolean {
    for (let i = 0; i < count; i++) {
      this.#now += ms;
      const callback = this.#next;
      if (callback === null) return false;
      this.#next = null;
      callback();
    }
    return this.#next !== null;
  }
}

describe("naps of the event loop", () => {
  it("begin when a wait has lasted some time, and grow with it up to a millisecond", () => {
    const time = new FakeTime();
    const naps = new Naps(time);
    naps.begin();
    time.turns(11, 0.09);
    expect(time.naps).toEqual([]);
    time.turns(1, 0.09);
    expect(time.naps).toEqual([expect.closeTo(1.08 / 16)]);
    time.turns(200, 0.02);
    expect(time.naps.at(-1)).toBe(1);
    expect(time.naps).toEqual(time.naps.toSorted((a, b) => a - b));
  });

  it("do not delay turns with work in them", () => {
    const time = new FakeTime();
    new Naps(time).begin();
    time.turns(50, 0.5);
    expect(time.naps).toEqual([]);
    time.turns(1, 0.02);
    expect(time.naps).toHaveLength(1);
  });

  it("begin anew when one of several waits has ended", () => {
    const time = new FakeTime();
    const naps = new Naps(time);
    naps.begin();
    for (let i = 0; i < 20; i++) {
      naps.begin();
      time.turns(10, 0.05);
      naps.end();
    }
    expect(time.naps).toEqual([]);
    time.turns(30, 0.05);
    expect(time.naps.length).toBeGreaterThan(0);
  });

  it("end with the last wait, and count anew from the next", () => {
    const time = new FakeTime();
    const naps = new Naps(time);
    naps.begin();
    naps.begin();
    time.turns(100, 0.02);
    naps.end();
    expect(time.turns(1, 0.02)).toBe(true);
    naps.end();
    const before = time.naps.length;
    expect(time.turns(2, 0.02)).toBe(false);
    naps.begin();
    expect(time.turns(5, 0.02)).toBe(true);
    expect(time.naps).toHaveLength(before);
  });
});
