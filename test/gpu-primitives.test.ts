/** Every primitive on a WebGPU device, on every sample of its declaration, against the reference evaluator. */
import { allPrimitives } from "@fax/compiler";
import { beforeAll, describe } from "vitest";
import { deviceSuite } from "./support/device-suite.ts";
import { TestDevice } from "./support/device.ts";

let device: TestDevice;

beforeAll(async () => {
  device = await TestDevice.open();
});

describe("on the device", () => {
  for (const primitive of allPrimitives()) deviceSuite(primitive, () => device);
});
