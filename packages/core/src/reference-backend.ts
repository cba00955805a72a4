import {
  allocateData,
  type CompiledProgram,
  erasedAval,
  evaluate,
  fromMembers,
  type HostArray,
  type HostData,
  roundToF16,
  toMembers,
} from "@fax/compiler";
import type { Backend, Scalar } from "@fax/runtime-webgpu";

interface HostHandle {
  readonly array: HostArray;
}

/** Runs programs on the reference evaluator: in plain typed arrays, with no device at all. */
export class ReferenceBackend implements Backend<CompiledProgram, object> {
  upload(array: HostArray): HostHandle {
    return { array };
  }

  execute({ jaxpr }: CompiledProgram, inputs: readonly (object | Scalar)[]): HostHandle[] {
    const placed = jaxpr.invars.map(({ aval }, i) => toMembers(arrayOf(inputs[i] as HostHandle | Scalar), aval));
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

function arrayOf(input: HostHandle | Scalar): HostArray {
  if ("array" in input) return input.array;
  const data = allocateData(input.dtype, 1);
  data[0] = input.dtype === "f16" ? roundToF16(input.value) : input.value;
  return { dtype: input.dtype, shape: [], data };
}
