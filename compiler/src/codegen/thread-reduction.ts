/**
 * How the threads that share a row join what each of them has reduced; every one gets the result. Neighbours in a subgroup
 * exchange values, without a barrier; without subgroups, and across them, the values go through workgroup memory.
 * Expects all threads of the workgroup to come by, and a power of two of them per row.
 */
import type { DType } from "../ir/dtype.ts";
import type { Reducer } from "../lower/expr.ts";
import { bare, type ExprWriter } from "./wgsl-expr.ts";
import { registerType } from "./wgsl-literal.ts";
import { accumulatorType, betterText, combineText } from "./wgsl-operators.ts";

export interface RowThreads {
  readonly threadsPerRow: number;
  readonly workgroupSize: number;
  /** Which of its row's threads a thread is, as u32 text. */
  readonly member: string;
  /** Threads that exchange values directly; 1 where workgroup memory is used instead. */
  readonly subgroupSize: number;
}

/** What a thread has so far: variables with the value and, for argmax and argmin, its position. */
export interface Partial {
  readonly value: string;
  readonly position: string | null;
  readonly reducer: Reducer;
  readonly dtype: DType;
}

export class ThreadReduction {
  /** Workgroup variables. */
  readonly declarations: string[] = [];
  private readonly writer: ExprWriter;
  private readonly threads: RowThreads;
  private readonly prefix: string;

  constructor(writer: ExprWriter, threads: RowThreads) {
    this.writer = writer;
    this.threads = threads;
    this.prefix = writer.context.prefix ?? "";
  }

  /** Leaves the row's result in the variables of `partial`. */
  join(partial: Partial): void {
    const { threadsPerRow, subgroupSize } = this.threads;
    for (let distance = Math.min(threadsPerRow, subgroupSize) / 2; distance >= 1; distance /= 2) {
      this.exchange(partial, distance);
    }
    if (threadsPerRow > subgroupSize) this.throughMemory(partial);
  }

  private exchange(partial: Partial, distance: number): void {
    const { writer } = this;
    const shuffled = (x: string): string => `subgroupShuffleXor(${x}, ${distance}u)`;
    const other = writer.fresh();
    const bool = accumulatorType(partial.dtype) === "bool";
    writer.statement(
      `let ${other} = ${bool ? `${shuffled(`u32(${partial.value})`)} != 0u` : shuffled(partial.value)};`,
    );
    if (partial.position === null) {
      this.combine(partial, other, null);
      return;
    }
    const at = writer.fresh();
    writer.statement(`let ${at} = ${shuffled(partial.position)};`);
    this.combine(partial, other, at);
  }

  /** One value of each subgroup, joined by every thread of the row in the same order. */
  private throughMemory(partial: Partial): void {
    const { writer } = this;
    const { threadsPerRow, workgroupSize, subgroupSize } = this.threads;
    const cells = `${this.prefix}shared_${partial.value}`;
    const positions = `${cells}_at`;
    const type = registerType(accumulatorType(partial.dtype), 1);
    const count = workgroupSize / subgroupSize;
    this.declarations.push(`var<workgroup> ${cells}: array<${type}, ${count}>;`);
    if (partial.position !== null) this.declarations.push(`var<workgroup> ${positions}: array<i32, ${count}>;`);
    const put = (): void => {
      const cell = subgroupSize > 1 ? `local / ${subgroupSize}u` : "local";
      writer.statement(`${cells}[${cell}] = ${partial.value};`);
      if (partial.position !== null) writer.statement(`${positions}[${cell}] = ${partial.position};`);
    };
    if (subgroupSize === 1) {
      put();
      writer.statement("workgroupBarrier();");
      this.tree(partial, cells, positions);
      return;
    }
    writer.block(`if (local % ${subgroupSize}u == 0u) {`, put, { conditional: true });
    writer.statement("workgroupBarrier();");
    const each = threadsPerRow / subgroupSize;
    const first = this.wholeGroup ? "0u" : `local / ${threadsPerRow}u * ${each}u`;
    const start = writer.fresh();
    writer.statement(`let ${start} = ${first};`);
    writer.statement(`${partial.value} = ${cells}[${start}];`);
    if (partial.position !== null) writer.statement(`${partial.position} = ${positions}[${start}];`);
    writer.block(`for (var cell = ${start} + 1u; cell < ${start} + ${each}u; cell++) {`, () => {
      writer.statement(`let other = ${cells}[cell];`);
      this.combine(partial, "other", partial.position === null ? null : `${positions}[cell]`);
    });
  }

  private get wholeGroup(): boolean {
    return this.threads.threadsPerRow === this.threads.workgroupSize;
  }

  private tree(partial: Partial, cells: string, positions: string): void {
    const { writer } = this;
    const { threadsPerRow, member } = this.threads;
    writer.block(`for (var half = ${threadsPerRow / 2}u; half > 0u; half = half >> 1u) {`, () => {
      writer.block(`if (${member} < half) {`, () => {
        writer.statement(`let other = ${cells}[local + half];`);
        this.combine(partial, "other", partial.position === null ? null : `${positions}[local + half]`);
        writer.statement(`${cells}[local] = ${partial.value};`);
        if (partial.position !== null) writer.statement(`${positions}[local] = ${partial.position};`);
      });
      writer.statement("workgroupBarrier();");
    });
    const first = this.wholeGroup ? "0" : `local - ${member}`;
    writer.statement(`${partial.value} = ${cells}[${first}];`);
    if (partial.position !== null) writer.statement(`${partial.position} = ${positions}[${first}];`);
  }

  private combine({ value, position, reducer, dtype }: Partial, other: string, otherPosition: string | null): void {
    const { writer } = this;
    const { math } = writer.context;
    if (reducer !== "argmax" && reducer !== "argmin") {
      writer.statement(`${value} = ${bare(combineText(reducer, dtype, value, other, { lanes: 1, math }))};`);
      return;
    }
    const wins = betterText(reducer, dtype, other, value, math);
    const loses = betterText(reducer, dtype, value, other, math);
    writer.block(`if (${wins} || (${otherPosition} < ${position} && !${loses})) {`, () => {
      writer.statement(`${value} = ${other};`);
      writer.statement(`${position} = ${otherPosition};`);
    });
  }
}
