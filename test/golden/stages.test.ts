/**
 * The text of every stage for every example. A golden that changed is either a bug or the point of the change: read the
 * difference, then `npx vitest run test/golden --update=all`.
 */
import { baselineProfile, inspectStage, stages } from "@fax/compiler";
import { traceProgram } from "@fax/core";
import { describe, expect, it } from "vitest";
import { round as fedavg } from "../../examples/fedavg-mnist.fax.ts";
import { round as fedsgd } from "../../examples/fedsgd-mnist.fax.ts";
import { parallelLoss } from "../../examples/parallel-loss.fax.ts";

const examples = { "parallel-loss": parallelLoss, "fedavg-mnist": fedavg, "fedsgd-mnist": fedsgd };

describe.each(Object.entries(examples))("%s", (name, program) => {
  const traced = traceProgram(program);
  const wrt = traced.args[0]?.inputs ?? [];
  // Kernels of the two large ones are checked by running them; their text would only record the code generator's style.
  const shown = name === "parallel-loss" ? stages : stages.filter((stage) => stage !== "wgsl");
  it.each(shown)("%s", async (stage) => {
    const text = inspectStage(traced.jaxpr, stage, { profile: baselineProfile, wrt });
    await expect(`${text.trimEnd()}\n`).toMatchFileSnapshot(`${name}/${stage}.txt`);
  });
});
