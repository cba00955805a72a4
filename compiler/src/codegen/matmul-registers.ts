/**
 * Matrix products without workgroup memory: each thread sums a tile of results in registers. Alone it loads what it needs
 * of both factors. The threads of a subgroup can also share the rows of a tile: their columns lie beside each other, each
 * thread loads some of the rows, and broadcasts them.
 */
import type { Kernel } from "../fuse/kernel.ts";
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import type { Contraction } from "./contraction.ts";
import {
  chooseVectorBindings,
  gridOf,
  groupIndex,
  type KernelBody,
  writeIndex,
  type WriterContext,
} from "./kernel-body.ts";
import { planEpilogue, writeEpilogue, writeTileStores } from "./matmul-epilogue.ts";
import { orderFactors, type RegisterSchedule } from "./matmul-schedule.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import { ExprWriter, type Value } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";

const laneNames = ["x", "y", "z", "w"] as const;

export function writeRegisterMatmul(
  kernel: Kernel,
  contraction: Contraction,
  schedule: RegisterSchedule,
  context: WriterContext,
): KernelBody {
  const { canonical } = context;
  const { mAxes, nAxes } = orderFactors(contraction, schedule.swapped);
  const { rowTile, columnTile, columnLanes, depth, threadsPerTile } = schedule;
  const constant = (value: number): Expr => canonical.intern(constExpr(value));
  const [m, k] = [sizeOfAxes(mAxes), sizeOfAxes(contraction.inner)];
  const columns = sizeOfAxes(nAxes) / columnLanes;
  const tiles = [
    newAxis(sizeOfAxes(contraction.batch)),
    newAxis(Math.ceil(m / rowTile)),
    newAxis(Math.ceil(columns / columnTile / threadsPerTile)),
  ] as const;
  const [step, member] = [newAxis(sizeOfAxes(tiles)), newAxis(threadsPerTile)];
  const places = unravel(tiles, axisOf(step, canonical), canonical);
  const [batch, rowBlock, columnBlock] = tiles.map((axis) => places.get(axis) ?? constant(0)) as [Expr, Expr, Expr];
  const at = (block: Expr, tile: number, offset: Expr): Expr =>
    canonical.binary("add", canonical.binary("mul", block, constant(tile)), offset);
  const columnAt = (i: Expr): Expr => at(at(columnBlock, columnTile, i), threadsPerTile, axisOf(member, canonical));
  const operands = new Operands(contraction, schedule, context, { batch, rowBlock, columnAt, member, columns });
  const cells = Array.from({ length: rowTile * columnTile }, (_, i) => {
    const [row, column] = [Math.floor(i / columnTile), i % columnTile];
    return { row, column, name: `acc${row}_${column}` };
  });

  const epilogue = planEpilogue(kernel, contraction, { mAxes, nAxes, lanes: columnLanes }, canonical);
  chooseVectorBindings([...operands.laneUses(), { lane: epilogue.lane, roots: [], stores: epilogue.stores }], context);
  const writer = new ExprWriter(context);
  const { workgroups, guard } = writePlace(writer, schedule, { step, member });
  operands.bindLanes(writer);
  const type = registerType("f32", columnLanes);
  for (const { name } of cells) writer.statement(`var ${name} = ${type}(0.0);`);
  writer.block(`for (var k = 0; k < ${k / depth}; k++) {`, () => {
    operands.bindStep(writer, "k");
    const firsts = operands.firstValues(writer);
    for (let j = 0; j < depth; j++) {
      const left = firsts(j);
      const right = operands.secondValues(writer, j);
      for (const { row, column, name } of cells) writer.statement(`${name} += ${left(row)} * ${right[column] ?? ""};`);
    }
  });
  const batchText = writer.emit(batch).text;
  const cell = newAxis(cells.length);
  const within = unravel([newAxis(rowTile), newAxis(columnTile)], axisOf(cell, canonical), canonical);
  const [rowWithin, columnWithin] = [...within.values()].reverse() as [Expr, Expr];
  const sums = { type, values: cells.map(({ name }) => name) };
  writeTileStores(writer, { cell, results: [sums] }, ([sum]) => {
    const r = writer.emitNamed(at(rowBlock, rowTile, rowWithin)).text;
    const c = writer.emitNamed(columnAt(columnWithin)).text;
    const call = `${context.prefix ?? ""}store_result(${batchText}, ${r}, ${c}, ${sum});`;
    const rowGuard = m % rowTile ? `${r} < ${m}` : "";
    const columnGuard = columns % (columnTile * threadsPerTile) ? `${c} < ${columns}` : "";
    const guards = [guard, rowGuard, columnGuard].filter(Boolean);
    writer.statement(guards.length > 0 ? `if (${guards.join(" && ")}) { ${call} }` : call);
  });
  return {
    declarations: [writeEpilogue(epilogue, context)],
    main: writer.root.render("  "),
    workgroupSize: schedule.workgroupSize,
    workgroups,
  };
}

