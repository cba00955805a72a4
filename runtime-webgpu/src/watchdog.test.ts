import { expect, test, vi } from "vitest";
import { Watchdog } from "./watchdog.ts";

const never = new Promise<never>(() => undefined);

test("a wait ends when nothing has progressed for the limit, and not before", async () => {
  vi.useFakeTimers();
  try {
    const watchdog = new Watchdog(1600, () => new Error("stopped"));
    const outcome = vi.fn<(value: unknown) => void>();
    void watchdog.guard(never).then(outcome, outcome);
    await vi.advanceTimersByTimeAsync(1500);
    watchdog.progress();
    await vi.advanceTimersByTimeAsync(1500);
    expect(outcome).not.toHaveBeenCalled();
    expect(watchdog.stopped).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(outcome).toHaveBeenCalledWith(new Error("stopped"));
    expect(watchdog.stopped).toBe(true);
    // The next who waits is told at once, until something moves again.
    void watchdog.guard(never).catch(outcome);
    await vi.advanceTimersByTimeAsync(100);
    expect(outcome).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("what is awaited comes through, as value or as error", async () => {
  const watchdog = new Watchdog(1000, () => new Error("stopped"));
  expect(await watchdog.guard(Promise.resolve(7))).toBe(7);
  await expect(watchdog.guard(Promise.reject(new Error("own")))).rejects.toThrow("own");
});
