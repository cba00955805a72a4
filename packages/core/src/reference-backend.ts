import {
  type CompiledProgram,
  erasedAval,
  evaluate,
  fromMembers,
  type HostArray,
  type HostData,
  toMembers,
} from "@fax/compiler";
import type { Backend } from "@fax/runtime-webgpu";

interface HostHandle {
  readonly array: HostArray;
}

/** Runs programs on the reference evaluator: in plain typed arrays, with no device at all. */
export class ReferenceBackend implements Backend<CompiledProgram, object> {
  upload(array: HostArray): HostHandle {
    return { array };
  }

  execute({ jaxpr }: CompiledProgram, inputs: readonly object[]): HostHandle[] {
    const placed = jaxpr.invars.map(({ aval }, i) => toMembers((inputs[i] as HostHandle).array, aval));
    const results = evaluate(jaxpr, placed);
    return jaxpr.outvars.map(({ aval }, i) => {
      const value = results[i];
      if (value === undefined) throw new RangeError("a result is missing");
      return { array: { ...fromMembers(value, aval), shape: erasedAval(aval).shape } };
    });
  }

  read(handle: object): Promise<HostData> {
    return Promise.resolve((handle as HostHandle).array.data.slice());
  }

  release(): void {}
}