interface Place {
  readonly step: Axis;
  readonly member: Axis;
}

/**
 * Which tile the thread is at. Threads of a subgroup must not leave before the others broadcast: those of the surplus
 * compute the last tile once more, and `guard` keeps them from storing it.
 */
function writePlace(
  writer: ExprWriter,
  { workgroupSize, threadsPerTile }: RegisterSchedule,
  { step, member }: Place,
): { readonly workgroups: KernelBody["workgroups"]; readonly guard: string } {
  const tilesPerGroup = workgroupSize / threadsPerTile;
  const workgroups = gridOf(Math.ceil(step.size / tilesPerGroup), writer.context.profile);
  const covered = workgroups[0] * workgroups[1] * workgroups[2] * tilesPerGroup;
  const before = `${groupIndex(workgroups)} * ${tilesPerGroup}u`;
  const surplus = covered > step.size;
  if (threadsPerTile === 1) {
    writeIndex(writer, "tile", `${before} + local`, step.size, covered);
  } else {
    writer.statement(`let position = i32(${before} + local / ${threadsPerTile}u);`);
    writer.statement(`let tile = ${surplus ? `min(position, ${step.size - 1})` : "position"};`);
    writer.statement(`let member = i32(local % ${threadsPerTile}u);`);
    writer.bindAxis(member, "member");
  }
  writer.bindAxis(step, "tile");
  return { workgroups, guard: threadsPerTile > 1 && surplus ? `position < ${step.size}` : "" };
}

interface TilePlace {
  readonly batch: Expr;
  readonly rowBlock: Expr;
  readonly columnAt: (i: Expr) => Expr;
  readonly member: Axis;
  readonly columns: number;
}

/** The loads of both factors in one iteration of the loop along k, which takes `depth` steps. */
class Operands {
  readonly #schedule: RegisterSchedule;
  readonly #rowLane = newAxis(4);
  readonly #columnLane = newAxis(4);
  readonly #innerLane = newAxis(4);
  readonly #step: Axis;
  /** By steps along k; only one if a load takes all of them. */
  readonly #firsts: readonly (readonly Expr[])[];
  readonly #seconds: readonly (readonly Expr[])[];

