/**
 * Any kernel: its rows over threads, or several threads a row, its stages in order within a row. Elementwise kernels are
 * rows without loops.
 */
import { invariant } from "../diagnostics/index.ts";
import type { AdapterProfile } from "../executable.ts";
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
import { ThreadReduction } from "./thread-reduction.ts";
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
  const place = writePlace(writer, rows.step.size, schedule, profile);
  const rowWriter = new RowWriter(writer, context, schedule, place);
  place.forEachRow(() => {
    writer.bindAxis(rows.step, "row");
    if (rows.lane) writer.bindAxis(rows.lane, "vec4<i32>(0, 1, 2, 3)", 4);
    for (const stage of stages) rowWriter.stage(stage);
  });
  return {
    declarations: rowWriter.declarations,
    main: writer.root.render("  "),
    workgroupSize: schedule.workgroupSize,
    workgroups: place.workgroups,
  };
}

/** Where a thread finds its rows. */
interface Place {
  readonly workgroups: readonly [number, number, number];
  /** Which of its row's threads it is, as u32 text. */
  readonly member: string;
  /** Some threads only accompany the others: they may not store. */
  readonly surplus: boolean;
  /** Writes `body` once, where `row` is known. */
  readonly forEachRow: (body: () => void) => void;
}

function writePlace(writer: ExprWriter, count: number, schedule: RowSchedule, profile: AdapterProfile): Place {
  const { workgroupSize, threadsPerRow, rowsInTurn } = schedule;
  const rowsPerGroup = (workgroupSize / threadsPerRow) * rowsInTurn;
  const workgroups = gridOf(Math.ceil(count / rowsPerGroup), profile);
  const group = groupIndex(workgroups);
  const covered = workgroups[0] * workgroups[1] * workgroups[2] * rowsPerGroup;
  const whole = threadsPerRow === workgroupSize;
  if (rowsInTurn > 1) {
    writer.statement(`let first = i32(${group} * ${rowsPerGroup}u + local);`);
    const end = covered === count ? `first + ${rowsPerGroup}` : `min(first + ${rowsPerGroup}, ${count})`;
    const header = `for (var row = first; row < ${end}; row += ${workgroupSize}) {`;
    return { workgroups, member: "0u", surplus: false, forEachRow: (body) => writer.block(header, body) };
  }
  const forEachRow = (body: () => void): void => body();
  if (threadsPerRow === 1 || whole) {
    writeIndex(writer, "row", whole ? group : `${group} * ${rowsPerGroup}u + local`, count, covered);
    return { workgroups, member: whole ? "local" : "0u", surplus: false, forEachRow };
  }
  // A row's threads exchange values, which all threads of a workgroup must do: none of them may leave before.
  const surplus = covered !== count;
  const position = `${group} * ${rowsPerGroup}u + local / ${threadsPerRow}u`;
  writer.statement(`let member = local % ${threadsPerRow}u;`);
  if (surplus) writer.statement(`let inside = ${position} < ${count}u;`);
  writer.statement(`let row = i32(${surplus ? `min(${position}, ${count - 1}u)` : position});`);
  return { workgroups, member: "member", surplus, forEachRow };
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
  private readonly writer: ExprWriter;
  private readonly context: WriterContext;
  private readonly schedule: RowSchedule;
  private readonly place: Place;
  private readonly threads: ThreadReduction;
  private loopCount = 0;

  constructor(writer: ExprWriter, context: WriterContext, schedule: RowSchedule, place: Place) {
    this.writer = writer;
    this.context = context;
    this.schedule = schedule;
    this.place = place;
    const { threadsPerRow, workgroupSize } = schedule;
    const subgroupSize = schedule.bySubgroups ? context.profile.subgroupSize : 1;
    this.threads = new ThreadReduction(writer, { threadsPerRow, workgroupSize, member: place.member, subgroupSize });
  }

  get declarations(): readonly string[] {
    return this.threads.declarations;
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
    const once = planned.stage.kind === "store" && planned.stage.once;
    const loops = planned.loops.length > 0 && !once;
    const conditions = [
      ...(once ? ["row == 0"] : []),
      ...(this.shared && !loops ? [`${this.place.member} == 0u`] : []),
      ...(this.place.surplus ? ["inside"] : []),
    ];
    const write = loops ? (): void => this.loop(planned, body) : body;
    if (conditions.length === 0) write();
    else this.writer.block(`if (${conditions.join(" && ")}) {`, write, { conditional: true });
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
      const start = this.shared ? `i32(${this.place.member})` : "0";
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
      this.writer.statement(`var ${name}_at: i32 = ${this.shared ? `i32(${this.place.member})` : "0"};`);
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
    if (this.shared) {
      const value = selects ? name : this.writer.fresh("r");
      if (!selects) this.writer.statement(`var ${value} = ${text};`);
      this.threads.join({ value, position: selects ? `${name}_at` : null, reducer, dtype });
      text = value;
    }
    this.writer.bindReduction(id, selects ? `${name}_at` : text, lanes);
  }
}

interface Accumulator {
  readonly name: string;
  readonly id: number;
  readonly reducer: Reduction["reducer"];
  readonly dtype: Reduction["body"]["dtype"];
  readonly lanes: Lanes;
}
