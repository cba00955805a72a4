/**
 * Any kernel: its rows over threads or workgroups, its stages in order within a row. Elementwise kernels are rows without
 * loops; a workgroup that shares a row combines what its threads have reduced in workgroup memory.
 */
import { invariant } from "../diagnostics/index.ts";
import type { Kernel, Reduction, ReduceStage, Store, StoreStage } from "../fuse/kernel.ts";
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import { forEachExpr } from "./bindings.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";
import {
  chooseVectorBindings,
  gridOf,
  groupIndex,
  type KernelBody,
  writeIndex,
  type WriterContext,
} from "./kernel-body.ts";
import { dependsOn, flatPosition } from "./positions.ts";
import type { RowSchedule } from "./schedule.ts";
import { axisOf, linearSpace } from "./space.ts";
import { bare, ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";
import type { Lanes } from "./wgsl-math.ts";
import { accumulatorType, betterText, combineText, neutralText } from "./wgsl-operators.ts";

/** A stage whose axes are replaced by the variables of the loops that the text has. */
interface PlannedStage {
  readonly stage: ReduceStage | StoreStage;
  readonly loops: readonly Axis[];
  readonly lane: Axis | null;
  readonly lanes: Lanes;
  readonly bodies: readonly Expr[];
  readonly stores: readonly Store[];
  /** The row-major position within the stage's axes. */
  readonly position: Expr;
}

export function writeRowKernel(kernel: Kernel, schedule: RowSchedule, context: WriterContext): KernelBody {
  const { canonical, profile } = context;
  const rows = linearSpace(kernel.rows, schedule.rowLanes, canonical);
  const stages = kernel.stages.map((stage, i) =>
    planStage(stage, schedule.stageLanes[i] ?? 1, {
      canonical,
      rows: rows.substitution,
      shared: schedule.threadsPerRow > 1,
    }),
  );
  const laneUses = stages.flatMap(({ lane, bodies, stores }) =>
    [lane, rows.lane].flatMap((axis) => (axis ? [{ lane: axis, roots: bodies, stores }] : [])),
  );
  chooseVectorBindings(laneUses, context);
  const writer = new ExprWriter(context);
  for (const { bodies, stores, position } of stages) {
    for (const root of [...bodies, ...stores.map((store) => store.value), position]) writer.countUses(root);
    for (const { tensor, index } of stores) writer.countUses(flatPosition(tensor, index, canonical));
  }
  const rowWriter = new RowWriter(writer, context, schedule);
  const writeRow = (): void => {
    writer.bindAxis(rows.step, "row");
    if (rows.lane) writer.bindAxis(rows.lane, "vec4<i32>(0, 1, 2, 3)", 4);
    for (const stage of stages) rowWriter.stage(stage);
  };
  const { workgroupSize, rowsInTurn } = schedule;
  const shared = schedule.threadsPerRow > 1;
  const rowsPerGroup = shared ? 1 : workgroupSize * rowsInTurn;
  const count = rows.step.size;
  const workgroups = gridOf(Math.ceil(count / rowsPerGroup), profile);
  const group = groupIndex(workgroups);
  const covered = workgroups[0] * workgroups[1] * workgroups[2] * rowsPerGroup;
  const index = shared ? group : `${group} * ${rowsPerGroup}u + local`;
  if (rowsInTurn === 1) {
    writeIndex(writer, "row", index, count, covered);
    writeRow();
  } else {
    writer.statement(`let first = i32(${index});`);
    const end = covered === count ? `first + ${rowsPerGroup}` : `min(first + ${rowsPerGroup}, ${count})`;
    writer.block(`for (var row = first; row < ${end}; row += ${workgroupSize}) {`, writeRow);
  }
  return {
    declarations: rowWriter.declarations,
    main: writer.root.render("  "),
    workgroupSize: schedule.workgroupSize,
    workgroups,
  };
}

interface PlanContext {
  readonly canonical: Canonicalizer;
  readonly rows: ReadonlyMap<Axis, Expr>;
  readonly shared: boolean;
}

function planStage(stage: ReduceStage | StoreStage, lanes: Lanes, context: PlanContext): PlannedStage {
  const linear = rewriteStage(stage, lanes, linearLoops(stage.axes, lanes, context.canonical), context);
  const { axes } = stage;
  const last = axes[axes.length - 1];
  const canNest = axes.length > 1 && !context.shared && last !== undefined && last.size % lanes === 0;
  if (!canNest || !dividesBy(linear)) return linear;
  return rewriteStage(stage, lanes, nestedLoops(axes, last, lanes, context.canonical), context);
}

interface Loops {
  readonly loops: readonly Axis[];
  readonly lane: Axis | null;
  readonly substitution: ReadonlyMap<Axis, Expr>;
}

function linearLoops(axes: readonly Axis[], lanes: Lanes, canonical: Canonicalizer): Loops {
  if (axes.length === 0) return { loops: [], lane: null, substitution: new Map() };
  const space = linearSpace(axes, lanes, canonical);
  return { loops: [space.step], lane: space.lane, substitution: space.substitution };
}

function nestedLoops(axes: readonly Axis[], last: Axis, lanes: Lanes, canonical: Canonicalizer): Loops {
  const inner = linearSpace([last], lanes, canonical);
  const outer = axes.slice(0, -1).map((axis) => [axis, newAxis(axis.size)] as const);
  const substitution = new Map(outer.map(([axis, own]) => [axis, axisOf(own, canonical)]));
  return {
    loops: [...outer.map(([, own]) => own), inner.step],
    lane: inner.lane,
    substitution: new Map([...substitution, ...inner.substitution]),
  };
}

function rewriteStage(stage: PlannedStage["stage"], lanes: Lanes, loops: Loops, context: PlanContext): PlannedStage {
  const { canonical, rows } = context;
  const rewrite = canonical.rewriter(new Map([...rows, ...loops.substitution]));
  let position = canonical.intern(constExpr(0));
  for (const axis of stage.axes) {
    const scaled = canonical.binary("mul", position, canonical.intern(constExpr(axis.size)));
    position = canonical.binary("add", scaled, loops.substitution.get(axis) ?? canonical.intern(constExpr(0)));
  }
  return {
    stage,
    loops: loops.loops,
    lane: loops.lane,
    lanes,
    bodies: stage.kind === "reduce" ? stage.reductions.map(({ body }) => rewrite(body)) : [],
    stores:
      stage.kind === "store"
        ? stage.stores.map((s) => ({ tensor: s.tensor, index: s.index.map(rewrite), value: rewrite(s.value) }))
        : [],
    position,
  };
}

/** Whether the linear loop would divide in every iteration. */
function dividesBy({ loops, bodies, stores }: PlannedStage): boolean {
  let divides = false;
  forEachExpr([...bodies, ...stores.flatMap((store) => [...store.index, store.value])], (e) => {
    if (e.op !== "binary" || (e.fn !== "div" && e.fn !== "rem") || e.dtype !== "i32") return;
    if (dependsOn(e, (axis) => loops.includes(axis))) divides = true;
  });
  return divides;
}

class RowWriter {
  readonly declarations: string[] = [];
  private readonly writer: ExprWriter;
  private readonly context: WriterContext;
  private readonly schedule: RowSchedule;
  private loopCount = 0;

  constructor(writer: ExprWriter, context: WriterContext, schedule: RowSchedule) {
    this.writer = writer;
    this.context = context;
    this.schedule = schedule;
  }

  private get shared(): boolean {
    return this.schedule.threadsPerRow > 1;
  }

  stage(planned: PlannedStage): void {
    if (planned.stage.kind === "reduce") this.reduce(planned, planned.stage);
    else this.storeAll(planned);
  }

  private storeAll(planned: PlannedStage): void {
    const body = (): void => {
      // All values are there before the first store: it may be over what the next one reads.
      const values = planned.stores.map((store) =>
        planned.stores.length > 1 ? this.writer.emitNamed(store.value) : this.writer.emit(store.value),
      );
      planned.stores.forEach((store, i) => {
        const value = values[i];
        invariant(value, "a store has a value");
        this.writer.store(store.tensor, store.index, value);
      });
    };
    if (planned.stage.kind === "store" && planned.stage.once) {
      this.writer.block(this.shared ? "if (row == 0 && local == 0u) {" : "if (row == 0) {", body, {
        conditional: true,
      });
    } else if (planned.loops.length > 0) this.loop(planned, body);
    else if (this.shared) this.writer.block("if (local == 0u) {", body, { conditional: true });
    else body();
  }

  /** Nested loops over the stage; the threads of a shared row take turns. */
  private loop(planned: PlannedStage, body: () => void): void {
    const write = (depth: number): void => {
      const axis = planned.loops[depth];
      if (!axis) {
        if (planned.lane) this.writer.bindAxis(planned.lane, "vec4<i32>(0, 1, 2, 3)", 4);
        body();
        return;
      }
      const name = `k${this.loopCount++}`;
      const start = this.shared ? "i32(local)" : "0";
      const step = this.shared ? `${name} += ${this.schedule.threadsPerRow}` : `${name}++`;
      this.writer.block(`for (var ${name} = ${start}; ${name} < ${axis.size}; ${step}) {`, () => {
        this.writer.bindAxis(axis, name);
        write(depth + 1);
      });
    };
    write(0);
  }

  private reduce(planned: PlannedStage, stage: ReduceStage): void {
    const accumulators = stage.reductions.map((reduction) => this.declare(reduction, planned));
    const body = (): void => {
      stage.reductions.forEach((reduction, i) => {
        const accumulator = accumulators[i];
        const value = planned.bodies[i];
        invariant(accumulator && value, "a reduction has a body");
        this.accumulate(reduction, accumulator, value, planned);
      });
    };
    if (planned.loops.length > 0) this.loop(planned, body);
    else body();
    for (const accumulator of accumulators) this.finish(accumulator, planned);
  }

  private declare(reduction: Reduction, planned: PlannedStage): Accumulator {
    const { body, reducer, id } = reduction;
    const lanes: Lanes = planned.lanes === 4 || this.schedule.rowLanes === 4 ? 4 : 1;
    const name = this.writer.fresh("r");
    const neutral = neutralText(reducer, body.dtype, this.context.math);
    const type = registerType(accumulatorType(body.dtype), lanes);
    this.writer.statement(`var ${name}: ${type} = ${lanes === 4 ? `${type}(${neutral})` : neutral};`);
    if (reducer === "argmax" || reducer === "argmin") {
      this.writer.statement(`var ${name}_at: i32 = ${this.shared ? "i32(local)" : "0"};`);
    }
    return { name, id, reducer, dtype: body.dtype, lanes };
  }

  private accumulate(reduction: Reduction, accumulator: Accumulator, body: Expr, planned: PlannedStage): void {
    const { name, reducer, lanes } = accumulator;
    const { math } = this.context;
    if (reducer === "argmax" || reducer === "argmin") {
      const value = this.writer.emitNamed(body).text;
      const position = this.writer.emit(planned.position).text;
      this.writer.block(`if (${bare(betterText(reducer, body.dtype, value, name, math))}) {`, () => {
        this.writer.statement(`${name} = ${value};`);
        this.writer.statement(`${name}_at = ${position};`);
      });
      return;
    }
    const value = this.writer.emitWide(body, lanes);
    const combined = combineText(reducer, reduction.body.dtype, name, value, { lanes, math });
    this.writer.statement(`${name} = ${bare(combined)};`);
  }

  private finish(accumulator: Accumulator, planned: PlannedStage): void {
    const { name, reducer, dtype, id } = accumulator;
    const selects = reducer === "argmax" || reducer === "argmin";
    let { lanes } = accumulator;
    let text = name;
    if (planned.lanes === 4 && !selects) {
      const { math } = this.context;
      const join = (x: string, y: string): string => combineText(reducer, dtype, x, y, { lanes: 1, math });
      const sum = this.writer.fresh();
      const halves = [join(`${name}.x`, `${name}.y`), join(`${name}.z`, `${name}.w`)] as const;
      this.writer.statement(`let ${sum} = ${bare(join(...halves))};`);
      text = sum;
      lanes = 1;
    }
    if (this.shared) text = this.combineThreads(accumulator, text);
    else if (selects) text = `${name}_at`;
    this.writer.bindReduction(id, text, lanes);
  }

  /** A tree over the threads of a workgroup; every thread gets the result. */
  private combineThreads({ name, reducer, dtype }: Accumulator, own: string): string {
    const { math } = this.context;
    const size = this.schedule.threadsPerRow;
    const cells = `${this.context.prefix ?? ""}shared_${name}`;
    const positions = `${cells}_at`;
    const selects = reducer === "argmax" || reducer === "argmin";
    this.declarations.push(`var<workgroup> ${cells}: array<${registerType(accumulatorType(dtype), 1)}, ${size}>;`);
    if (selects) this.declarations.push(`var<workgroup> ${positions}: array<i32, ${size}>;`);
    const { writer } = this;
    writer.statement(`${cells}[local] = ${own};`);
    if (selects) writer.statement(`${positions}[local] = ${name}_at;`);
    writer.statement("workgroupBarrier();");
    writer.block(`for (var half = ${size / 2}u; half > 0u; half = half >> 1u) {`, () => {
      writer.block("if (local < half) {", () => {
        writer.statement(`let mine = ${cells}[local];`);
        writer.statement(`let other = ${cells}[local + half];`);
        if (selects) {
          writer.statement(`let earlier = ${positions}[local + half] < ${positions}[local];`);
          const wins = betterText(reducer, dtype, "other", "mine", math);
          const loses = betterText(reducer, dtype, "mine", "other", math);
          writer.block(`if (${wins} || (earlier && !${loses})) {`, () => {
            writer.statement(`${cells}[local] = other;`);
            writer.statement(`${positions}[local] = ${positions}[local + half];`);
          });
        } else {
          writer.statement(`${cells}[local] = ${combineText(reducer, dtype, "mine", "other", { lanes: 1, math })};`);
        }
      });
      writer.statement("workgroupBarrier();");
    });
    const result = writer.fresh();
    writer.statement(`let ${result} = ${selects ? positions : cells}[0];`);
    return result;
  }
}

interface Accumulator {
  readonly name: string;
  readonly id: number;
  readonly reducer: Reduction["reducer"];
  readonly dtype: Reduction["body"]["dtype"];
  readonly lanes: Lanes;
}
