/** What a kernel may compute in place. */
import { sameShape } from "../ir/shape.ts";
import type { Tensor } from "../lower/expr.ts";
import { loadsOf } from "../lower/expr-pool.ts";
import { type Kernel, partsOf } from "./kernel.ts";

/**
 * Whether the kernel may store `result` over `source`: it reads `source` only where it stores `result`, at the same
 * element and for the same point.
 */
export function writesOver(kernel: Kernel, source: Tensor, result: Tensor): boolean {
  if (source.dtype !== result.dtype || !sameShape(source.shape, result.shape)) return false;
  const stages = partsOf(kernel).flatMap((part) => part.stages);
  return stages.every((stage) => {
    const bodies =
      stage.kind === "reduce"
        ? [...(stage.inner ?? []), ...stage.reductions].map(({ body }) => body)
        : stage.stores.map((store) => store.value);
    const indices = stage.kind === "store" ? stage.stores.flatMap((store) => store.index) : [];
    if (loadsOf(indices).some((load) => load.tensor === source)) return false;
    const loads = loadsOf(bodies).filter((load) => load.tensor === source);
    if (loads.length === 0) return true;
    const target = stage.kind === "store" ? stage.stores.find((store) => store.tensor === result) : undefined;
    return target !== undefined && loads.every((load) => load.index.every((at, d) => at === target.index[d]));
  });
}
