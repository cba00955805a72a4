/** The libraries that can run here, and why others cannot. */
import type { DeviceInfo } from "@fax/core";
import type { BenchOptions } from "../options.ts";
import { fax } from "./fax.ts";
import { jaxJs } from "./jax-js.ts";
import type { Library, LibraryName } from "./library.ts";
import { onnxRuntime } from "./onnx-runtime.ts";
import { installPeers, usePeers } from "./peers.ts";
import { tensorflowJs } from "./tensorflow.ts";

export interface Libraries {
  readonly libraries: readonly Library[];
  readonly absent: Readonly<Partial<Record<LibraryName, string>>>;
}

export async function benchLibraries(options: BenchOptions, info: DeviceInfo): Promise<Libraries> {
  const openers: Readonly<Record<LibraryName, () => Library | Promise<Library>>> = {
    fax: () => fax(info),
    "jax-js": jaxJs,
    "tensorflow.js": tensorflowJs,
    onnxruntime: onnxRuntime,
  };
  const libraries: Library[] = [];
  const absent: Partial<Record<LibraryName, string>> = {};
  usePeers(options.peers);
  const missing = options.libraries.some((name) => name !== "fax") ? installPeers() : null;
  for (const name of options.libraries) {
    try {
      libraries.push(await openers[name]());
    } catch (error) {
      absent[name] = missing ?? (error instanceof Error ? error.message : String(error));
    }
  }
  return { libraries, absent };
}
