/**
 * Schedules that `fax tune` measured to be faster than what is estimated: a readable file for each adapter, in the cache
 * folder. What it says is taken where it is still legal for the kernel; a file that cannot be used is as good as none.
 */
import {
  type AdapterProfile,
  type Candidate,
  describeSchedule,
  hasSettings,
  type Schedule,
  type ScheduleChoice,
  type ScheduleSettings,
  settingsOf,
} from "@fax/compiler";
import { readKept, resultsFolder, writeKept } from "@fax/runtime-webgpu";
import { createHash } from "node:crypto";
import { join } from "node:path";

const format = "fax-schedules";
const version = 1;

/** The fastest schedule of a kernel, and the estimate's. Times are medians in ms. */
export interface KeptSchedule {
  /** The kernel's name, for readers. */
  readonly kernel: string;
  readonly description: string;
  readonly ms: number;
  readonly insteadOf: string;
  readonly insteadMs: number;
  readonly schedule: ScheduleSettings;
  /** What the kernel computes. */
  readonly key: string;
}

interface KeptFile {
  readonly format: string;
  readonly version: number;
  /** Name, features and limits: on another driver other schedules may be legal, and others fast. */
  readonly adapter: AdapterProfile;
  readonly kernels: readonly KeptSchedule[];
}

export class KeptSchedules {
  readonly #profile: AdapterProfile;
  /** The file; null: nothing is kept. */
  readonly path: string | null;
  readonly #byKey: ReadonlyMap<string, KeptSchedule>;
  /** Why the file that is there is not used; null: it is, or there is none. */
  readonly note: string | null;

  private constructor(
    profile: AdapterProfile,
    path: string | null,
    { kernels, note }: { readonly kernels: readonly KeptSchedule[]; readonly note: string | null },
  ) {
    this.#profile = profile;
    this.path = path;
    this.#byKey = new Map(kernels.map((kept) => [kept.key, kept]));
    this.note = note;
  }

  /** What is kept for an adapter; nothing where `folder` is null. */
  static of(profile: AdapterProfile, folder: string | null = resultsFolder()): KeptSchedules {
    if (folder === null) return new KeptSchedules(profile, null, { kernels: [], note: null });
    const path = join(folder, "schedules", fileName(profile));
    return new KeptSchedules(profile, path, readFile(path, profile));
  }

  /** How many kernels have one. */
  get size(): number {
    return this.#byKey.size;
  }

  /** Tells apart what programs are compiled with. */
  get fingerprint(): string {
    return this.size === 0 ? "" : digest(JSON.stringify([...this.#byKey.values()]));
  }

  readonly choose: ScheduleChoice = (key, legal) => {
    const kept = this.#byKey.get(key);
    const found = kept && legal().find(({ schedule }) => hasSettings(schedule, kept.schedule));
    return kept && found ? withReason(found, kept) : null;
  };

  /**
   * Writes what was measured anew: `faster` is kept, what was kept for `slower` is forgotten, and what another process has
   * written meanwhile stays. Gives what is kept now. Throws where the folder cannot be written.
   */
  update(faster: readonly KeptSchedule[], slower: readonly string[]): KeptSchedules {
    const latest = this.path === null ? [...this.#byKey.values()] : readFile(this.path, this.#profile).kernels;
    const byKey = new Map(latest.map((kept) => [kept.key, kept]));
    for (const key of slower) byKey.delete(key);
    for (const kept of faster) byKey.set(kept.key, kept);
    const kernels = [...byKey.values()].sort((a, b) => (a.kernel < b.kernel ? -1 : a.kernel > b.kernel ? 1 : 0));
    if (this.path !== null) {
      const file: KeptFile = { format, version, adapter: this.#profile, kernels };
      writeKept(this.path, `${JSON.stringify(file, null, 1)}\n`);
    }
    return new KeptSchedules(this.#profile, this.path, { kernels, note: null });
  }
}

/** What a measured schedule is kept as. */
export function keptSchedule(
  kernel: { readonly name: string; readonly key: string },
  best: { readonly schedule: Schedule; readonly ms: number },
  estimated: { readonly schedule: Schedule; readonly ms: number },
): KeptSchedule {
  return {
    kernel: kernel.name,
    description: describeSchedule(best.schedule),
    ms: best.ms,
    insteadOf: describeSchedule(estimated.schedule),
    insteadMs: estimated.ms,
    schedule: settingsOf(best.schedule),
    key: kernel.key,
  };
}

function withReason({ schedule }: Candidate, { ms, insteadOf, insteadMs }: KeptSchedule): Schedule {
  const measured = `kept by fax tune: ${milliseconds(ms)} on this adapter, where the estimate's choice took ${milliseconds(insteadMs)} (${insteadOf})`;
  return { ...schedule, reasons: [measured, ...schedule.reasons] };
}

function milliseconds(ms: number): string {
  return `${Number(ms.toPrecision(3))} ms`;
}

function fileName(profile: AdapterProfile): string {
  const readable = profile.name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return `${readable.slice(0, 60)}-${digest(canonical(profile)).slice(0, 16)}.json`;
}

function canonical(profile: AdapterProfile): string {
  return JSON.stringify(profile);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function readFile(
  path: string,
  profile: AdapterProfile,
): { readonly kernels: readonly KeptSchedule[]; readonly note: string | null } {
  const ignored = (why: string) => ({ kernels: [], note: `the schedules in ${path} are not used: ${why}` });
  const text = readKept(path);
  if (text === null) return { kernels: [], note: null };
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    return ignored("the file is damaged");
  }
  if (!isRecord(file) || file["format"] !== format) return ignored("the file is damaged");
  if (file["version"] !== version) return ignored("another version of fax wrote them");
  if (JSON.stringify(file["adapter"]) !== canonical(profile)) return ignored("they are another adapter's");
  const { kernels } = file;
  if (!Array.isArray(kernels) || !kernels.every(isKept)) return ignored("the file is damaged");
  return { kernels, note: null };
}

function isKept(value: unknown): value is KeptSchedule {
  return (
    isRecord(value) &&
    ["kernel", "description", "insteadOf", "key"].every((name) => typeof value[name] === "string") &&
    ["ms", "insteadMs"].every((name) => typeof value[name] === "number") &&
    isRecord(value["schedule"])
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
