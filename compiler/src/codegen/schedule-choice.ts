/** Who chooses the schedule of a kernel: the estimate, unless what the compiler is handed knows better. */
import type { Candidate, Schedule } from "./schedule.ts";

/**
 * A schedule for the kernel that computes what `key` says, or null to leave it to the estimate. It is one of the legal ones,
 * which are listed when they are asked for; only its reasons may be others.
 */
export type ScheduleChoice = (key: string, legal: () => readonly Candidate[]) => Schedule | null;

/** What a schedule says by name, as a file may hold it: all but its reasons. */
export type ScheduleSettings = Readonly<Record<string, unknown>>;

export function settingsOf(schedule: Schedule): ScheduleSettings {
  return Object.fromEntries(Object.entries(schedule).filter(([name]) => name !== "reasons"));
}

export function hasSettings(schedule: Schedule, settings: ScheduleSettings): boolean {
  const own = Object.entries(settingsOf(schedule));
  return own.length === Object.keys(settings).length && own.every(([name, value]) => isSame(value, settings[name]));
}

function isSame(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
