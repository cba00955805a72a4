/** The reference walk over all windows of a gather or scatter. */
import type { HostArray } from "../ir/host-array.ts";
import { type Shape, stridesOf } from "../ir/shape.ts";
import { pick, remainingAxes } from "./axes.ts";
import { forEachIndex, positionOf } from "./host-strides.ts";
import { largestStarts, startEntries, windowedOperandAxes, type WindowNumbers } from "./index-numbers.ts";
import type { GatherMode } from "./lax-types.ts";

/** Where the window of one index vector starts, or null where `fill` finds it out of range. */
function startOf(
  entries: readonly number[],
  largest: readonly number[],
  vector: (k: number) => number,
  mode: GatherMode,
): number[] | null {
  const starts: number[] = [];
  for (let axis = 0; axis < entries.length; axis++) {
    const entry = entries[axis] as number;
    if (entry < 0) {
      starts.push(0);
      continue;
    }
    const start = vector(entry);
    const limit = largest[axis] as number;
    if (mode === "fill" && (start < 0 || start > limit)) return null;
    starts.push(Math.max(0, Math.min(start, limit)));
  }
  return starts;
}

/**
 * Calls `visit` for each element of the windowed array: its position there and, unless dropped, in the operand (−1).
 */
export function forEachElement(
  { operand, windowed, sizes }: { operand: Shape; windowed: Shape; sizes: Shape },
  indices: HostArray,
  numbers: WindowNumbers,
  mode: GatherMode,
  visit: (position: number, operandPosition: number) => void,
): void {
  const positionAxes = remainingAxes(windowed.length, numbers.windowAxes);
  const windowAxes = windowedOperandAxes(operand, numbers);
  const entries = startEntries(operand, numbers);
  const largest = largestStarts(operand, sizes);
  const strides = stridesOf(operand);
  const indexStrides = stridesOf(indices.shape);
  forEachIndex(windowed, (index, position) => {
    const base = positionOf(pick(index, positionAxes), indexStrides.slice(0, -1));
    const starts = startOf(entries, largest, (k) => indices.data[base + k] as number, mode);
    if (starts === null) return visit(position, -1);
    windowAxes.forEach((axis, i) => {
      starts[axis] = (starts[axis] as number) + (index[numbers.windowAxes[i] as number] as number);
    });
    numbers.operandBatching.forEach((axis, i) => {
      starts[axis] = index[positionAxes[numbers.indicesBatching[i] as number] as number] as number;
    });
    visit(position, positionOf(starts, strides));
  });
}
