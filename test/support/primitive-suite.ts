/** The tests that a primitive gets from its samples alone. */
import type { Params, Primitive, Sample } from "@fax/compiler";
import { describe, it } from "vitest";
import { erasesToItself, vmapIsLoop } from "./batching.ts";
import { everywhere, relative } from "./compare.ts";
import {
  derivedPrograms,
  jvpIsFiniteDifference,
  jvpKeepsOutputs,
  reverseIsAdjoint,
  tangentsAdd,
} from "./derivatives.ts";
import { type Program, programWithin, sampleProgram } from "./programs.ts";
import { hasItsTypes, optimizesToItself, type Property, roundTrips } from "./properties.ts";

const group = { name: "cohorts", size: 3 };

const usesF16 = (program: Program): boolean =>
  [...program.jaxpr.invars, ...program.jaxpr.eqns.flatMap((eqn) => eqn.outputs)].some(
    ({ aval }) => aval.dtype === "f16",
  );

const precision = (program: Program): number => (usesF16(program) ? 2e-2 : 1e-5);

interface Expectation {
  readonly title: string;
  readonly property: Property;
  readonly applies?: (sample: Sample<Params>) => boolean;
  readonly programs?: (program: Program) => readonly Program[];
}

const itself = (program: Program): readonly Program[] => [program];
const placed = (program: Program): readonly Program[] => [programWithin(program, group)];

const expectations: readonly Expectation[] = [
  { title: "gives the types that abstractEval says", property: hasItsTypes },
  { title: "prints, parses and checks", property: roundTrips },
  { title: "is left as it is by optimization", property: optimizesToItself },
  { title: "keeps its outputs under jvp", property: jvpKeepsOutputs },
  {
    title: "has the derivative that finite differences have",
    property: jvpIsFiniteDifference(1e-3),
    applies: ({ smooth = true }) => smooth,
  },
  { title: "has tangents that add", property: tangentsAdd(precision) },
  { title: "has an adjoint: ⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩", property: reverseIsAdjoint(precision) },
  { title: "is a loop under vmap", property: vmapIsLoop() },
  {
    title: "has derivatives that are loops under vmap",
    property: vmapIsLoop(everywhere(relative(1e-5))),
    programs: derivedPrograms,
  },
  { title: "acts on each member of a group by itself", property: hasItsTypes, programs: placed },
  { title: "prints, parses and checks at a group", property: roundTrips, programs: placed },
  {
    title: "is the same at a group and along an axis",
    property: erasesToItself(everywhere(relative(2 ** -23, 0))),
    programs: placed,
  },
  {
    title: "has derivatives that are the same at a group and along an axis",
    property: erasesToItself(everywhere(relative(1e-5))),
    programs: (program) => derivedPrograms(programWithin(program, group)),
  },
];

/** Declares a test per property; each tries all samples and names those that fail. */
export function primitiveSuite(primitive: Primitive): void {
  describe(primitive.name, () => {
    for (const { title, property, applies = () => true, programs = itself } of expectations) {
      it(title, () => {
        const faults = primitive.samples.filter(applies).flatMap((sample) => {
          return programs(sampleProgram(primitive, sample)).flatMap((program) => {
            const fault = attempt(property, program);
            return fault === null ? [] : [`${program.name}: ${fault}`];
          });
        });
        if (faults.length > 0) throw new Error(faults.join("\n"));
      });
    }
  });
}

function attempt(property: Property, program: Program): string | null {
  try {
    return property(program);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
