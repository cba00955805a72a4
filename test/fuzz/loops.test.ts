/** Loops drawn at random against the same iterations written out: values, and derivatives in both modes. */
import { jvpJaxpr, type Jaxpr, optimize } from "@fax/compiler";
import { describe, expect, it } from "vitest";
import type { Tolerance } from "../support/compare.ts";
import { derivedPrograms } from "../support/derivatives.ts";
import { inputsOf, type Program, run, wellFormed } from "../support/programs.ts";
import { difference, floatFlags, type Property } from "../support/properties.ts";
import { hasLoop, unrolled } from "../support/unroll.ts";
import { firstSeed, holdsFor, programCount, timeout } from "./campaign.ts";
import { tolerances } from "./exactness.ts";
import { type DrawnProgram, generate } from "./generate.ts";

const count = Math.ceil(programCount / 4);

function loops(options: { readonly smooth: boolean }): DrawnProgram[] {
  const found: DrawnProgram[] = [];
  for (let seed = firstSeed; found.length < count; seed++) {
    const program = generate(seed, options);
    if (hasLoop(program.jaxpr)) found.push(program);
  }
  return found;
}

/** The unrolled program in the place of the program. */
function withoutLoops(program: Program): Program {
  const jaxpr = wellFormed(unrolled(program.jaxpr), `${program.name}, unrolled`);
  if (hasLoop(jaxpr)) throw new Error("a loop is left");
  return { ...program, jaxpr };
}

function sameResults(program: Program, other: Jaxpr): string | null {
  const inputs = inputsOf(program);
  const expected = run(program.jaxpr, inputs, program.name);
  const found = run(other, inputs, `${program.name}, unrolled`);
  // The two add in different orders: either may round where the other does not.
  const [looped, flat] = [tolerances(program.jaxpr, inputs, expected), tolerances(other, inputs, found)];
  const either = (output: number, member: number): Tolerance => {
    const [a, b] = [looped(output, member), flat(output, member)];
    return (value, position) => a(value, position) + b(value, position);
  };
  return difference(found, expected, other, either);
}

const isUnrolled: Property = (program) => sameResults(program, withoutLoops(program).jaxpr);

/** jvp and vjp of the loop are those of its iterations. */
const hasDerivativesOfIterations: Property = (program) => {
  const looped = derivedPrograms(program);
  const flat = derivedPrograms(withoutLoops(program));
  for (const [i, derived] of looped.entries()) {
    const fault = sameResults(derived, (flat[i] as Program).jaxpr);
    if (fault !== null) return `${derived.name}: ${fault}`;
  }
  return null;
};

const twice: Property = (program) => {
  const nonzero = floatFlags(program.jaxpr);
  if (!nonzero.includes(true)) return null;
  const once = (jaxpr: Jaxpr): Jaxpr => optimize(jvpJaxpr(jaxpr, nonzero).jaxpr);
  const [derived] = derivedPrograms(program);
  if (derived === undefined) return null;
  return hasDerivativesOfIterations({ ...derived, jaxpr: once(program.jaxpr) });
};

describe("a random loop", () => {
  const any = loops({ smooth: false });
  const smooth = loops({ smooth: true });

  it("is drawn", () => expect(any.length).toBe(count));
  it("is its iterations", { timeout }, () => holdsFor(any, isUnrolled));
  it("has the derivatives of its iterations", { timeout }, () => holdsFor(smooth, hasDerivativesOfIterations));
  it("has the second derivatives of its iterations", { timeout }, () =>
    holdsFor(smooth.slice(0, Math.ceil(count / 4)), twice),
  );
});
