/**
 * Programs drawn at random, each of their kernels by a legal schedule that is drawn, too, against the reference evaluator.
 * Both classes of adapter: what suits a GPU must be right on whatever runs here.
 */
import { type Candidate, describeSchedule, type ScheduleChoice } from "@fax/compiler";
import type { AdapterProfile } from "@fax/compiler/executable";
import { beforeAll, describe, expect, it } from "vitest";
import { TestDevice } from "../support/device.ts";
import { inputsOf, type Program, run } from "../support/programs.ts";
import { difference } from "../support/properties.ts";
import { Random, seedOf } from "../support/random.ts";
import { holdsFor, programCount, programs, type Trial, timeout } from "./campaign.ts";
import { tolerances } from "./exactness.ts";
import { large } from "./generate.ts";

let device: TestDevice;

beforeAll(async () => {
  device = await TestDevice.open();
});

/** Drawn by the program's name and the kernel: a kernel that shrinking leaves alone keeps its schedule. */
function drawn({ name }: Program, record: (line: string) => void): ScheduleChoice {
  return (key, legal) => {
    const all = legal();
    const at = new Random(seedOf(`${name} ${key}`)).integer(0, all.length);
    const { schedule } = all[at] as Candidate;
    record(`${key.slice(0, key.indexOf("("))}: schedule ${at} of ${all.length}, ${describeSchedule(schedule)}`);
    return schedule;
  };
}

const byDrawnSchedules =
  (adapter: AdapterProfile["class"], differs: () => void = () => undefined): Trial =>
  async (program) => {
    const { jaxpr, name } = program;
    const inputs = inputsOf(program);
    const expected = run(jaxpr, inputs, name);
    const schedules: string[] = [];
    const choose = drawn(program, (line) => schedules.push(line));
    const profile: AdapterProfile = { ...device.gpu.profile, class: adapter };
    const results = await device.run(jaxpr, inputs, { profile, known: { choose } });
    if (schedules.some((line) => !line.includes("schedule 0 of "))) differs();
    const fault = difference(results, expected, jaxpr, tolerances(jaxpr, inputs, expected));
    return fault === null ? null : [fault, ...schedules].join("\n");
  };

describe.each(["cpu", "gpu"] as const)("a random program by random schedules for an adapter of class %s", (adapter) => {
  const small = programs({ count: Math.ceil(programCount / 5) });
  const ofManyElements = programs({ ...large, count: Math.ceil(programCount / 10) });

  it("gives what the reference evaluator gives", { timeout }, async () => {
    let others = 0;
    await holdsFor(
      [...small, ...ofManyElements],
      byDrawnSchedules(adapter, () => others++),
    );
    // Most programs have a kernel that the estimate would not have scheduled so.
    expect(others).toBeGreaterThan(programCount > 1 ? (small.length + ofManyElements.length) / 4 : -1);
  });
});
