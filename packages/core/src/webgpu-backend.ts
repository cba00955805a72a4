import {
  type CompiledProgram,
  compilerUrl,
  type DType,
  type ExecutableStore,
  type Foreknowledge,
  type HostArray,
  type HostData,
} from "@fax/compiler";
import {
  type Backend,
  type BufferHandle,
  fingerprintOf,
  KeptExecutables,
  resultsFolder,
  type Scalar,
  type WebGPUDevice,
} from "@fax/runtime-webgpu";
import { KeptSchedules } from "./kept-schedules.ts";

/** Compiles programs for a WebGPU device, by what was kept of earlier times on it, and runs them there. */
export class WebGPUBackend implements Backend<CompiledProgram, object> {
  readonly device: WebGPUDevice;
  /** What programs are compiled with. */
  known: Foreknowledge = {};
  #schedules: KeptSchedules;

  constructor(device: WebGPUDevice) {
    this.device = device;
    this.#schedules = KeptSchedules.of(device.profile);
    this.schedules = this.#schedules;
  }

  get schedules(): KeptSchedules {
    return this.#schedules;
  }

  /** What is compiled from now on, and what runs again, takes these. */
  set schedules(schedules: KeptSchedules) {
    this.#schedules = schedules;
    const folder = resultsFolder();
    const executables = folder === null ? {} : { executables: storeIn(folder, schedules) };
    this.known = { choose: schedules.choose, ...executables, onKernel: (kernel) => this.device.compile(kernel) };
  }

  upload(data: HostArray): object {
    return this.device.upload(data);
  }

  execute(program: CompiledProgram, inputs: readonly (object | Scalar)[]): readonly object[] {
    const executable = program.executable(this.device.profile, this.known);
    return this.device.execute(executable, inputs as readonly (BufferHandle | Scalar)[]);
  }

  read(handle: object, dtype: DType, size: number): Promise<HostData> {
    return this.device.read(handle as BufferHandle, dtype, size);
  }

  release(handle: object): void {
    this.device.release(handle as BufferHandle);
  }
}

/** Another compiler, and other schedules, would have made something else. */
function storeIn(folder: string, schedules: KeptSchedules): ExecutableStore {
  const kept = new KeptExecutables(folder);
  let origin: string | null = null;
  const from = (key: string): string =>
    `${(origin ??= `${fingerprintOf(compilerUrl)} ${schedules.fingerprint}`)} ${key}`;
  return {
    find: (key) => kept.find(from(key)),
    keep: (key, executable) => kept.keep(from(key), executable),
  };
}
