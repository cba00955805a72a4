/** Groups → kernels: reductions in stages, siblings over the same axes together, then what is stored. */
import { invariant } from "../diagnostics/index.ts";
import type { Axis, Expr, Tensor } from "../lower/expr.ts";
import { nodesOf } from "../lower/expr-pool.ts";
import { nameOf } from "./grouping.ts";
import type { Group } from "./group.ts";
import type { Kernel, ReduceStage, Reduction, Store, StoreStage } from "./kernel.ts";

export interface EmitOptions {
  /** Whether a member's tensor itself is wanted in memory. */
  readonly isStored: (tensor: Tensor) => boolean;
  /** Rows of stacked outputs that a member's value is stored to. */
  readonly stacked: (tensor: Tensor) => readonly { readonly output: Tensor; readonly index: Expr }[];
}

export function emitKernel(group: Group, { isStored, stacked }: EmitOptions): Kernel {
  const loops: { stage: number; axes: readonly Axis[]; reductions: Reduction[] }[] = [];
  const stores: { axes: readonly Axis[]; once: boolean; stores: Store[] }[] = [];
  for (const { def, position, inner, body, value, stage, once } of group.members) {
    if (def.kind === "reduce") {
      let loop = loops.find((other) => other.stage === stage && sameAxes(other.axes, inner));
      if (!loop) loops.push((loop = { stage, axes: inner, reductions: [] }));
      loop.reductions.push({ id: def.tensor.id, reducer: def.reducer, body });
    }
    const targets: Store[] = stacked(def.tensor).map(({ output, index }) => ({
      tensor: output,
      index: [index, ...position],
      value,
    }));
    if (isStored(def.tensor)) targets.push({ tensor: def.tensor, index: position, value });
    if (targets.length === 0) continue;
    const axes = def.kind === "reduce" ? [] : inner;
    let place = stores.find((other) => other.once === once && sameAxes(other.axes, axes));
    if (!place) stores.push((place = { axes, once, stores: [] }));
    place.stores.push(...targets);
  }
  invariant(stores.length > 0, "a kernel stores something");
  loops.sort((a, b) => a.stage - b.stage);
  stores.sort((a, b) => a.axes.length - b.axes.length);
  const stages: (ReduceStage | StoreStage)[] = [
    ...loops.map(({ axes, reductions }): ReduceStage => {
      const inner = group.inner.filter(({ id }) => reductions.some(({ body }) => reads(body, id)));
      return { kind: "reduce", axes, ...(inner.length > 0 ? { inner } : {}), reductions };
    }),
    ...stores.map((place): StoreStage => ({ kind: "store", ...place })),
  ];
  return {
    name: nameOf(group),
    rows: group.rows,
    ...(group.columns.length > 0 ? { columns: group.columns } : {}),
    stages,
    reasons: [...new Set(group.reasons)],
  };
}

/** One dispatch of several kernels. */
export function sideBySide(kernel: Kernel, beside: readonly Kernel[]): Kernel {
  const names = [kernel, ...beside].map(({ name }) => name);
  const name =
    names.length > 3 ? `${names.slice(0, 2).join("_and_")}_and_${names.length - 2}_more` : names.join("_and_");
  const reason = `runs beside ${beside.length} more: they need nothing of each other, and one dispatch is cheaper and fills a device better`;
  return { ...kernel, name, reasons: [...kernel.reasons, reason], beside };
}

function reads(body: Expr, reduction: number): boolean {
  return nodesOf([body]).some((node) => node.op === "reduced" && node.reduction === reduction);
}

function sameAxes(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((axis, i) => axis.id === b[i]?.id);
}
