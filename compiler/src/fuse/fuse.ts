/**
 * Loop IR → fused kernels. Pointwise values are computed where they are read unless memory is cheaper, long reductions
 * are split so that they run in parallel, and what is left is grouped into kernels: epilogues with their reduction or
 * contraction, reductions over the same rows one after the other, independent values over the same space together.
 *
 * Guarantees: each tensor is stored once (in a loop: once an iteration), before anything reads it; a kernel binds at most
 * `maxBindings` tensors; within a kernel nothing is read that the same kernel stores; floats are not reassociated but in
 * sums that are split. Empty tensors are never stored or read.
 */
import type { AdapterProfile } from "../executable.ts";
import { invariant } from "../diagnostics/index.ts";
import { type Shape, sizeOf, stridesOf } from "../ir/shape.ts";
import { axisExpr, binaryExpr, constExpr, type Expr, type Tensor } from "../lower/expr.ts";
import { ExprPool } from "../lower/expr-pool.ts";
import type { Graph } from "../lower/graph.ts";
import { Bundle } from "./bundle.ts";
import { definedBy, type LoopUnit, readBy, type Unit } from "./definition.ts";
import { emitKernel, sideBySide } from "./emit.ts";
import { groupUnits } from "./grouping.ts";
import type { Arena, FusedProgram, FusedStep } from "./kernel.ts";
import { materialize } from "./materialize.ts";
import { type NormalGraph, normalizeGraph } from "./normalize.ts";
import type { Role } from "./pack.ts";
import { splitReductions } from "./split-reduction.ts";

export interface FuseOptions {
  /** Tensors that one kernel may read and write: `limits.maxStorageBuffersPerShaderStage`. */
  readonly maxBindings: number;
  /** What decides whether scores are kept or computed where they are read; without it they are kept. */
  readonly adapter?: Pick<AdapterProfile, "class" | "limits">;
}

export function fuse(graph: Graph, options: FuseOptions): FusedProgram {
  const pool = new ExprPool();
  return fuseUnits(unitsOf(graph, pool), options, pool);
}

/** What there is to compute, before anything is decided. */
export function unitsOf(graph: Graph, pool: ExprPool): NormalGraph {
  const normal = normalizeGraph(graph, pool);
  return { ...normal, units: splitReductions(normal.units, pool) };
}

export function fuseUnits(normal: NormalGraph, { maxBindings, adapter }: FuseOptions, pool: ExprPool): FusedProgram {
  const { units, reasons } = materialize(normal.units, normal.outputs, maxBindings, pool);

  const fuseLevel = (level: readonly Unit[], wanted: ReadonlySet<number>, loop: LoopUnit | null): FusedStep[] => {
    const stacked = stackedStores(loop);
    const forced = new Set([...wanted, ...initsOf(level)]);
    const {
      scheduled,
      isStored,
      arenas: found,
    } = groupUnits(
      level,
      {
        maxBindings,
        adapter,
        forced,
        stackedStores: (tensor) => stacked.get(tensor)?.length ?? 0,
        reasons,
        carries: loop?.carries ?? [],
        roleOf: loop ? () => null : roleOf,
      },
      pool,
    );
    arenas.push(...found);
    return scheduled.map((item): FusedStep => {
      if (item instanceof Bundle) {
        const [kernel, ...beside] = item.groups.map((group) =>
          emitKernel(group, {
            isStored: (tensor) => isStored(tensor, group),
            stacked: (tensor) => stacked.get(tensor.id) ?? [],
          }),
        );
        invariant(kernel, "a dispatch has a kernel");
        return { kind: "kernel", kernel: beside.length === 0 ? kernel : sideBySide(kernel, beside) };
      }
      const { counter, body, carries, stacked: entries } = item.unit;
      const results = new Set(carries.map((carry) => carry.result.id));
      const steps = fuseLevel(body, results, item.unit);
      return { kind: "loop", counter, body: steps, carries, stacked: entries.map((entry) => entry.output) };
    });
  };

  const { computed, before, after } = withoutAliases(units, normal.inputs, pool);
  const arenas: Arena[] = [];
  const given = new Set(normal.inputs.map((tensor) => tensor.id));
  const wanted = new Set(normal.outputs.map((tensor) => tensor.id));
  const apart = new Set([
    ...[...before, ...after].flatMap((step) => (step.kind === "copy" ? [step.from.id, step.to.id] : [])),
    ...computed.flatMap((unit) => (unit.kind === "loop" ? definedBy(unit).map(({ id }) => id) : [])),
    ...initsOf(computed),
    ...[...given].filter((id) => wanted.has(id)),
  ]);
  const roleOf = ({ id }: Tensor): Role | null => {
    if (apart.has(id)) return null;
    if (given.has(id)) return "input";
    return wanted.has(id) ? "output" : "temp";
  };
  const steps = [...before, ...fuseLevel(computed, wanted, null), ...after];
  return { inputs: normal.inputs, outputs: normal.outputs, steps, arenas };
}

/**
 * Takes out what is another tensor's bytes under a new shape: of an input, before everything; of a loop's value, after
 * everything, if no kernel and no loop reads it by its new shape.
 */
function withoutAliases(units: readonly Unit[], inputs: readonly Tensor[], pool: ExprPool): Aliased {
  const given = new Set(inputs.map((tensor) => tensor.id));
  const fromLoops = new Set(units.flatMap((unit) => (unit.kind === "loop" ? definedBy(unit) : [])).map(({ id }) => id));
  const read = new Set(units.flatMap(readBy));
  const before: FusedStep[] = [];
  const after: FusedStep[] = [];
  const computed = units.filter((unit) => {
    if (unit.kind !== "map" || unit.body.op !== "load") return true;
    const { tensor: to } = unit;
    const { tensor: from, index } = unit.body;
    const same = offsetIn(from.shape, index, pool) === offsetIn(to.shape, unit.axes.map(axisExpr), pool);
    if (!same || sizeOf(from.shape) !== sizeOf(to.shape)) return true;
    if (given.has(from.id)) before.push({ kind: "copy", from, to });
    else if (fromLoops.has(from.id) && !read.has(to.id)) after.push({ kind: "copy", from, to });
    else return true;
    return false;
  });
  return { computed, before, after };
}

interface Aliased {
  readonly computed: readonly Unit[];
  readonly before: readonly FusedStep[];
  readonly after: readonly FusedStep[];
}

function offsetIn(shape: Shape, index: readonly Expr[], pool: ExprPool): Expr {
  const strides = stridesOf(shape);
  const terms = index.map((at, d) => binaryExpr("mul", at, constExpr(strides[d] ?? 1)));
  return pool.intern(terms.reduce((sum, term) => binaryExpr("add", sum, term), constExpr(0)));
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
