/** What the writers of kernels have in common: the pieces of a kernel's text, and how threads find their place. */
import type { AdapterProfile } from "../executable.ts";
import type { Store } from "../fuse/kernel.ts";
import type { Axis, Expr } from "../lower/expr.ts";
import { type Binding, comesInFours } from "./bindings.ts";
import { laneAccess } from "./lanes.ts";
import type { ExprWriter, KernelContext } from "./wgsl-expr.ts";

export interface KernelBody {
  /** Workgroup variables and functions that belong to this kernel alone. */
  readonly declarations: readonly string[];
  readonly main: string;
  readonly workgroupSize: number;
  readonly workgroups: readonly [number, number, number];
}

/** The writer of a kernel decides which bindings are arrays of vec4, before it writes any expression. */
export type WriterContext = KernelContext & { readonly vectorBindings: Set<Binding> };

/** Expressions and stores in which `lane` runs over four neighbours. */
export interface LaneUse {
  readonly lane: Axis;
  readonly roots: readonly Expr[];
  readonly stores: readonly Store[];
}

export function chooseVectorBindings(uses: readonly LaneUse[], context: WriterContext): void {
  for (const { lane, roots, stores } of uses) {
    const { tensors } = laneAccess(roots, stores, lane, context);
    for (const binding of context.bindings) {
      if (comesInFours(binding) && binding.tensors.some((tensor) => tensors.has(tensor))) {
        context.vectorBindings.add(binding);
      }
    }
  }
}

/** A grid of at least `count` workgroups within the adapter's limit per dimension. */
export function gridOf(count: number, profile: AdapterProfile): [number, number, number] {
  const most = profile.limits.maxComputeWorkgroupsPerDimension;
  const x = Math.min(count, most);
  const y = Math.min(Math.ceil(count / x), most);
  return [x, y, Math.ceil(count / (x * y))];
}

/** The linear number of the workgroup, as u32 text. */
export function groupIndex([, y, z]: readonly [number, number, number]): string {
  if (y === 1 && z === 1) return "group.x";
  return z === 1 ? "(group.x + groups.x * group.y)" : "(group.x + groups.x * (group.y + groups.y * group.z))";
}

/** Leaves the surplus of the last workgroup, and of a grid of several dimensions. */
export function writeIndex(writer: ExprWriter, name: string, index: string, count: number, covered: number): void {
  if (covered === count) {
    writer.statement(`let ${name} = i32(${index});`);
    return;
  }
  writer.statement(`let position = ${index};`);
  writer.statement(`if (position >= ${count}u) { return; }`);
  writer.statement(`let ${name} = i32(position);`);
}
