/** Runs a property over many programs, and reports the first that fails: its seed, and a small program that fails, too. */
import { printJaxpr, roundToF16 } from "@fax/compiler";
import { inputsOf, type Program } from "../support/programs.ts";
import type { Property } from "../support/properties.ts";
import { type DrawnProgram, generate } from "./generate.ts";
import type { GenerateOptions } from "./growth.ts";
import { shrink } from "./shrink.ts";

function setting(name: string, usual: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return usual;
  if (text === "now") return Date.now() % 2 ** 31;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name}=${text} is no whole number`);
  return value;
}

/** The first program's seed; the others follow it. `FAX_FUZZ_SEED=now` draws other programs each time. */
export const firstSeed = setting("FAX_FUZZ_SEED", 1);
/** How many programs each property runs. */
export const programCount = setting("FAX_FUZZ_COUNT", 500);

/** The longest that a property may take, in ms. */
export const timeout = 60_000 + 1000 * programCount;

export interface Campaign extends Partial<GenerateOptions> {
  readonly count?: number;
}

export function programs({ count = programCount, ...options }: Campaign = {}): DrawnProgram[] {
  return Array.from({ length: count }, (_, i) => generate(firstSeed + i, options));
}

/** A property, also of what a device gives. */
export type Trial = (program: Program) => string | null | Promise<string | null>;

/** How many trials are under way at once: a device compiles for one while another's results are compared. */
const abreast = 8;

/** Throws for the first program that does not have the property. */
export async function holdsFor(list: readonly DrawnProgram[], property: Property | Trial): Promise<void> {
  for (let start = 0; start < list.length; start += abreast) {
    const some = list.slice(start, start + abreast);
    const faults = await Promise.all(some.map((program) => attempt(property, program)));
    for (const [i, fault] of faults.entries()) {
      if (fault !== null) throw new Error(await report(some[i] as DrawnProgram, fault, property));
    }
  }
}

async function attempt(property: Trial, program: Program): Promise<string | null> {
  try {
    return await property(program);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

async function report(program: DrawnProgram, fault: string, property: Trial): Promise<string> {
  const smallest = await shrink(program, async (candidate) => isSameKind(await attempt(property, candidate), fault));
  return [
    `${program.name} fails; FAX_FUZZ_SEED=${program.seed} FAX_FUZZ_COUNT=1 runs it alone`,
    fault,
    "The smallest that fails:",
    printJaxpr(smallest.jaxpr),
    ...inputTexts(smallest),
    (await attempt(property, smallest)) ?? "",
  ].join("\n");
}

/** A wrong number must not shrink to a crash of a program that is none, nor the other way round. */
function isSameKind(found: string | null, wanted: string): boolean {
  return found !== null && isThrown(found) === isThrown(wanted);
}

function isThrown(fault: string): boolean {
  return /^\s+at /m.test(fault);
}

function inputTexts(program: Program): string[] {
  return inputsOf(program).map((value, i) => {
    const members = value.members.map(
      ({ dtype, data }) => `[${[...data].map((x) => (dtype === "f16" ? roundToF16(x) : x)).join(", ")}]`,
    );
    return `input ${i}: ${members.join(" ")}`;
  });
}
