/** Chooses an adapter and opens it. */
import { FaxError } from "@fax/compiler/diagnostics";
import {
  findEmbedded,
  findGpu,
  findSystemSoftware,
  type Found,
  type FoundAdapter,
  type Missing,
  missingSentence,
} from "./dawn.ts";
import { WebGPUDevice } from "./device.ts";
import { stallVariable } from "./gpu-error.ts";
import { deviceDescriptor, profileOf } from "./profile.ts";

export const devicePreferences = ["auto", "gpu", "software", "reference"] as const;

export type DevicePreference = (typeof devicePreferences)[number];

/** Names the device where the caller does not. */
export const deviceVariable = "FAX_DEVICE";

export interface OpenedDevice {
  /** Null: nothing here runs WebGPU, or the reference evaluator was asked for. */
  readonly device: WebGPUDevice | null;
  /** Which device and why, in one line. */
  readonly reason: string;
}

interface Candidate {
  readonly find: () => Promise<Found>;
  readonly kind: string;
}

const gpu: Candidate = { find: findGpu, kind: "hardware GPU" };
const systemSoftware: Candidate = { find: findSystemSoftware, kind: "system software adapter" };
const embedded: Candidate = { find: findEmbedded, kind: "embedded software adapter" };

/** What each preference tries, in order. */
export const candidates: Readonly<Record<DevicePreference, readonly Candidate[]>> = {
  auto: [gpu, systemSoftware, embedded],
  gpu: [gpu],
  software: [systemSoftware, embedded],
  reference: [],
};

/** Parses `--device` or FAX_DEVICE; throws FAX2002, `origin` says where the name is from. */
export function parseDevicePreference(name: string, origin: string): DevicePreference {
  const known = devicePreferences.find((preference) => preference === name);
  if (known !== undefined) return known;
  throw new FaxError({
    code: "FAX2002",
    message: `${origin}: there is no device named ${JSON.stringify(name)}`,
    help: `one of ${devicePreferences.join(", ")}`,
  });
}

/** A preference that is not `auto` stands; else FAX_DEVICE's. Throws FAX2002. */
export function effectivePreference(preference: DevicePreference): { preference: DevicePreference; origin: string } {
  const named = process.env[deviceVariable];
  if (preference !== "auto") return { preference, origin: `device ${preference}` };
  if (named === undefined || named === "") return { preference, origin: "device auto" };
  return { preference: parseDevicePreference(named, deviceVariable), origin: `${deviceVariable}=${named}` };
}

/**
 * Opens an adapter by preference. `auto` takes a hardware GPU, else a software Vulkan of the system, else the embedded
 * SwiftShader, else none. Throws FAX2001 when the device that was asked for is not there, FAX2002 for an unknown
 * FAX_DEVICE.
 *
 * @example
 * const { device, reason } = await openDevice("auto");
 */
export async function openDevice(asked: DevicePreference = "auto"): Promise<OpenedDevice> {
  const { preference, origin } = effectivePreference(asked);
  if (preference === "reference") return { device: null, reason: `reference evaluator on the CPU (${origin})` };
  const missing: Missing[] = [];
  for (const { find, kind } of candidates[preference]) {
    const found = await find();
    const opened = "none" in found ? found : await open(found, kind);
    if (opened instanceof WebGPUDevice) {
      const because = [preference === "auto" ? "" : origin, missingSentence(missing)].filter((part) => part !== "");
      return {
        device: opened,
        reason: `${opened.name}, ${kind}${because.length > 0 ? ` (${because.join("; ")})` : ""}`,
      };
    }
    missing.push(opened);
  }
  const absent = missingSentence(missing);
  if (preference === "auto") return { device: null, reason: `reference evaluator on the CPU (${absent})` };
  throw new FaxError({ code: "FAX2001", message: `${origin}: ${absent}`, help: installHint(preference) });
}

async function open(found: FoundAdapter, kind: string): Promise<WebGPUDevice | Missing> {
  try {
    const gpu = await found.adapter.requestDevice(deviceDescriptor(found.adapter));
    const opened = new WebGPUDevice(gpu, profileOf(found), patienceOption());
    endWithProcess(opened);
    return opened;
  } catch (error) {
    return {
      none: kind,
      because: `${found.name} does not open, ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** FAX_STALL_SECONDS, if it is a number. */
function patienceOption(): { readonly patience?: number } {
  const seconds = Number(process.env[stallVariable] ?? "");
  return Number.isFinite(seconds) && seconds > 0 ? { patience: 1000 * seconds } : {};
}

const devices = new Set<WebGPUDevice>();

/** A process that ends while the driver compiles takes the driver's tables away below it: devices must end before. */
function endWithProcess(device: WebGPUDevice): void {
  if (devices.size === 0) {
    process.once("exit", () => {
      for (const each of devices) each.endWithProcess();
    });
  }
  devices.add(device);
}

/** What to install so that the preference finds something here. */
export function installHint(preference: DevicePreference): string {
  const driver =
    process.platform === "linux"
      ? "install the GPU's Vulkan driver and libvulkan1"
      : "install the GPU's current driver";
  const software =
    process.platform === "linux"
      ? "install the optional npm dependencies, or mesa-vulkan-drivers 25 or later with libvulkan1"
      : "this platform has no software adapter; use --device gpu or reference";
  return preference === "software" ? software : driver;
}
