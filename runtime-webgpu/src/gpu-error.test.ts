import { expect, test } from "vitest";
import { commandError, stallVariable, stalledError } from "./gpu-error.ts";

test("running out of memory says what to do", () => {
  const error = commandError("a device", "step", { message: "allocation failed\n  at vkAllocateMemory" }, true);
  expect(error.code).toBe("FAX2005");
  expect(error.diagnostic.message).toBe("step: a device is out of memory: allocation failed");
  expect(error.diagnostic.help).toContain("smaller batches");
});

test("a device that makes no progress says how long it has had", () => {
  const error = stalledError("a device", 30_000);
  expect(error.code).toBe("FAX2008");
  expect(error.diagnostic.message).toBe("device: a device has made no progress for 30 s");
  expect(error.diagnostic.help).toContain(stallVariable);
});
