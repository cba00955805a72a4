/**
 * Tiles of results in registers: which of them a thread has, by itself or with the threads of its subgroup, whose columns
 * lie beside each other; and how they are stored.
 */
import { type Axis, constExpr, type Expr, newAxis } from "../lower/expr.ts";
import { gridOf, groupIndex, type KernelBody, writeIndex, type WriterContext } from "./kernel-body.ts";
import { axisOf, sizeOfAxes, unravel } from "./space.ts";
import type { ExprWriter } from "./wgsl-expr.ts";
import type { Lanes } from "./wgsl-math.ts";

interface TileSchedule {
  readonly workgroupSize: number;
  readonly rowTile: number;
  /** Columns, or groups of four. */
  readonly columnTile: number;
  readonly columnLanes: Lanes;
  readonly threadsPerTile: number;
}

interface TileSpace {
  readonly batch: readonly Axis[];
  readonly rows: readonly Axis[];
  readonly columns: readonly Axis[];
}

/** What the epilogue takes: a value for each of the tile's results, row by row. */
export interface TileResult {
  readonly type: string;
  readonly values: readonly string[];
}

type Canonical = WriterContext["canonical"];

export class RegisterTiles {
  /** Where the tile is: the batch, and the blocks of rows and columns. */
  readonly batch: Expr;
  readonly rowBlock: Expr;
  /** The thread among those of its tile. */
  readonly member: Axis;
  /** Of the whole result; groups of four columns count once. */
  readonly rows: number;
  readonly columns: number;
  readonly #schedule: TileSchedule;
  readonly #canonical: Canonical;
  readonly #columnBlock: Expr;
  readonly #tile: Axis;
  #guard = "";

  constructor(space: TileSpace, schedule: TileSchedule, canonical: Canonical) {
    const { rowTile, columnTile, columnLanes, threadsPerTile } = schedule;
    this.#schedule = schedule;
    this.#canonical = canonical;
    this.rows = sizeOfAxes(space.rows);
    this.columns = sizeOfAxes(space.columns) / columnLanes;
    const axes = [
      newAxis(sizeOfAxes(space.batch)),
      newAxis(Math.ceil(this.rows / rowTile)),
      newAxis(Math.ceil(this.columns / columnTile / threadsPerTile)),
    ] as const;
    this.#tile = newAxis(sizeOfAxes(axes));
    this.member = newAxis(threadsPerTile);
    const places = unravel(axes, axisOf(this.#tile, canonical), canonical);
    [this.batch, this.rowBlock, this.#columnBlock] = axes.map((axis) => places.get(axis) ?? this.#constant(0)) as [
      Expr,
      Expr,
      Expr,
    ];
  }

  /** The row, and the column or group of four, of the tile's i-th. */
  rowAt(i: Expr): Expr {
    return this.#at(this.rowBlock, this.#schedule.rowTile, i);
  }

  columnAt(i: Expr): Expr {
    const { columnTile, threadsPerTile } = this.#schedule;
    const first = this.#at(this.#columnBlock, columnTile, i);
    return this.#at(first, threadsPerTile, axisOf(this.member, this.#canonical));
  }

  /**
   * Which tile the thread is at. Threads of a subgroup must not leave before the others broadcast: those of the surplus
   * compute the last tile once more, and do not store it.
   */
  writePlace(writer: ExprWriter): KernelBody["workgroups"] {
    const { workgroupSize, threadsPerTile } = this.#schedule;
    const { size } = this.#tile;
    const tilesPerGroup = workgroupSize / threadsPerTile;
    const workgroups = gridOf(Math.ceil(size / tilesPerGroup), writer.context.profile);
    const covered = workgroups[0] * workgroups[1] * workgroups[2] * tilesPerGroup;
    const before = `${groupIndex(workgroups)} * ${tilesPerGroup}u`;
    if (threadsPerTile === 1) {
      writeIndex(writer, "tile", `${before} + local`, size, covered);
    } else {
      const surplus = covered > size;
      writer.statement(`let position = i32(${before} + local / ${threadsPerTile}u);`);
      writer.statement(`let tile = ${surplus ? `min(position, ${size - 1})` : "position"};`);
      writer.statement(`let member = i32(local % ${threadsPerTile}u);`);
      writer.bindAxis(this.member, "member");
      if (surplus) this.#guard = `position < ${size}`;
    }
    writer.bindAxis(this.#tile, "tile");
    return workgroups;
  }

  /**
   * Calls the kernel's `store_result` for each of the thread's results: once in a loop, over an array that takes them when they
   * are finished. An epilogue for each costs compilers of software adapters more than the product itself, up to seconds a
   * kernel, and runs no faster. The sums are variables of their own until then, or they would not be in registers.
   */
  writeStores(writer: ExprWriter, results: readonly TileResult[]): void {
    const { rowTile, columnTile } = this.#schedule;
    const batch = writer.emit(this.batch).text;
    const cell = newAxis(rowTile * columnTile);
    const within = unravel([newAxis(rowTile), newAxis(columnTile)], axisOf(cell, this.#canonical), this.#canonical);
    const [row, column] = [...within.values()].reverse() as [Expr, Expr];
    if (cell.size === 1) {
      this.#writeStore(
        writer,
        batch,
        { row, column },
        results.map(({ values }) => values[0] ?? ""),
      );
      return;
    }
    const arrays = results.map(({ type, values }) => {
      const name = writer.fresh("results");
      writer.statement(`var ${name} = array<${type}, ${cell.size}>(${values.join(", ")});`);
      return name;
    });
    writer.block(`for (var cell = 0; cell < ${cell.size}; cell++) {`, () => {
      writer.bindAxis(cell, "cell");
      this.#writeStore(
        writer,
        batch,
        { row, column },
        arrays.map((name) => `${name}[cell]`),
      );
    });
  }

  /** `within`: where in the tile. */
  #writeStore(
    writer: ExprWriter,
    batch: string,
    within: { readonly row: Expr; readonly column: Expr },
    values: readonly string[],
  ): void {
    const { rowTile, columnTile, threadsPerTile } = this.#schedule;
    const row = writer.emitNamed(this.rowAt(within.row)).text;
    const column = writer.emitNamed(this.columnAt(within.column)).text;
    const call = `${writer.context.prefix ?? ""}store_result(${[batch, row, column, ...values].join(", ")});`;
    const rowGuard = this.rows % rowTile ? `${row} < ${this.rows}` : "";
    const columnGuard = this.columns % (columnTile * threadsPerTile) ? `${column} < ${this.columns}` : "";
    const guards = [this.#guard, rowGuard, columnGuard].filter(Boolean);
    writer.statement(guards.length > 0 ? `if (${guards.join(" && ")}) { ${call} }` : call);
  }

  #at(block: Expr, tile: number, offset: Expr): Expr {
    return this.#canonical.binary("add", this.#canonical.binary("mul", block, this.#constant(tile)), offset);
  }

  #constant(value: number): Expr {
    return this.#canonical.intern(constExpr(value));
  }
}
