import type { CompiledProgram, DType, HostArray, HostData } from "@fax/compiler";
import type { Backend, BufferHandle, Scalar, WebGPUDevice } from "@fax/runtime-webgpu";

/** Compiles programs for a WebGPU device and runs them there. */
export class WebGPUBackend implements Backend<CompiledProgram, object> {
  readonly #device: WebGPUDevice;

  constructor(device: WebGPUDevice) {
    this.#device = device;
  }

  upload(data: HostArray): object {
    return this.#device.upload(data);
  }

  execute(program: CompiledProgram, inputs: readonly (object | Scalar)[]): readonly object[] {
    return this.#device.execute(program.executable(this.#device.profile), inputs as readonly (BufferHandle | Scalar)[]);
  }

  read(handle: object, dtype: DType, size: number): Promise<HostData> {
    return this.#device.read(handle as BufferHandle, dtype, size);
  }

  release(handle: object): void {
    this.#device.release(handle as BufferHandle);
  }
}
