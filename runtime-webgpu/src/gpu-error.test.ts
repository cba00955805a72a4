import { expect, test } from "vitest";
import { commandError } from "./gpu-error.ts";

test("running out of memory says what to do", () => {
  const error = commandError("a device", "step", { message: "allocation failed\n  at vkAllocateMemory" }, true);
  expect(error.code).toBe("FAX2005");
  expect(error.diagnostic.message).toBe("step: a device is out of memory: allocation failed");
  expect(error.diagnostic.help).toContain("smaller batches");
});
