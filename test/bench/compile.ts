/** Tracing and compiling, without the caches that `jit` keeps and without the driver. */
import { type AdapterProfile, CompiledProgram, type Executable, optimize } from "@fax/compiler";
import { makeJaxpr, np, type NDArray } from "@fax/core";
import { faxFunction, type FaxTask } from "./libraries/fax.ts";

export function compileWithoutCache(task: FaxTask, profile: AdapterProfile): Executable {
  const inputs = task.inputs.map(({ shape, dtype }): NDArray => np.zeros(shape, { dtype }));
  const { jaxpr } = makeJaxpr(faxFunction(task))(inputs);
  const executable = new CompiledProgram(optimize(jaxpr)).executable(profile);
  for (const input of inputs) input.dispose();
  return executable;
}
