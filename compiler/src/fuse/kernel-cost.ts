/** What a kernel costs: arithmetic operations, and bytes between memory and the kernel, each array once. */
import { type AdapterProfile, storageBytes } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Expr, Tensor } from "../lower/expr.ts";
import { nodesOf } from "../lower/expr-pool.ts";
import { extentOf } from "./cost.ts";
import { type Kernel, partsOf } from "./kernel.ts";

export interface KernelCost {
  readonly flops: number;
  readonly bytesMoved: number;
}

/**
 * A float operation counts one, also a function such as `exp`; index arithmetic counts nothing. A load counts what it
 * reads, but not more than the whole array: what is read again is taken to lie in a cache.
 */
export function costOfKernel(kernel: Kernel, profile: AdapterProfile): KernelCost {
  const parts = partsOf(kernel).map((part) => costOfPart(part, profile));
  return {
    flops: parts.reduce((sum, { flops }) => sum + flops, 0),
    bytesMoved: parts.reduce((sum, { bytesMoved }) => sum + bytesMoved, 0),
  };
}

function costOfPart(kernel: Kernel, profile: AdapterProfile): KernelCost {
  const rows = extentOf(kernel.rows);
  const read = new Map<Tensor, number>();
  let flops = 0;
  let written = 0;
  const visit = (roots: readonly Expr[], times: number): void => {
    for (const e of nodesOf(roots)) {
      if ((e.op === "unary" || e.op === "binary") && (e.dtype === "f32" || e.dtype === "f16")) flops += times;
      if (e.op === "load") read.set(e.tensor, (read.get(e.tensor) ?? 0) + times);
    }
  };
  for (const stage of kernel.stages) {
    const times = (stage.kind === "store" && stage.once ? 1 : rows) * extentOf(stage.axes);
    if (stage.kind === "reduce") {
      visit(
        stage.reductions.map(({ body }) => body),
        times,
      );
      flops += times * stage.reductions.length;
    } else {
      visit(
        stage.stores.flatMap(({ index, value }) => [...index, value]),
        times,
      );
      for (const { tensor } of stage.stores) written += times * storageBytes(tensor.dtype, profile);
    }
  }
  let bytesMoved = written;
  for (const [tensor, count] of read) {
    bytesMoved += Math.min(count, sizeOf(tensor.shape)) * storageBytes(tensor.dtype, profile);
  }
  return { flops, bytesMoved };
}
