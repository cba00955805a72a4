/** Every primitive, on every sample of its declaration, on the reference evaluator: nothing here names one. */
import { allPrimitives } from "@fax/compiler";
import { describe, expect, it } from "vitest";
import { primitiveSuite } from "./support/primitive-suite.ts";

describe("every primitive", () => {
  it("has samples", () => {
    expect(
      allPrimitives()
        .filter(({ samples }) => samples.length === 0)
        .map(({ name }) => name),
    ).toEqual([]);
  });
});

for (const primitive of allPrimitives()) primitiveSuite(primitive);
