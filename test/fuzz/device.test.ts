/** Programs drawn at random on a WebGPU device: compiled as a whole, run operation by operation, and on the reference evaluator. */
import { beforeAll, describe, it } from "vitest";
import { derivedPrograms } from "../support/derivatives.ts";
import { TestDevice } from "../support/device.ts";
import { inputsOf, type Program, run } from "../support/programs.ts";
import { difference } from "../support/properties.ts";
import { holdsFor, programCount, programs, type Trial, timeout } from "./campaign.ts";
import { tolerances } from "./exactness.ts";
import { large } from "./generate.ts";

let device: TestDevice;

beforeAll(async () => {
  device = await TestDevice.open();
});

const compiled: Trial = async (program) => compare(program, (inputs) => device.run(program.jaxpr, inputs));
const opByOp: Trial = async (program) => compare(program, (inputs) => device.runOpByOp(program.jaxpr, inputs));

async function compare(
  program: Program,
  runs: (inputs: ReturnType<typeof inputsOf>) => Promise<ReturnType<typeof inputsOf>>,
): Promise<string | null> {
  const { jaxpr, name } = program;
  const inputs = inputsOf(program);
  const expected = run(jaxpr, inputs, name);
  return difference(await runs(inputs), expected, jaxpr, tolerances(jaxpr, inputs, expected));
}

/** The trial of what is derived from a program. */
const ofDerivatives =
  (trial: Trial): Trial =>
  async (program) => {
    for (const derived of derivedPrograms(program)) {
      const fault = await trial(derived);
      if (fault !== null) return `${derived.name}: ${fault}`;
    }
    return null;
  };

describe("a random program on the device", () => {
  const all = programs();
  const ofManyElements = programs({ ...large, count: Math.ceil(programCount / 10) });
  const smooth = programs({ smooth: true, count: Math.ceil(programCount / 5) });

  it("gives compiled what the reference evaluator gives", { timeout }, () => holdsFor(all, compiled));
  it("gives op by op what the reference evaluator gives", { timeout }, () => holdsFor(all, opByOp));
  it("of large arrays gives compiled what the reference evaluator gives", { timeout }, () =>
    holdsFor(ofManyElements, compiled),
  );
  it("has derivatives that agree", { timeout }, () => holdsFor(smooth, ofDerivatives(compiled)));
});
