/** The tests that a primitive gets from its samples alone, on a device. */
import { isFloat, type Jaxpr, jaxprOf, type PlacedValue, type Primitive, type Var } from "@fax/compiler";
import { it } from "vitest";
import { type Allowance, nothing } from "./compare.ts";
import { derivedPrograms } from "./derivatives.ts";
import type { TestDevice } from "./device.ts";
import { inputsOf, type Program, programWithin, run, sampleProgram } from "./programs.ts";
import { difference } from "./properties.ts";
import { combined, memberOf } from "./values.ts";

const group = { name: "cohorts", size: 3 };

/** Declares the tests; each runs all samples in one program, and one by one if that fails, to name those at fault. */
export function deviceSuite(primitive: Primitive, device: () => TestDevice): void {
  const samples = primitive.samples.map((sample) => sampleProgram(primitive, sample));
  it(`${primitive.name} gives what the reference evaluator gives`, async () => {
    await agree(samples, device(), allowanceOf(primitive));
  });
  it(`${primitive.name} gives it at a group, and so do its derivatives`, async () => {
    const placed = samples.filter((program) => usesF32(program)).map((program) => programWithin(program, group));
    await agree([...placed, ...placed.flatMap(derivedPrograms)], device(), derivativeAllowance);
  });
}

function usesF32({ jaxpr }: Program): boolean {
  return (
    jaxpr.invars.some(({ aval }) => aval.dtype === "f32") && jaxpr.outvars.some(({ aval }) => aval.dtype === "f32")
  );
}

async function agree(programs: readonly Program[], device: TestDevice, allow: Allowance): Promise<void> {
  if (programs.length === 0) return;
  const together = await attempt(async () => joined(programs, device));
  const faults: string[] = [];
  let next = 0;
  for (const program of programs) {
    const { jaxpr, name } = program;
    const count = jaxpr.outvars.length;
    const inputs = inputsOf(program);
    const results =
      together instanceof Error ? await attempt(() => device.run(jaxpr, inputs)) : together.slice(next, next + count);
    next += count;
    if (results instanceof Error) {
      faults.push(`${name}: ${results.stack}`);
      continue;
    }
    const expected = run(jaxpr, inputs, name);
    const fault = difference(results, expected, jaxpr, allow(jaxpr, inputs, expected));
    if (fault !== null) faults.push(`${name}: ${fault}`);
  }
  if (faults.length > 0) throw new Error(faults.join("\n"));
  if (together instanceof Error) throw new Error("the samples run one by one, but not together", { cause: together });
}

async function attempt<T>(action: () => Promise<T>): Promise<T | Error> {
  try {
    return await action();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The programs side by side in one. */
function joined(programs: readonly Program[], device: TestDevice): Promise<PlacedValue[]> {
  const parts = programs.map(({ jaxpr }) => jaxpr);
  const whole: Jaxpr = jaxprOf({
    constvars: [],
    invars: parts.flatMap((part): readonly Var[] => part.invars),
    eqns: parts.flatMap((part) => part.eqns),
    outvars: parts.flatMap((part) => part.outvars),
  });
  return device.run(whole, programs.flatMap(inputsOf));
}

/** Functions that a device computes in its own way, to a few units in the last place. */
const functions = new Set(
  "exp log log1p expm1 sin cos tanh logistic sqrt rsqrt erf pow integer_pow div rem".split(" "),
);
/** Sums of products, added in any order. */
const sums = new Set("reduce_sum reduce_prod dot_general scatter_add federated_sum federated_mean".split(" "));

function allowanceOf({ name, kind }: Primitive): Allowance {
  if (kind === "control") return derivativeAllowance;
  if (sums.has(name)) return sumAllowance;
  if (!functions.has(name)) return nothing;
  return (jaxpr) => (output) => {
    const unit = unitOf(jaxpr, output);
    return unit === 0 ? undefined : (expected) => 8 * unit * Math.abs(expected);
  };
}

/** The distance from 1 to the next number of an output's dtype; 0 for what is not rounded. */
function unitOf(jaxpr: Jaxpr, output: number): number {
  const { dtype } = (jaxpr.outvars[output] as Jaxpr["outvars"][number]).aval;
  return isFloat(dtype) ? (dtype === "f16" ? 2 ** -10 : 2 ** -23) : 0;
}

/** Relative to the sum of the terms' magnitudes, which the program itself gives for the inputs' magnitudes. */
const sumAllowance: Allowance = (jaxpr, inputs) => {
  const magnitudes = run(
    jaxpr,
    inputs.map((input) => (isFloat(memberOf(input, 0).dtype) ? combined(input, input, (x) => Math.abs(x)) : input)),
    "the sum of magnitudes",
  );
  return (output, member) => {
    const unit = unitOf(jaxpr, output);
    const { data } = memberOf(magnitudes[output] as PlacedValue, member);
    return unit === 0 ? undefined : (_, position) => 4 * unit * Math.abs(data[position] as number);
  };
};

const derivativeAllowance: Allowance = (_, __, expected) => (output, member) => {
  const values = expected[output]?.members[member]?.data ?? [];
  let scale = 0;
  for (const x of values) if (Number.isFinite(x)) scale = Math.max(scale, Math.abs(x));
  return (value) => 1e-5 * Math.abs(value) + 1e-6 * scale + 1e-7;
};
