import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Executable } from "@fax/compiler/executable";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fingerprintOf, KeptExecutables } from "./kept-executables.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fax-test-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

const executable = (label: string): Executable => ({
  buffers: [{ bytes: 4, role: "input", donated: true, label }],
  kernels: [],
  steps: [{ kind: "loop", length: 2, body: [{ kind: "copy", from: 0, to: { even: 0, odd: 1 }, bytes: 4 }] }],
  inputs: [{ dtype: "f32", shape: [], buffer: 0 }],
  outputs: [],
  peakBytes: 0,
  peakLowerBound: 0,
});

const files = (): string[] => readdirSync(join(folder, "executables")).map((name) => join(folder, "executables", name));

test("what was kept is found under its key alone", async () => {
  const kept = new KeptExecutables(folder);
  expect(kept.find("a")).toBeNull();
  kept.keep("a", executable("x"));
  await kept.written();
  expect(new KeptExecutables(folder).find("a")).toEqual(executable("x"));
  expect(kept.find("b")).toBeNull();
});

test("a file that is damaged, or that holds another key, is none", async () => {
  const kept = new KeptExecutables(folder);
  kept.keep("a", executable("x"));
  await kept.written();
  const [file] = files() as [string];
  writeFileSync(file, JSON.stringify({ key: "b", executable: executable("y") }));
  expect(kept.find("a")).toBeNull();
  writeFileSync(file, '{"key": "a", "exec');
  expect(kept.find("a")).toBeNull();
  kept.keep("a", executable("z"));
  await kept.written();
  expect(kept.find("a")).toEqual(executable("z"));
});

test("beyond the most bytes the least recently used go", async () => {
  const kept = new KeptExecutables(folder, 3 * JSON.stringify({ key: "a", executable: executable("x") }).length);
  const age = (seconds: number): void => {
    for (const file of files()) utimesSync(file, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
  };
  for (const [i, key] of ["a", "b", "c"].entries()) {
    kept.keep(key, executable("x"));
    await kept.written();
    if (i === 1) age(60);
  }
  // Of the two older ones a was used since.
  kept.find("a");
  kept.keep("d", executable("x"));
  await kept.written();
  expect(["a", "b", "c", "d"].filter((key) => kept.find(key) !== null)).toEqual(["a", "c", "d"]);
});

test("a folder that cannot be written harms nothing", async () => {
  writeFileSync(join(folder, "executables"), "a file in the place of the folder");
  const kept = new KeptExecutables(folder);
  kept.keep("a", executable("x"));
  await kept.written();
  expect(kept.find("a")).toBeNull();
});

test("code is told from other code wherever it lies beside or below a module", () => {
  mkdirSync(join(folder, "codegen"));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return fingerprintOf(pathToFileURL(join(folder, "index.js")).href);
  };
  write("index.js", "1");
  const first = write("codegen/kernel.js", "2");
  expect(write("codegen/kernel.d.ts", "types")).toBe(first);
  expect(write("codegen/kernel.js", "3")).not.toBe(first);
  expect(write("codegen/kernel.js", "2")).toBe(first);
  expect(write("index.js", "4")).not.toBe(first);
});
