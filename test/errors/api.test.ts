/** Diagnostics that only calls of the library bring about. */
import { FaxError, generate, parseJaxpr, plainStyle, renderDiagnostic, transposeJaxpr } from "@fax/compiler";
import { describe, expect, it } from "vitest";
import { existsSync, readFileSync } from "node:fs";
import { TestDevice } from "../support/device.ts";
import { hostArrayOf } from "../support/values.ts";
import { apiCodes } from "./api-cases.ts";

const sine = parseJaxpr("{ lambda ; a:f32[3]. let b:f32[3] = sin a in (b) }");

/** The error as the user reads it. */
async function rendered(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof FaxError) return renderDiagnostic(error.diagnostic, { cwd: "/", style: plainStyle });
    throw error;
  }
  throw new Error("nothing went wrong");
}

describe("a code without a program", () => {
  it.each(Object.entries(apiCodes))("%s is tested in %s", (code, file) => {
    const path = new URL(`../../${file}`, import.meta.url);
    expect(existsSync(path)).toBe(true);
    expect(readFileSync(path, "utf8")).toContain(code);
  });

  it("FAX1405: a Jaxpr that is not linear is transposed", async () => {
    expect(await rendered(() => transposeJaxpr(sine, [true]))).toMatchInlineSnapshot(`
      "error[FAX1405] sin is not linear, so it has no transpose
        help: linearize the function first: vjp and grad do so by themselves"
    `);
  });

  it("FAX2004: a device is closed while a value is computed", async () => {
    const { gpu } = await TestDevice.open();
    const x = gpu.upload(hostArrayOf("f32", [3], [1, 2, 3]));
    const [y] = gpu.execute(generate(sine, gpu.profile), [x]);
    gpu.destroy();
    const text = await rendered(() => y && gpu.read(y, "f32", 3));
    expect(text.replace(gpu.name, "DEVICE")).toMatchInlineSnapshot(`
      "error[FAX2004] device: DEVICE was closed before the value was computed
        help: run again, or choose another device: FAX_DEVICE=software"
    `);
  });

  it("FAX2006: a kernel that the device refuses", async () => {
    const { gpu } = await TestDevice.open();
    const executable = generate(sine, gpu.profile);
    const broken = executable.kernels.map((kernel) => ({ ...kernel, source: "fn main( {" }));
    const [y] = gpu.execute({ ...executable, kernels: broken }, [gpu.upload(hostArrayOf("f32", [3], [1, 2, 3]))]);
    const text = await rendered(() => y && gpu.read(y, "f32", 3));
    expect(text.replace(gpu.name, "DEVICE").split("\n")[0]).toMatch(
      /^error\[FAX2006\] sin: DEVICE refused the kernel: 1:10 /,
    );
  });
});
