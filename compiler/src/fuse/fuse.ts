/**
 * Loop IR → fused kernels. Pointwise values are computed where they are read unless memory is cheaper, long reductions
 * are split so that they run in parallel, and what is left is grouped into kernels: epilogues with their reduction or
 * contraction, reductions over the same rows one after the other, independent values over the same space together.
 *
 * Guarantees: each tensor is stored once (in a loop: once an iteration), before anything reads it; a kernel binds at most
 * `maxBindings` tensors; within a kernel nothing is read that the same kernel stores; floats are not reassociated but in
 * sums that are split. Empty tensors are never stored or read.
 */
import type { Expr, Tensor } from "../lower/expr.ts";
import { ExprPool } from "../lower/expr-pool.ts";
import type { Graph } from "../lower/graph.ts";
import type { LoopUnit, Unit } from "./definition.ts";
import { emitKernel } from "./emit.ts";
import { Group } from "./group.ts";
import { groupUnits } from "./grouping.ts";
import type { FusedProgram, FusedStep } from "./kernel.ts";
import { materialize } from "./materialize.ts";
import { normalizeGraph } from "./normalize.ts";
import { splitReductions } from "./split-reduction.ts";

export interface FuseOptions {
  /** Tensors that one kernel may read and write: `limits.maxStorageBuffersPerShaderStage`. */
  readonly maxBindings: number;
}

export function fuse(graph: Graph, { maxBindings }: FuseOptions): FusedProgram {
  const pool = new ExprPool();
  const normal = normalizeGraph(graph, pool);
  const split = splitReductions(normal.units, pool);
  const { units, reasons } = materialize(split, normal.outputs, maxBindings, pool);

  const fuseLevel = (level: readonly Unit[], wanted: ReadonlySet<number>, loop: LoopUnit | null): FusedStep[] => {
    const stacked = stackedStores(loop);
    const forced = new Set([...wanted, ...initsOf(level)]);
    const { scheduled, isStored } = groupUnits(
      level,
      { maxBindings, forced, stackedStores: (tensor) => stacked.get(tensor)?.length ?? 0, reasons },
      pool,
    );
    return scheduled.map((item): FusedStep => {
      if (item instanceof Group) {
        const kernel = emitKernel(item, {
          isStored: (tensor) => isStored(tensor, item),
          stacked: (tensor) => stacked.get(tensor.id) ?? [],
        });
        return { kind: "kernel", kernel };
      }
      const { counter, body, carries } = item.unit;
      const results = new Set(carries.map((carry) => carry.result.id));
      return { kind: "loop", counter, body: fuseLevel(body, results, item.unit), carries };
    });
  };

  const wanted = new Set(normal.outputs.map((tensor) => tensor.id));
  return { inputs: normal.inputs, outputs: normal.outputs, steps: fuseLevel(units, wanted, null) };
}

function stackedStores(loop: LoopUnit | null): Map<number, { output: Tensor; index: Expr }[]> {
  const stores = new Map<number, { output: Tensor; index: Expr }[]>();
  for (const { element, index, output } of loop?.stacked ?? []) {
    stores.set(element.id, [...(stores.get(element.id) ?? []), { output, index }]);
  }
  return stores;
}

function initsOf(units: readonly Unit[]): number[] {
  return units.flatMap((unit) => (unit.kind === "loop" ? unit.carries.map((carry) => carry.init.id) : []));
}
