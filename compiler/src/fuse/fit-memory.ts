/**
 * Loop IR → fused program and memory plan that keep within a limit. What is alive at the peak is computed again instead
 * of being kept, a round at a time, until the plan fits; each round fuses and plans anew.
 */
import type { AdapterProfile } from "../executable.ts";
import { FaxError } from "../diagnostics/index.ts";
import { ExprPool } from "../lower/expr-pool.ts";
import type { Graph } from "../lower/graph.ts";
import { bytesText } from "./count-text.ts";
import { definitionsIn, type Unit } from "./definition.ts";
import { fuseUnits, unitsOf } from "./fuse.ts";
import type { FusedProgram } from "./kernel.ts";
import { planMemory } from "./memory-plan.ts";
import type { MemoryPlan } from "./memory-plan-types.ts";
import { rematerialize } from "./rematerialize.ts";

export interface FitOptions {
  readonly profile: AdapterProfile;
  /** Inputs, by position, that the caller gives up. */
  readonly donated: readonly number[];
  /** Bytes that a call may take besides its inputs. */
  readonly memoryLimit: number;
}

/** So many rounds without a smaller plan are enough. */
const mostInVain = 6;
const mostRounds = 64;
/** Of what is alive at the peak, so much may be alive after a round. */
const stepDown = 0.9;

/** Throws FAX2009 if it does not fit. */
export function fitMemory(graph: Graph, options: FitOptions): { program: FusedProgram; plan: MemoryPlan } {
  const { profile, donated, memoryLimit } = options;
  const maxBindings = profile.limits.maxStorageBuffersPerShaderStage;
  const pool = new ExprPool();
  let normal = unitsOf(graph, pool);
  let first = Infinity;
  let least = Infinity;
  for (let round = 0, inVain = 0; round < mostRounds && inVain < mostInVain; round++) {
    const program = fuseUnits(normal, { maxBindings, adapter: profile }, pool);
    const plan = planMemory(program, profile, donated);
    const { peakBytes, peakLowerBound } = plan;
    if (peakBytes <= memoryLimit) {
      return { program, plan: { ...plan, reasons: [...plan.reasons, ...repetitionsIn(normal.units)] } };
    }
    if (round === 0) first = peakBytes;
    inVain = peakBytes < least ? 0 : inVain + 1;
    least = Math.min(least, peakBytes);
    // What the plan wastes is not there for values. Step by step: a choice is the better the more is known of the others.
    const target = Math.max(memoryLimit - (peakBytes - peakLowerBound), stepDown * peakLowerBound);
    const units = rematerialize(normal, program, { profile, donated, target }, pool);
    if (units === null) break;
    normal = { ...normal, units };
  }
  throw new FaxError({
    code: "FAX2009",
    message: `memoryLimit: the program takes ${bytesText(first)} besides its arguments and may take ${bytesText(memoryLimit)}; computing values again brings it to ${bytesText(least)}, ${bytesText(least - memoryLimit)} too many`,
    help: "allow more, use smaller batches, or donate arguments whose place the results may take (donateArgnums)",
  });
}

function repetitionsIn(units: readonly Unit[]): string[] {
  return [...new Set([...definitionsIn(units)].flatMap(({ again }) => again?.reason ?? []))];
}
