import { plainStyle } from "@fax/compiler/diagnostics";
import type { AdapterReport } from "@fax/runtime-webgpu";
import { expect, test } from "vitest";
import { renderReport } from "./doctor.ts";

const terminal = { style: { stdout: plainStyle, stderr: plainStyle } };

const report: AdapterReport = {
  preference: "auto",
  adapters: [
    {
      kind: "embedded software adapter",
      name: "SwiftShader",
      vendor: "google",
      architecture: "swiftshader",
      class: "cpu",
      subgroupSize: 4,
      features: ["subgroups"],
      limits: { maxBufferSize: 2 ** 30, maxStorageBuffersPerShaderStage: 12, maxComputeWorkgroupStorageSize: 32768 },
    },
  ],
  used: "SwiftShader",
  missing: ["no hardware GPU: libvulkan.so.1 is not installed"],
  install: ["install the GPU's Vulkan driver"],
  versions: { fax: "0.1.0", node: "v20.20.2", webgpu: "0.6.2", "@sparticuz/chromium": null },
};

test("versions, adapters, what would run, what to install", () => {
  expect(renderReport(report, terminal)).toMatchInlineSnapshot(`
    "Versions
      fax                        0.1.0
      node                       v20.20.2
      webgpu                     0.6.2
      @sparticuz/chromium        not installed

    Adapters
      ✓ SwiftShader (embedded software adapter)
        largest buffer           1 GiB
        storage buffers a kernel 12
        workgroup memory         32 KiB
        shader-f16               no
        subgroups                yes, of 4
        timestamp-query          no
      – no hardware GPU: libvulkan.so.1 is not installed

    Would run on SwiftShader (device auto)

    For more speed
      install the GPU's Vulkan driver
    "
  `);
});

test("without any adapter the reference evaluator would run", () => {
  const text = renderReport({ ...report, adapters: [], used: null }, terminal);
  expect(text).toContain("Would run on the reference evaluator, on the CPU (device auto)");
});
