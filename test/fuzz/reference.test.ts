/** Programs drawn at random, on the reference evaluator: what every transform must keep. */
import { describe, it } from "vitest";
import { erasesToItself, vmapIsLoop } from "../support/batching.ts";
import { derivedPrograms, jvpIsFiniteDifference, reverseIsAdjoint, tangentsAdd } from "../support/derivatives.ts";
import { programWithin } from "../support/programs.ts";
import { firstOf, hasItsTypes, optimizesToItself, type Property, roundTrips } from "../support/properties.ts";
import { holdsFor, programCount, programs, timeout } from "./campaign.ts";
import { tolerances } from "./exactness.ts";

const group = { name: "cohorts", size: 2 };

/** The property of the programs that are made from a program. */
const ofDerivatives =
  (property: Property): Property =>
  (program) =>
    firstOf(derivedPrograms(program), property);

describe("a random program", () => {
  const all = programs();

  it("has the types that it says", { timeout }, () => holdsFor(all, hasItsTypes));
  it("prints, parses and checks", { timeout }, () => holdsFor(all, roundTrips));
  it("is left as it is by optimization", { timeout }, () => holdsFor(all, optimizesToItself));
  it("is the same at groups and along axes", { timeout }, () => holdsFor(all, erasesToItself(tolerances)));
  it("is a loop under vmap", { timeout }, () => holdsFor(all, vmapIsLoop(tolerances, 2)));
  it("acts on each member of an outer group by itself", { timeout }, () =>
    holdsFor(all, (program) => erasesToItself(tolerances)(programWithin(program, group))),
  );
});

describe("a random smooth program", () => {
  const smooth = programs({ smooth: true });

  it("has the derivative that finite differences have", { timeout }, () =>
    holdsFor(smooth, jvpIsFiniteDifference(5e-3)),
  );
  it("has tangents that add", { timeout }, () =>
    holdsFor(
      smooth,
      tangentsAdd(() => 1e-3),
    ),
  );
  it("has an adjoint: ⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩", { timeout }, () =>
    holdsFor(
      smooth,
      reverseIsAdjoint(() => 1e-4),
    ),
  );
  it("has derivatives that optimization leaves as they are", { timeout }, () =>
    holdsFor(smooth, ofDerivatives(optimizesToItself)),
  );
  it("has derivatives that are the same at groups and along axes", { timeout }, () =>
    holdsFor(smooth, ofDerivatives(erasesToItself(tolerances))),
  );
  it("has derivatives that are loops under vmap", { timeout }, () =>
    holdsFor(smooth.slice(0, Math.ceil(programCount / 4)), ofDerivatives(vmapIsLoop(tolerances, 2))),
  );
  it("has derivatives of derivatives that have adjoints", { timeout }, () =>
    holdsFor(smooth.slice(0, Math.ceil(programCount / 4)), ofDerivatives(reverseIsAdjoint(() => 1e-3))),
  );
});
