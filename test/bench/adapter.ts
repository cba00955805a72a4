/**
 * One adapter for all: fax opens its device, and the other libraries find the same adapter as `navigator.gpu`, with the
 * globals that they expect of a browser.
 */
import { device, type DeviceInfo, setDevice } from "@fax/core";
import type { AdapterProfile } from "@fax/compiler/executable";
import type { DevicePreference } from "@fax/runtime-webgpu";
import { globals } from "webgpu";
import { findEmbedded, findGpu, findSystemSoftware, type Found } from "../../runtime-webgpu/src/dawn.ts";
import { leaveCoresTo } from "./hand-kernels.ts";
import { deviceDescriptor } from "../../runtime-webgpu/src/profile.ts";
import { unpackSwiftShader } from "../../runtime-webgpu/src/swiftshader.ts";

export interface BenchAdapter {
  readonly info: DeviceInfo;
  readonly profile: AdapterProfile;
  /** For kernels written by hand: everything that the adapter offers. */
  readonly own: GPUDevice;
}

export async function openAdapter(preference: DevicePreference): Promise<BenchAdapter> {
  setDevice(preference);
  const info = await device();
  if (info.webgpu === null) throw new Error(`no WebGPU adapter: ${info.reason}`);
  const find = await finderOf(info.webgpu.profile.name);
  Object.assign(globalThis, globals);
  const gpu = {
    requestAdapter: find,
    getPreferredCanvasFormat: () => "bgra8unorm",
    wgslLanguageFeatures: new Set<string>(),
  };
  const navigator = { gpu, userAgent: "Node", hardwareConcurrency: 2 };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  const adapter = await find();
  const own = await adapter.requestDevice(deviceDescriptor(adapter));
  const { profile } = info.webgpu;
  if (profile.class === "cpu") leaveCoresTo(own);
  return { info, profile, own };
}

/** How to get the adapter of that name again: one is good for one device. */
async function finderOf(name: string): Promise<() => Promise<GPUAdapter>> {
  for (const find of [findGpu, findSystemSoftware, findEmbedded]) {
    const found = await find();
    if ("none" in found || found.name !== name) continue;
    // A library that brings a Dawn of its own finds the embedded driver by these.
    if (found.source === "embedded") exposeEmbeddedDriver();
    return async () => adapterOf(await find());
  }
  throw new Error(`the adapter ${name} is not found again`);
}

function adapterOf(found: Found): GPUAdapter {
  if ("none" in found) throw new Error(`no ${found.none}`);
  return found.adapter;
}

function exposeEmbeddedDriver(): void {
  const driver = unpackSwiftShader();
  if (typeof driver === "string") throw new Error(driver);
  process.env["VK_DRIVER_FILES"] = driver.manifest;
  process.env["VK_LOADER_LAYERS_DISABLE"] = "~implicit~";
}

/** How many workgroup dispatches `body` makes, on any device of this process. */
export async function countDispatches(body: () => Promise<void>): Promise<number> {
  const { prototype } = GPUComputePassEncoder;
  const dispatch = Reflect.get(prototype, "dispatchWorkgroups");
  let count = 0;
  prototype.dispatchWorkgroups = function (...counts) {
    count++;
    dispatch.apply(this, counts);
  };
  try {
    await body();
  } finally {
    prototype.dispatchWorkgroups = dispatch;
  }
  return count;
}
