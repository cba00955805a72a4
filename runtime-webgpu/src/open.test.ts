import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { describeAdapters } from "./describe.ts";
import { openDevice, parseDevicePreference } from "./open.ts";
import { readTar, unpackSwiftShader } from "./swiftshader.ts";

afterEach(() => vi.unstubAllEnvs());

test("the reference evaluator is no device, and says so", async () => {
  expect(await openDevice("reference")).toEqual({
    device: null,
    reason: "reference evaluator on the CPU (device reference)",
  });
  vi.stubEnv("FAX_DEVICE", "reference");
  expect((await openDevice("auto")).reason).toContain("FAX_DEVICE=reference");
});

test("unknown names list what exists", async () => {
  vi.stubEnv("FAX_DEVICE", "cuda");
  await expect(openDevice("auto")).rejects.toThrow(
    'FAX2002 FAX_DEVICE: there is no device named "cuda" (help: one of auto, gpu, software, reference)',
  );
  expect(parseDevicePreference("gpu", "--device")).toBe("gpu");
});

test("a software device is there, with the adapter's own limits, and the report names it", async () => {
  const { device, reason } = await openDevice("software");
  expect(device?.profile.class).toBe("cpu");
  expect(device?.profile.limits.maxBufferSize).toBeGreaterThan(2 ** 28);
  expect(reason.split("\n")).toHaveLength(1);
  const report = await describeAdapters();
  // The system's before the embedded one, whatever was asked for first.
  expect(report.adapters.find((adapter) => adapter.class === "cpu")?.name).toBe(device?.name);
  expect(report.adapters.length + report.missing.length).toBe(3);
  expect(report.versions["webgpu"]).toMatch(/^\d/);
  device?.destroy();
});

test("a GPU that is asked for and is not there is an error that says what to install", async () => {
  if ((await describeAdapters()).adapters.some((adapter) => adapter.class === "gpu")) return;
  await expect(openDevice("gpu")).rejects.toThrow(/FAX2001 device gpu: no hardware GPU: .*\(help: install/);
});

test.runIf(process.platform === "linux" && process.arch === "x64")(
  "several processes may unpack the embedded adapter at once",
  async () => {
    const cache = mkdtempSync(join(tmpdir(), "fax-test-"));
    try {
      vi.stubEnv("XDG_CACHE_HOME", cache);
      const unpacked = Array.from({ length: 3 }, () => unpackSwiftShader());
      expect(new Set(unpacked.map((result) => JSON.stringify(result))).size).toBe(1);
      expect(typeof unpacked[0]).toBe("object");
      expect(readdirSync(join(cache, "fax"))).toHaveLength(1);
    } finally {
      rmSync(cache, { recursive: true });
    }
  },
);

test("files are read from an archive", () => {
  const header = Buffer.alloc(512);
  header.write("folder/name.txt", 0);
  header.write("00000000005", 124);
  header.write("0", 156);
  const archive = Buffer.concat([header, Buffer.from("hello".padEnd(512, "\0")), Buffer.alloc(1024)]);
  expect([...readTar(archive)].map(([name, content]) => [name, content.toString()])).toEqual([["name.txt", "hello"]]);
});
