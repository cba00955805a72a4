import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { baselineProfile, type Candidate, type Schedule } from "@fax/compiler";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KeptSchedules, keptSchedule } from "./kept-schedules.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fax-test-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

const byThreads = (workgroupSize: number): Schedule => ({
  kind: "rows",
  workgroupSize,
  threadsPerRow: 1,
  bySubgroups: false,
  rowLanes: 1,
  rowsInTurn: 1,
  stageLanes: [1, 4],
  reasons: ["rows are contiguous"],
});

const legal: readonly Candidate[] = [16, 64, 256].map((size) => ({ schedule: byThreads(size), cost: size }));

const kept = (key: string, size: number) =>
  keptSchedule({ name: "softmax", key }, { schedule: byThreads(size), ms: 0.5 }, { schedule: byThreads(16), ms: 1 });

const open = (profile = baselineProfile): KeptSchedules => KeptSchedules.of(profile, folder);

function onlyFile(): string {
  const [name, ...others] = readdirSync(join(folder, "schedules"));
  expect(others).toEqual([]);
  return join(folder, "schedules", name as string);
}

test("what one process keeps another takes, and says why", () => {
  open().update([kept("a", 64)], []);
  const schedule = open().choose("a", () => legal);
  expect(schedule).toEqual({
    ...byThreads(64),
    reasons: [
      "kept by fax tune: 0.5 ms on this adapter, where the estimate's choice took 1 ms (thread per row, workgroups of 16, 4 elements a step)",
      "rows are contiguous",
    ],
  });
  expect(open().choose("another", () => legal)).toBeNull();
});

test("a schedule that is not legal any more is left to the estimate", () => {
  open().update([kept("a", 128)], []);
  expect(open().size).toBe(1);
  expect(open().choose("a", () => legal)).toBeNull();
});

test("processes that measure at the same time keep what both found, and forget what is slower now", () => {
  const [one, other] = [open(), open()];
  one.update([kept("a", 64), kept("b", 64)], []);
  const last = other.update([kept("c", 256)], ["b"]);
  for (const schedules of [last, open()]) {
    expect(["a", "b", "c"].map((key) => schedules.choose(key, () => legal)?.kind)).toEqual(["rows", undefined, "rows"]);
  }
});

test("what is kept tells programs apart that were compiled with other schedules", () => {
  const empty = open().fingerprint;
  const first = open().update([kept("a", 64)], []).fingerprint;
  const second = open().update([kept("a", 256)], []).fingerprint;
  expect(new Set([empty, first, second]).size).toBe(3);
  expect(open().fingerprint).toBe(second);
});

test("another driver's schedules are another file's", () => {
  open().update([kept("a", 64)], []);
  expect(open({ ...baselineProfile, name: "WebGPU baseline 2" }).size).toBe(0);
  expect(
    open({ ...baselineProfile, limits: { ...baselineProfile.limits, maxComputeInvocationsPerWorkgroup: 128 } }).size,
  ).toBe(0);
  expect(open().note).toBeNull();
});

test.each([
  ["cut short", (text: string) => text.slice(0, 100), /damaged/],
  ["of an older version", (text: string) => text.replace('"version": 1', '"version": 0'), /another version/],
  ["of something else", () => "[]", /damaged/],
  ["with entries that are none", (text: string) => text.replace('"ms": 0.5', '"ms": "fast"'), /damaged/],
  ["of another adapter", (text: string) => text.replace('"class": "gpu"', '"class": "cpu"'), /another adapter/],
] as const)("a file %s is ignored with a note, and written anew", (_, change, note) => {
  open().update([kept("a", 64)], []);
  const file = onlyFile();
  writeFileSync(file, change(readFileSync(file, "utf8")));
  const schedules = open();
  expect(schedules.note).toMatch(note);
  expect(schedules.choose("a", () => legal)).toBeNull();
  schedules.update([kept("b", 64)], []);
  expect(open().note).toBeNull();
  expect(open().choose("b", () => legal)).not.toBeNull();
});

test("without a folder nothing is kept beyond the process", () => {
  const schedules = KeptSchedules.of(baselineProfile, null).update([kept("a", 64)], []);
  expect(schedules.path).toBeNull();
  expect(schedules.choose("a", () => legal)).not.toBeNull();
});
