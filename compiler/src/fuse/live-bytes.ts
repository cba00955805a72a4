/**
 * What no plan of a program in its order of steps can go below: the most bytes of values besides inputs that are alive at
 * once. Computed from lifetimes alone, so that it measures the memory plan. A value that may be written over another which
 * is read last then counts once with it; of several that want the same place all are taken to get one.
 */
import { type AdapterProfile, allocatedBytes, storageBytes } from "../executable.ts";
import { sizeOf } from "../ir/shape.ts";
import type { Tensor } from "../lower/expr.ts";
import { writesOver } from "./in-place.ts";
import { boundTensors } from "./kernel-tensors.ts";
import type { FusedProgram } from "./kernel.ts";
import { type Lifetime, type Timeline, timelineOf, timeOf } from "./lifetimes.ts";

/** Bytes of a tensor in device memory: WebGPU binds and copies multiples of four bytes, and nothing empty. */
export function bytesOfTensor({ shape, dtype }: Pick<Tensor, "shape" | "dtype">, profile: AdapterProfile): number {
  return Math.max(4, Math.ceil((sizeOf(shape) * storageBytes(dtype, profile)) / 4) * 4);
}

/** What that takes of a device. */
export function allocatedBytesOf(tensor: Tensor, profile: AdapterProfile): number {
  return allocatedBytes(bytesOfTensor(tensor, profile));
}

/** By time, as in `Timeline`: bytes alive while the step of that time runs. */
export function liveBytes(
  program: FusedProgram,
  profile: AdapterProfile,
  donated: readonly number[] = [],
  timeline: Timeline = timelineOf(program),
): number[] {
  const inputs = new Set(program.inputs.map((tensor) => tensor.id));
  const given = new Set(donated.map((position) => program.inputs[position]?.id));
  // An arena stands for what lies in it.
  const inside = new Set(program.arenas.flatMap(({ members }) => members.map((member) => member.tensor.id)));
  for (const { tensor, members } of program.arenas) {
    if (members.some((member) => inputs.has(member.tensor.id))) inputs.add(tensor.id);
    if (members.every((member) => given.has(member.tensor.id))) given.add(tensor.id);
  }
  const bytesOf = (tensor: Tensor): number => allocatedBytesOf(tensor, profile);
  const sumOf = (tensors: Iterable<Tensor>): number => [...tensors].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const values = withoutAliases(timeline).filter(({ tensor }) => !inside.has(tensor.id));
  const times = 1 + Math.max(0, ...values.map(({ end }) => timeOf(end)));
  const live = Array.from({ length: times }, () => 0);
  const add = (from: number, to: number, bytes: number): void => {
    for (let time = from; time <= to; time++) live[time] = (live[time] ?? 0) + bytes;
  };
  for (const { tensor, start, end } of values) {
    const bytes = bytesOf(tensor);
    if (!inputs.has(tensor.id)) add(timeOf(start), timeOf(end), bytes);
    // The place of a donated input is there for others once it is read for the last time.
    else if (given.has(tensor.id)) add(timeOf(end) + 1, times - 1, -bytes);
  }
  for (const [time, pairs] of inPlacePairs(timeline)) {
    const ending = new Set<Tensor>();
    const beginning = new Set<Tensor>();
    for (const [source, result] of pairs) {
      const own = timeline.lifetimes.get(source.id);
      const mayWrite = !inputs.has(source.id) || given.has(source.id);
      if (!mayWrite || own === undefined || own.end > 2 * time + 1) continue;
      ending.add(source);
      beginning.add(result);
    }
    live[time] = (live[time] ?? 0) - Math.min(sumOf(ending), sumOf(beginning));
  }
  return live.map((bytes) => Math.max(0, bytes));
}

/** Lifetimes, with a reshape's in that of what it reshapes. */
function withoutAliases({ lifetimes, copies }: Timeline): Lifetime[] {
  const values = new Map(lifetimes);
  for (const { from, to } of copies) {
    const [first, second] = [values.get(from.id), values.get(to.id)];
    if (first === undefined || second === undefined) continue;
    values.set(from.id, { ...first, end: Math.max(first.end, second.end) });
    values.delete(to.id);
  }
  return [...values.values()];
}

/** By time: values of which the second may take the place of the first. */
function inPlacePairs({ kernels, loops }: Timeline): Map<number, (readonly [Tensor, Tensor])[]> {
  const pairs = new Map<number, (readonly [Tensor, Tensor])[]>();
  const add = (time: number, pair: readonly [Tensor, Tensor]): void => {
    pairs.set(time, [...(pairs.get(time) ?? []), pair]);
  };
  for (const { kernel, time } of kernels) {
    const { loaded, stored } = boundTensors(kernel);
    for (const result of stored)
      for (const source of loaded) if (writesOver(kernel, source, result)) add(time, [source, result]);
  }
  for (const { step, start, end } of loops) {
    for (const { init, input, result, final } of step.carries) {
      add(start, [init, input]);
      add(end, [result, final]);
    }
  }
  return pairs;
}
