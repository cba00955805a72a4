/**
 * Dawn's instances and the adapters that they find. Instances are kept for the whole life of the process: one that is
 * collected while a device of it lives takes the process down.
 */
import { constants } from "node:os";
import { isMainThread } from "node:worker_threads";
import { type SwiftShader, unpackSwiftShader } from "./swiftshader.ts";

export type AdapterSource = "system" | "embedded";

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly source: AdapterSource;
  readonly class: "gpu" | "cpu";
  readonly name: string;
}

/** What there is none of, and why if that is known. */
export interface Missing {
  readonly none: string;
  readonly because: string | null;
}

export type Found = FoundAdapter | Missing;

/** One line; what is missing for the same reason is named together. */
export function missingSentence(missing: readonly Missing[]): string {
  const byReason = new Map<string | null, string[]>();
  for (const { none, because } of missing) byReason.set(because, [...(byReason.get(because) ?? []), none]);
  return [...byReason]
    .map(([because, kinds]) => `no ${kinds.join(", no ")}${because === null ? "" : `: ${because}`}`)
    .join("; ");
}

type Instance = GPU | string;

/** Times of kernels are exact: nobody else's code runs here. */
const instanceOptions = ["disable-dawn-features=timestamp_quantization"] as const;

/** dlopen's flag that keeps a library loaded; Node does not name it. */
const RTLD_NODELETE = 0x1000;

let systemInstance: Promise<Instance> | undefined;
let embeddedInstance: Promise<Instance> | undefined;

export async function findGpu(): Promise<Found> {
  return findSystem({ powerPreference: "high-performance" }, "gpu", "hardware GPU");
}

export async function findSystemSoftware(): Promise<Found> {
  return findSystem({ forceFallbackAdapter: true }, "cpu", "system software adapter");
}

export async function findEmbedded(): Promise<Found> {
  const none = "embedded software adapter";
  const gpu = await (embeddedInstance ??= openEmbedded());
  if (typeof gpu === "string") return { none, because: gpu };
  const adapter = await gpu.requestAdapter();
  return adapter === null ? { none, because: null } : found(adapter, "embedded");
}

async function findSystem(options: GPURequestAdapterOptions, wanted: "gpu" | "cpu", none: string): Promise<Found> {
  const gpu = await (systemInstance ??= openSystem());
  if (typeof gpu === "string") return { none, because: gpu };
  const adapter = await gpu.requestAdapter(options);
  if (adapter === null) return { none, because: "Dawn accepts none of the system's drivers" };
  const result = found(adapter, "system");
  return result.class === wanted ? result : { none, because: `there is only ${result.name}` };
}

function found(adapter: GPUAdapter, source: AdapterSource): FoundAdapter {
  const { info } = adapter;
  const device = info.device.replace(/-+$/, "") || `${info.vendor} ${info.architecture}`.trim() || "unnamed adapter";
  // SwiftShader calls its device by the name of its code generator, which tells a reader nothing.
  const own = /^SwiftShader driver (.*)$/.exec(info.description)?.[1];
  const name = own !== undefined ? `SwiftShader ${own}` : info.description ? `${device} (${info.description})` : device;
  return { adapter, source, class: isSoftware(info) ? "cpu" : "gpu", name };
}

function isSoftware(info: GPUAdapterInfo): boolean {
  return (
    info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${info.device} ${info.description}`)
  );
}

async function loadDawn(): Promise<{ readonly create: (options: string[]) => GPU } | string> {
  try {
    return await import("webgpu");
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n", 1)[0] as string) : String(error);
    return `Dawn does not load on ${process.platform}-${process.arch}: ${reason}`;
  }
}

async function openSystem(): Promise<Instance> {
  const missing = missingVulkanLoader();
  if (missing !== null) return missing;
  const dawn = await loadDawn();
  if (typeof dawn === "string") return dawn;
  const gpu = dawn.create([...instanceOptions]);
  // An instance whose first request is for a fallback adapter finds none, then or later.
  await gpu.requestAdapter();
  return gpu;
}

/** Asked first because Dawn itself complains on stderr when there is no loader. */
function missingVulkanLoader(): string | null {
  if (process.platform !== "linux") return null;
  const reason = tryLoad("libvulkan.so.1", constants.dlopen.RTLD_LAZY);
  return reason.includes("cannot open shared object file") ? "libvulkan.so.1 is not installed" : null;
}

/** Loads a library that is no Node addon, which Node always reports as a failure: the message tells which. */
function tryLoad(library: string, flags: number): string {
  try {
    process.dlopen({ exports: {} }, library, flags);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function openEmbedded(): Promise<Instance> {
  const swiftshader = unpackSwiftShader();
  if (typeof swiftshader === "string") return swiftshader;
  const dawn = await loadDawn();
  if (typeof dawn === "string") return dawn;
  // The loader stays in the process; Dawn's own search by name then finds it.
  const reason = tryLoad(swiftshader.loader, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  if (reason.includes("cannot open shared object file")) return `the embedded Vulkan loader does not load: ${reason}`;
  return withVulkanDriver(swiftshader, async () => {
    const gpu = dawn.create([...instanceOptions]);
    if ((await gpu.requestAdapter()) !== null) return gpu;
    const hint = isMainThread ? "" : "; a worker thread needs `env: SHARE_ENV` for it";
    return `the embedded SwiftShader was not accepted${hint}`;
  });
}

/** The Vulkan loader reads these when the instance looks for adapters the first time; child processes must not see them. */
async function withVulkanDriver<T>({ manifest }: SwiftShader, body: () => Promise<T>): Promise<T> {
  const settings = { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest, VK_LOADER_LAYERS_DISABLE: "~implicit~" };
  const before = Object.keys(settings).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, settings);
  try {
    return await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
