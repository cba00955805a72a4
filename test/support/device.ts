/** Runs Jaxprs on a WebGPU device, as compiled programs and one equation at a time. */
import {
  type Atom,
  CompiledProgram,
  type Eqn,
  erasedAval,
  type Foreknowledge,
  fromMembers,
  generate,
  hostArray,
  type Jaxpr,
  jaxprOf,
  optimize,
  type PlacedValue,
  printJaxpr,
  server,
  sizeOf,
  toMembers,
  type Var,
} from "@fax/compiler";
import type { AdapterProfile, Executable } from "@fax/compiler/executable";
import { type BufferHandle, openDevice, type WebGPUDevice } from "@fax/runtime-webgpu";
import { hostArrayOf } from "./values.ts";

interface RunOptions {
  readonly optimized?: boolean;
  readonly profile?: AdapterProfile;
  readonly known?: Foreknowledge;
}

/** A device for tests, with the programs that it has compiled. */
export class TestDevice {
  readonly gpu: WebGPUDevice;
  readonly #executables = new Map<string, Executable>();

  private constructor(gpu: WebGPUDevice) {
    this.gpu = gpu;
  }

  /** The software adapter, unless FAX_DEVICE names another. */
  static async open(): Promise<TestDevice> {
    const named = process.env["FAX_DEVICE"];
    const { device, reason } = await openDevice(named === "gpu" ? "gpu" : "software");
    if (device === null) throw new Error(`no WebGPU device: ${reason}`);
    return new TestDevice(device);
  }

  /** As it stands, or optimized as `jit` does; compiled for the device, or as if it were another that it can stand for. */
  async run(
    jaxpr: Jaxpr,
    inputs: readonly PlacedValue[],
    { optimized = true, profile = this.gpu.profile, known = {} }: RunOptions = {},
  ): Promise<PlacedValue[]> {
    const program = new CompiledProgram(optimized ? optimize(jaxpr) : jaxpr);
    const uploads = inputs.map((value, i) => this.#upload(value, jaxpr.invars[i] as Var));
    return this.#finish(this.gpu.execute(program.executable(profile, known), uploads), jaxpr.outvars, uploads);
  }

  /** Each equation as a program of its own, results staying on the device: what runs outside of `jit`. */
  async runOpByOp(jaxpr: Jaxpr, inputs: readonly PlacedValue[]): Promise<PlacedValue[]> {
    const env = new Map<Var, BufferHandle>(
      jaxpr.invars.map((variable, i) => [variable, this.#upload(inputs[i] as PlacedValue, variable)]),
    );
    for (const eqn of jaxpr.eqns) {
      const variables = [...new Set(eqn.inputs.filter((atom) => atom.kind === "var"))];
      const handles = variables.map((variable) => env.get(variable) as BufferHandle);
      const outputs = this.gpu.execute(this.#executable(oneEquation(eqn, variables)), handles);
      eqn.outputs.forEach((variable, i) => env.set(variable, outputs[i] as BufferHandle));
    }
    const literals: BufferHandle[] = [];
    const results = jaxpr.outvars.map((atom): BufferHandle => {
      if (atom.kind === "var") return env.get(atom) as BufferHandle;
      const handle = this.gpu.upload(hostArrayOf(atom.aval.dtype, [], [atom.value]));
      literals.push(handle);
      return handle;
    });
    return this.#finish(results, jaxpr.outvars, [...env.values(), ...literals]);
  }

  #upload(value: PlacedValue, { aval }: Var): BufferHandle {
    return this.gpu.upload({ ...fromMembers(value, aval), shape: erasedAval(aval).shape });
  }

  #executable(jaxpr: Jaxpr): Executable {
    const key = printJaxpr(jaxpr);
    const known = this.#executables.get(key) ?? generate(jaxpr, this.gpu.profile);
    this.#executables.set(key, known);
    return known;
  }

  async #finish(
    handles: readonly BufferHandle[],
    outvars: readonly Atom[],
    others: readonly BufferHandle[],
  ): Promise<PlacedValue[]> {
    const results = await Promise.all(
      outvars.map(async ({ aval, kind }, i) => {
        const placed = kind === "literal" ? { ...aval, placement: server } : aval;
        const { dtype, shape } = erasedAval(placed);
        const data = await this.gpu.read(handles[i] as BufferHandle, dtype, sizeOf(shape));
        return toMembers(hostArray(dtype, shape, data), placed);
      }),
    );
    for (const handle of new Set([...handles, ...others])) this.gpu.release(handle);
    return results;
  }
}

function oneEquation(eqn: Eqn, invars: readonly Var[]): Jaxpr {
  return jaxprOf({ constvars: [], invars, eqns: [eqn], outvars: eqn.outputs });
}
