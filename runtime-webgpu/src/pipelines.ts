/** Compute pipelines of one device, compiled concurrently and found again by what they are made from. */
import { FaxError } from "@fax/compiler/diagnostics";
import type { KernelCode } from "@fax/compiler/executable";
import { ShaderStageCompute } from "./buffer-usage.ts";
import { kernelError } from "./gpu-error.ts";

/** Pipelines that nobody asked for lately are forgotten; executables that hold them keep them. */
const mostRemembered = 4096;

export interface BindingLayout {
  readonly id: number;
  readonly buffers: GPUBindGroupLayout;
  readonly counters: GPUBindGroupLayout | null;
  readonly pipeline: GPUPipelineLayout;
}

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: BindingLayout;
}

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #deviceName: string;
  readonly #layouts = new Map<string, BindingLayout>();
  readonly #counterLayouts = new Map<number, GPUBindGroupLayout>();
  readonly #kernels = new Map<string, Promise<CompiledKernel>>();
  #compiled = 0;

  constructor(device: GPUDevice, deviceName: string) {
    this.#device = device;
    this.#deviceName = deviceName;
  }

  /** How many were compiled so far. */
  get compiled(): number {
    return this.#compiled;
  }

  compile(kernel: KernelCode): Promise<CompiledKernel> {
    const layout = this.layout(kernel);
    const key = `${layout.id} ${kernel.entryPoint} ${kernel.source}`;
    let compiled = this.#kernels.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(kernel, layout);
      if (this.#kernels.size >= mostRemembered) this.#kernels.delete(this.#kernels.keys().next().value as string);
    } else {
      this.#kernels.delete(key);
    }
    // The last used is the last in the map.
    this.#kernels.set(key, compiled);
    return compiled;
  }

  counterLayout(count: number): GPUBindGroupLayout {
    let layout = this.#counterLayouts.get(count);
    if (layout === undefined) {
      layout = this.#device.createBindGroupLayout({
        entries: Array.from({ length: count }, (_, binding) => ({
          binding,
          visibility: ShaderStageCompute,
          buffer: { type: "uniform", hasDynamicOffset: true },
        })),
      });
      this.#counterLayouts.set(count, layout);
    }
    return layout;
  }

  /** Explicit rather than derived from the source: a binding that a kernel never touches stays a binding. */
  layout({ bindings, counters }: KernelCode): BindingLayout {
    const key = `${bindings.map(({ access }) => access).join()} ${counters}`;
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const buffers = this.#device.createBindGroupLayout({
        entries: bindings.map(({ access }, binding) => ({
          binding,
          visibility: ShaderStageCompute,
          buffer: { type: access === "read" ? "read-only-storage" : "storage" },
        })),
      });
      const counterLayout = counters > 0 ? this.counterLayout(counters) : null;
      const pipeline = this.#device.createPipelineLayout({
        bindGroupLayouts: counterLayout === null ? [buffers] : [buffers, counterLayout],
      });
      layout = { id: this.#layouts.size, buffers, counters: counterLayout, pipeline };
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  async #compile(kernel: KernelCode, layout: BindingLayout): Promise<CompiledKernel> {
    this.#device.pushErrorScope("validation");
    const module = this.#device.createShaderModule({ label: kernel.name, code: kernel.source });
    const compiling = this.#device.createComputePipelineAsync({
      label: kernel.name,
      layout: layout.pipeline,
      compute: { module, entryPoint: kernel.entryPoint },
    });
    const refused = this.#device.popErrorScope();
    try {
      const pipeline = await compiling;
      await refused;
      this.#compiled++;
      return { pipeline, layout };
    } catch (error) {
      if (error instanceof FaxError) throw error;
      const reason =
        (await refused.catch(() => null))?.message ?? (error instanceof Error ? error.message : String(error));
      const messages = await module.getCompilationInfo().then(
        ({ messages }) => messages,
        () => [],
      );
      throw kernelError(this.#deviceName, kernel, messages, reason);
    }
  }
}
