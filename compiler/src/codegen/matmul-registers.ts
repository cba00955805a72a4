/**
 * Matrix products without workgroup memory: each thread sums a tile of results in registers. Alone it loads what it needs
 * of both factors. The threads of a subgroup can also share the rows of a tile: their columns lie beside each other, each
 * thread loads some of the rows, and broadcasts them.
 */
import type { Kernel } from "../fuse/kernel.ts";
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import type { Contraction } from "./contraction.ts";
import { chooseVectorBindings, type KernelBody, type WriterContext } from "./kernel-body.ts";
import { planEpilogue, writeEpilogue } from "./matmul-epilogue.ts";
import { orderFactors, type RegisterSchedule } from "./matmul-schedule.ts";
import { RegisterTiles } from "./register-tiles.ts";
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
  const { rowTile, columnTile, columnLanes, depth } = schedule;
  const k = sizeOfAxes(contraction.inner);
  const tiles = new RegisterTiles({ batch: contraction.batch, rows: mAxes, columns: nAxes }, schedule, canonical);
  const operands = new Operands(contraction, schedule, context, tiles);
  const cells = Array.from({ length: rowTile * columnTile }, (_, i) => {
    const [row, column] = [Math.floor(i / columnTile), i % columnTile];
    return { row, column, name: `acc${row}_${column}` };
  });

  const epilogue = planEpilogue(kernel, contraction, { mAxes, nAxes, lanes: columnLanes }, canonical);
  chooseVectorBindings([...operands.laneUses(), { lane: epilogue.lane, roots: [], stores: epilogue.stores }], context);
  const writer = new ExprWriter(context);
  const workgroups = tiles.writePlace(writer);
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
  tiles.writeStores(writer, [{ type, values: cells.map(({ name }) => name) }]);
  return {
    declarations: [writeEpilogue(epilogue, context)],
    main: writer.root.render("  "),
    workgroupSize: schedule.workgroupSize,
    workgroups,
  };
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
    tiles: RegisterTiles,
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
    const batchParts = unravel(contraction.batch, tiles.batch, canonical);
    const place = (factor: Expr, axes: readonly Axis[], position: Expr, alongK: boolean): Expr[] =>
      Array.from({ length: alongK ? 1 : depth }, (_, j) => {
        const offset = alongK ? axisOf(this.#innerLane, canonical) : constant(j);
        const inner = unravel(contraction.inner, scaled(axisOf(this.#step, canonical), depth, offset), canonical);
        return canonical.rewriter(new Map([...batchParts, ...unravel(axes, position, canonical), ...inner]))(factor);
      });
    const firsts = Array.from({ length: Math.ceil(rowTile / rowLanes / threadsPerTile) }, (_, i) => {
      const offset = scaled(constant(i), threadsPerTile, axisOf(tiles.member, canonical));
      const position = clamped(scaled(tiles.rowBlock, rowTile / rowLanes, offset), tiles.rows / rowLanes);
      return place(first, mAxes, inLanes(position, rowLanes, this.#rowLane), schedule.firstAlongK);
    });
    const seconds = Array.from({ length: columnTile }, (_, i) => {
      const position = inLanes(clamped(tiles.columnAt(constant(i)), tiles.columns), columnLanes, this.#columnLane);
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
