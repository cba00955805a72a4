/** What a kernel costs: arithmetic operations, and bytes between memory and the kernel, each array once. */
import { type AdapterProfile, storageBytes } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Axis, Expr, Tensor } from "../lower/expr.ts";
import { axesIn, nodesOf } from "../lower/expr-pool.ts";
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
  const columns = kernel.columns ?? [];
  const visit = (roots: readonly Expr[], points: number, same: readonly Axis[] = []): void => {
    for (const e of nodesOf(roots)) {
      const times = points / sameFor(e, same);
      if ((e.op === "unary" || e.op === "binary") && (e.dtype === "f32" || e.dtype === "f16")) flops += times;
      if (e.op === "load") read.set(e.tensor, (read.get(e.tensor) ?? 0) + times);
    }
  };
  for (const stage of kernel.stages) {
    const times = (stage.kind === "store" && stage.once ? 1 : rows) * extentOf(stage.axes);
    if (stage.kind === "reduce") {
      for (const { axes, body } of stage.inner ?? []) {
        const points = times * extentOf(axes);
        visit([body], points, columns);
        flops += points / sameFor(body, columns);
      }
      visit(
        stage.reductions.map(({ body }) => body),
        times,
        columns,
      );
      for (const { body } of stage.reductions) flops += times / sameFor(body, columns);
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

/** For how many columns a value is computed once. */
function sameFor(e: Expr, columns: readonly Axis[]): number {
  if (columns.length === 0) return 1;
  const used = axesIn([e]);
  return columns.some((axis) => used.has(axis.id)) ? 1 : extentOf(columns);
}
