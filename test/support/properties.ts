/**
 * What holds for every program, whatever it computes: each property takes a program, runs it on the reference evaluator,
 * and gives null, or a sentence that says what went wrong. Every Jaxpr on the way is checked, too.
 */
import {
  equalJaxpr,
  isFloat,
  type Jaxpr,
  memberCount,
  optimize,
  parseJaxpr,
  type PlacedValue,
  printJaxpr,
  range,
  sameShape,
  server,
} from "@fax/compiler";
import { valueDifference, type Tolerance } from "./compare.ts";
import { inputsOf, type Program, run, wellFormed } from "./programs.ts";

export type Property = (program: Program) => string | null;

/** Results have the types that their variables say. */
export const hasItsTypes: Property = (program) => {
  const { jaxpr } = program;
  const results = run(jaxpr, inputsOf(program), program.name);
  return firstOf(jaxpr.outvars, ({ aval }, i) => {
    const value = results[i] as PlacedValue;
    if (value.members.length !== memberCount(aval.placement)) {
      return `result ${i} has ${value.members.length} members, expected ${memberCount(aval.placement)}`;
    }
    return firstOf(value.members, ({ dtype, shape, data }) => {
      if (dtype === aval.dtype && sameShape(shape, aval.shape) && data.length === shape.reduce((a, b) => a * b, 1))
        return null;
      return `result ${i} is ${dtype}[${shape.join(",")}], expected ${aval.dtype}[${aval.shape.join(",")}]`;
    });
  });
};

/** The text of a Jaxpr reads back as itself, and prints the same again. */
export const roundTrips: Property = ({ name, jaxpr }) => textFault(jaxpr, name);

export function textFault(jaxpr: Jaxpr, what: string): string | null {
  wellFormed(jaxpr, what);
  const text = printJaxpr(jaxpr);
  const parsed = parseJaxpr(text);
  if (!equalJaxpr(parsed, jaxpr))
    return `the text of ${what} reads back as something else:\n${text}\n${printJaxpr(parsed)}`;
  wellFormed(parsed, `${what}, read back`);
  return printJaxpr(parsed) === text ? null : `the text of ${what} prints differently once read back:\n${text}`;
}

/** Optimization changes nothing, bit for bit. */
export const optimizesToItself: Property = (program) => {
  const { jaxpr, name } = program;
  const optimized = wellFormed(optimize(jaxpr), `${name}, optimized`);
  const inputs = inputsOf(program);
  return difference(run(optimized, inputs, `${name}, optimized`), run(jaxpr, inputs, name), jaxpr);
};

/** The first fault among results, compared with what is expected of the outputs of `jaxpr`. */
export function difference(
  actual: readonly PlacedValue[],
  expected: readonly PlacedValue[],
  jaxpr: Jaxpr,
  tolerance: (output: number, member: number) => Tolerance | undefined = () => undefined,
): string | null {
  return firstOf(jaxpr.outvars, ({ aval }, i) => {
    const allowed = (member: number): Tolerance | undefined => tolerance(i, member);
    const fault = valueDifference(actual[i] as PlacedValue, expected[i] as PlacedValue, aval.placement, allowed);
    return fault === null ? null : `result ${i} ${fault}`;
  });
}

export function firstOf<T>(list: readonly T[], fault: (item: T, index: number) => string | null): string | null {
  for (const [i, item] of list.entries()) {
    const found = fault(item, i);
    if (found !== null) return found;
  }
  return null;
}

/** Which inputs have derivatives. */
export function floatFlags(jaxpr: Jaxpr): boolean[] {
  return jaxpr.invars.map(({ aval }) => isFloat(aval.dtype));
}

/** Every list of flags of the given length that is not all false; if there are more than `limit`, some of them. */
export function subsets(length: number, limit: number): boolean[][] {
  const all = range(1, 2 ** Math.min(length, 12)).map((bits) => range(length).map((i) => ((bits >> i) & 1) === 1));
  if (all.length <= limit) return all;
  // The last is the whole; the others are spread over all sizes.
  return range(limit).map((i) => all[Math.floor(((i + 1) * all.length) / limit) - 1] as boolean[]);
}

export const atServer = (members: PlacedValue["members"]): PlacedValue => ({ placement: server, members });
