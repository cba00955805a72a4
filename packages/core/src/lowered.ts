/** A jitted function for arguments of given types, step by step: lowered, compiled, and what running it costs. */
import {
  type AdapterProfile,
  type CompiledProgram,
  type Executable,
  type Jaxpr,
  printJaxpr,
  type Step,
} from "@fax/compiler";
import { compilationTarget } from "./device.ts";
import { tune, type TuneOptions, type TuneReport } from "./tune.ts";

/** What one call costs. */
export interface CostAnalysis {
  /** Operations on floats; a function such as `exp` counts one. */
  readonly flops: number;
  /** Bytes between memory and the kernels. */
  readonly bytesAccessed: number;
  /** Distinct kernels. */
  readonly kernels: number;
  /** Kernels that run, loops counted through. */
  readonly dispatches: number;
  /** Bytes that a call allocates: its results and all that it keeps in between. Its arguments count apart. */
  readonly peakBytes: number;
  /** The most bytes of values that are alive at once, in the order in which the kernels run: `peakBytes` is no less. */
  readonly peakLowerBound: number;
}

/** What `jit(f).lower(...args)` gives. */
export class Lowered {
  readonly #program: CompiledProgram;

  constructor(program: CompiledProgram) {
    this.#program = program;
  }

  /** The optimized program; captured arrays come first among its inputs. */
  get jaxpr(): Jaxpr {
    return this.#program.jaxpr;
  }

  /** Its canonical text. */
  asText(): string {
    return printJaxpr(this.jaxpr);
  }

  /** Generates the kernels for the device in use; without a WebGPU device, for what every WebGPU device has. */
  async compile(): Promise<Compiled> {
    const { profile, known } = await compilationTarget();
    return new Compiled(this.#program.executable(profile, known));
  }

  /**
   * Measures which schedules of the kernels are the fastest on the device in use, and keeps them for this and later
   * processes: what `fax tune` does. Takes a while. Throws FAX2001 where there is no WebGPU device.
   */
  tune(options: TuneOptions = {}): Promise<TuneReport> {
    return tune([this.#program], options);
  }

  /** Generates the kernels for an adapter that need not be here. */
  compileFor(profile: AdapterProfile): Compiled {
    return new Compiled(this.#program.executable(profile));
  }
}

export class Compiled {
  readonly executable: Executable;

  constructor(executable: Executable) {
    this.executable = executable;
  }

  /** The kernels' text. */
  asText(): string {
    return this.executable.kernels.map(({ source }) => source).join("\n");
  }

  /**
   * What one call costs, known before it runs.
   *
   * @example
   * const { flops, peakBytes } = (await jit(loss).lower(w, x).compile()).costAnalysis();
   */
  costAnalysis(): CostAnalysis {
    const { kernels, peakBytes, peakLowerBound, steps } = this.executable;
    const total = { flops: 0, bytesAccessed: 0, dispatches: 0 };
    const add = (list: readonly Step[], times: number): void => {
      for (const step of list) {
        if (step.kind === "loop") {
          add(step.body, times * step.length);
        } else if (step.kind === "copy") {
          total.bytesAccessed += 2 * times * step.bytes;
        } else {
          total.flops += times * step.flops;
          total.bytesAccessed += times * step.bytesMoved;
          total.dispatches += times;
        }
      }
    };
    add(steps, 1);
    return { ...total, kernels: kernels.length, peakBytes, peakLowerBound };
  }
}
