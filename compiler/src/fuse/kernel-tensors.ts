/** What kernels and steps touch. */
import type { Expr, Tensor } from "../lower/expr.ts";
import { loadsOf } from "../lower/expr-pool.ts";
import { type Kernel, partsOf } from "./kernel.ts";

/** Tensors that a kernel reads and writes, each once, in order of appearance. */
export function boundTensors(kernel: Kernel): {
  readonly loaded: readonly Tensor[];
  readonly stored: readonly Tensor[];
} {
  const loaded = new Map<number, Tensor>();
  const stored = new Map<number, Tensor>();
  for (const load of loadsOf(expressionsOf(kernel))) loaded.set(load.tensor.id, load.tensor);
  for (const stage of partsOf(kernel).flatMap((part) => part.stages)) {
    if (stage.kind === "store") for (const { tensor } of stage.stores) stored.set(tensor.id, tensor);
  }
  return { loaded: [...loaded.values()], stored: [...stored.values()] };
}

/** Every expression of a kernel, index expressions of stores included. */
export function expressionsOf(kernel: Kernel): Expr[] {
  const stages = partsOf(kernel).flatMap((part) => part.stages);
  return stages.flatMap((stage) =>
    stage.kind === "reduce"
      ? [...(stage.inner ?? []), ...stage.reductions].map(({ body }) => body)
      : stage.stores.flatMap((store) => [...store.index, store.value]),
  );
}