  constructor(
    contraction: Contraction,
    schedule: RegisterSchedule,
    { canonical }: WriterContext,
    { batch, rowBlock, columnAt, member, columns }: TilePlace,
  ) {
    const { first, second, mAxes, nAxes } = orderFactors(contraction, schedule.swapped);
    const { rowTile, columnTile, rowLanes, columnLanes, depth, threadsPerTile } = schedule;
    this.#schedule = schedule;
    this.#step = newAxis(sizeOfAxes(contraction.inner) / depth);
    const constant = (value: number): Expr => canonical.intern(constExpr(value));
    const scaled = (e: Expr, by: number, plus: Expr): Expr =>
      canonical.binary("add", canonical.binary("mul", e, constant(by)), plus);
    const inLanes = (e: Expr, lanes: number, lane: Axis): Expr =>
      lanes === 4 ? scaled(e, 4, axisOf(lane, canonical)) : e;
    /** Beyond the edge the last one is computed again, and not stored. */
    const clamped = (e: Expr, size: number): Expr => canonical.binary("min", e, constant(size - 1));
    const batchParts = unravel(contraction.batch, batch, canonical);
    const place = (factor: Expr, axes: readonly Axis[], position: Expr, alongK: boolean): Expr[] =>
      Array.from({ length: alongK ? 1 : depth }, (_, j) => {
        const offset = alongK ? axisOf(this.#innerLane, canonical) : constant(j);
        const inner = unravel(contraction.inner, scaled(axisOf(this.#step, canonical), depth, offset), canonical);
        return canonical.rewriter(new Map([...batchParts, ...unravel(axes, position, canonical), ...inner]))(factor);
      });
    const firsts = Array.from({ length: Math.ceil(rowTile / rowLanes / threadsPerTile) }, (_, i) => {
      const offset = scaled(constant(i), threadsPerTile, axisOf(member, canonical));
      const position = clamped(scaled(rowBlock, rowTile / rowLanes, offset), sizeOfAxes(mAxes) / rowLanes);
      return place(first, mAxes, inLanes(position, rowLanes, this.#rowLane), schedule.firstAlongK);
    });
    const seconds = Array.from({ length: columnTile }, (_, i) => {
      const position = inLanes(clamped(columnAt(constant(i)), columns), columnLanes, this.#columnLane);
      return place(second, nAxes, position, schedule.secondAlongK);
    });
    this.#firsts = transposed(firsts);
    this.#seconds = transposed(seconds);
  }

  laneUses(): { readonly lane: Axis; readonly roots: readonly Expr[]; readonly stores: readonly [] }[] {
    const [firsts, seconds] = [this.#firsts.flat(), this.#seconds.flat()];
    return [
      { lane: this.#rowLane, roots: firsts, stores: [] },
      { lane: this.#columnLane, roots: seconds, stores: [] },
      { lane: this.#innerLane, roots: [...firsts, ...seconds], stores: [] },
    ];
  }

  bindLanes(writer: ExprWriter): void {
    for (const operand of [...this.#firsts.flat(), ...this.#seconds.flat()]) writer.countUses(operand);
    for (const lane of [this.#rowLane, this.#columnLane, this.#innerLane]) {
      writer.bindAxis(lane, "vec4<i32>(0, 1, 2, 3)", 4);
    }
  }

  bindStep(writer: ExprWriter, name: string): void {
    writer.bindAxis(this.#step, name);
  }

  /** By steps: by rows, the text of the first factor's element. */
  firstValues(writer: ExprWriter): (j: number) => (row: number) => string {
    const { firstAlongK, rowLanes } = this.#schedule;
    const load = (j: number): readonly Value[] => this.#broadcast(writer, this.#firsts[j] ?? []);
    const whole = firstAlongK ? load(0) : null;
    return (j) => {
      const values = whole ?? load(j);
      return (row) => element(values[Math.floor(row / rowLanes)], firstAlongK ? j : row % 4);
    };
  }

  secondValues(writer: ExprWriter, j: number): readonly string[] {
    const { secondAlongK, columnLanes } = this.#schedule;
    const values = (this.#seconds[secondAlongK ? 0 : j] ?? []).map((e) => writer.emitNamed(e));
    return values.map((value) => (columnLanes === 4 ? value.text : element(value, j)));
  }

  /** What every thread of the tile needs of the first factor. */
  #broadcast(writer: ExprWriter, loads: readonly Expr[]): readonly Value[] {
    const { threadsPerTile, rowTile, rowLanes } = this.#schedule;
    const values = loads.map((e) => writer.emitNamed(e));
    if (threadsPerTile === 1) return values;
    return Array.from({ length: rowTile / rowLanes }, (_, i): Value => {
      const own = values[Math.floor(i / threadsPerTile)] ?? { text: "", lanes: 1 };
      const name = writer.fresh("shared");
      writer.statement(`let ${name} = subgroupBroadcast(${own.text}, ${i % threadsPerTile}u);`);
      return { text: name, lanes: own.lanes };
    });
  }
}

function element(value: Value | undefined, lane: number): string {
  return value?.lanes === 4 ? `${value.text}.${laneNames[lane] ?? ""}` : (value?.text ?? "");
}

function transposed(rows: readonly (readonly Expr[])[]): Expr[][] {
  return (rows[0] ?? []).map((_, j) => rows.flatMap((row) => row[j] ?? []));
}
