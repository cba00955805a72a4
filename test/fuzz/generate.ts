/**
 * Draws programs. Functions that jump (floor, comparisons, argmax, …) see exact numbers only, else a rounding error would
 * decide what they give.
 */
import {
  type Aval,
  avalOf,
  type DType,
  memberCount,
  type PlacedValue,
  type Placement,
  placementOf,
  range,
  server,
  type Shape,
  sizeOf,
} from "@fax/compiler";
import type { Program } from "../support/programs.ts";
import { Random, seedOf } from "../support/random.ts";
import { hostArrayOf } from "../support/values.ts";
import { type Entry, type GenerateOptions, Growth } from "./growth.ts";
import { clients, rules } from "./rules.ts";

/** Few shapes, so that operands often fit, and kernels are shared. */
const smallShapes: readonly Shape[] = [[], [3], [4], [2, 3], [3, 4], [3, 3], [2, 1, 3], [1], [4, 2]];
/** Sizes that no tile divides, and some that every tile does. */
const largeShapes: readonly Shape[] = [[65], [33, 20], [20, 33], [16, 64], [64, 16], [5, 130], [3, 7, 33], [300]];

/** Programs whose kernels have more than one workgroup, tiles with rests, and reductions worth splitting. */
export const large = { shapes: largeShapes, maxElements: 2 ** 13 };

export interface DrawnProgram extends Program {
  readonly seed: number;
}

/** The program of a seed. */
export function generate(seed: number, options: Partial<GenerateOptions> = {}): DrawnProgram {
  const random = new Random(seed);
  const full: GenerateOptions = {
    equations: random.integer(3, 11),
    smooth: false,
    federated: random.chance(0.4),
    shapes: smallShapes,
    maxElements: 96,
    ...options,
  };
  const growth = new Growth(random, rules, full);
  const name = `program ${seed}`;
  const describe = inputTypes(random, full);
  const draw = (input: number, index: number): PlacedValue =>
    drawValue(describe[input] as Aval, new Random(seedOf(`${seed} ${input} ${index}`)));
  describe.forEach((aval, i) => growth.addInput(aval, { value: draw(i, 0), exact: true }));
  growth.grow();
  return { seed, name, jaxpr: growth.finish(chooseOutputs(growth)), draw };
}

function inputTypes(random: Random, { smooth, federated, shapes }: GenerateOptions): Aval[] {
  const place = (): Placement => (federated && random.chance(0.6) ? placementOf(clients) : server);
  const dtype = (): DType =>
    smooth || random.chance(0.65) ? "f32" : random.pick(["i32", "i32", "u32", "bool", "f16", "f32"] as const);
  const drawn = range(random.integer(1, 4)).map(() => avalOf(dtype(), random.pick(shapes), { placement: place() }));
  // Something to index by.
  return random.chance(0.3)
    ? [...drawn, avalOf("i32", random.pick([[], [2]] as const), { placement: place() })]
    : drawn;
}

/** Values on the grid, of ordinary size. */
export function drawValue({ dtype, shape, placement }: Aval, random: Random): PlacedValue {
  const number = (): number => {
    if (dtype === "bool") return random.integer(0, 2);
    if (dtype === "u32") return random.integer(0, 6);
    return dtype === "i32" ? random.integer(-4, 7) : random.integer(-12, 13) / 8;
  };
  const members = range(memberCount(placement)).map(() => hostArrayOf(dtype, shape, range(sizeOf(shape)).map(number)));
  return { placement, members };
}

/** What nothing else uses, and now and then something that is used, too, or an input. */
function chooseOutputs(growth: Growth): Entry[] {
  const { random, entries, inputs, used } = growth;
  const legal = entries.filter(({ variable }) => !growth.options.smooth || variable.aval.dtype === "f32");
  const leaves = legal.filter((entry) => !used.has(entry.variable) && !inputs.includes(entry));
  const chosen = leaves.slice(-4);
  if (chosen.length === 0 || random.chance(0.2)) chosen.push(random.pick(legal));
  return [...new Set(chosen)];
}
