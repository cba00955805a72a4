/** Who chooses the schedule of a kernel: the estimate, unless what the compiler is handed knows better. */
import type { Candidate, Schedule } from "./schedule.ts";

/**
 * A schedule for the kernel that computes what `key` says, or null to leave it to the estimate. It is one of the legal ones,
 * which are listed when they are asked for; only its reasons may be others.
 */
export type ScheduleChoice = (key: string, legal: () => readonly Candidate[]) => Schedule | null;

/** Whether two schedules give the same code; for what reasons does not matter. */
export function sameSchedule(a: Schedule, b: Schedule): boolean {
  const [left, right] = [settingsOf(a), settingsOf(b)];
  return left.length === right.length && left.every(([name, value]) => sameSetting(value, Reflect.get(b, name)));
}

/** A schedule as what a file holds, without its reasons. */
export function settingsOf(schedule: Schedule): [name: string, value: unknown][] {
  return Object.entries(schedule).filter(([name]) => name !== "reasons");
}

function sameSetting(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
