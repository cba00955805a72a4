/** The way of a program, from the Jaxpr that tracing made to what runs. It reads top to bottom; nothing flows backwards. */
import { generateExecutable, type GenerateExecutableOptions } from "./codegen/index.ts";
import type { ScheduleChoice } from "./codegen/schedule-choice.ts";
import { debugSwitches } from "./diagnostics/index.ts";
import type { AdapterProfile, Executable, KernelCode } from "./executable.ts";
import { fitMemory } from "./fuse/fit-memory.ts";
import { fuse } from "./fuse/fuse.ts";
import type { FusedProgram } from "./fuse/kernel.ts";
import { planMemory } from "./fuse/memory-plan.ts";
import type { MemoryPlan } from "./fuse/memory-plan-types.ts";
import { printKernels } from "./fuse/print-kernels.ts";
import { printMemoryPlan } from "./fuse/print-memory.ts";
import { checkJaxpr, type PrimitiveTable } from "./ir/check.ts";
import { isJaxpr, type Jaxpr } from "./ir/jaxpr.ts";
import { printJaxpr } from "./ir/print.ts";
import { erasePlacements } from "./lower/erase-placements.ts";
import type { Graph } from "./lower/graph.ts";
import { lowerJaxpr } from "./lower/lower-jaxpr.ts";
import { printGraph } from "./lower/print-graph.ts";
import { findPrimitive } from "./primitives/define.ts";
import { type Reporter, reporter } from "./diagnostics/report.ts";
import { cse } from "./transforms/cse.ts";
import { dce } from "./transforms/dce.ts";
import { hoist } from "./transforms/hoist.ts";
import { simplify } from "./transforms/simplify.ts";

const primitives: PrimitiveTable = { find: findPrimitive };

/** A program without constvars, optimized; placements as they were. Results agree bit for bit. */
export function optimize(jaxpr: Jaxpr): Jaxpr {
  const report = reporter();
  const live = pass("dce", dce, jaxpr, report);
  const simple = pass("simplify", simplify, live, report);
  const hoisted = pass("hoist", hoist, simple, report);
  const shared = pass("cse", cse, hoisted, report);
  return last(pass("dce", dce, shared, report));
}

/** Placements erased: a group is a leading axis. */
export function flatten(jaxpr: Jaxpr): Jaxpr {
  const report = reporter();
  return optimize(pass("erase", erasePlacements, jaxpr, report));
}

/** Loop IR. */
export function lowered(jaxpr: Jaxpr): Graph {
  const flat = flatten(jaxpr);
  return reporter().stage("lower", "loops", () => lowerJaxpr(flat), printGraph);
}

/** Kernels. */
export function fused(jaxpr: Jaxpr, profile: AdapterProfile): FusedProgram {
  const graph = lowered(jaxpr);
  const maxBindings = profile.limits.maxStorageBuffersPerShaderStage;
  return reporter().stage("fuse", "fused", () => fuse(graph, { maxBindings, adapter: profile }), printKernels);
}

/** What a caller says about a program's memory. */
export interface MemoryOptions {
  /** Inputs, by position, that the caller gives up. */
  readonly donated?: readonly number[];
  /** Bytes that a call may take besides its inputs: values are computed again rather than kept where it takes that. */
  readonly memoryLimit?: number | undefined;
}

/** Kernels and the buffers that they work on. Throws FAX2009 for what cannot keep within its memory limit. */
export function planned(
  jaxpr: Jaxpr,
  profile: AdapterProfile,
  { donated = [], memoryLimit = Infinity }: MemoryOptions = {},
): { program: FusedProgram; plan: MemoryPlan } {
  if (memoryLimit === Infinity) {
    const program = fused(jaxpr, profile);
    const plan = reporter().stage(
      "plan",
      "plan",
      () => planMemory(program, profile, donated),
      (made) => printMemoryPlan(program, made),
    );
    return { program, plan };
  }
  const graph = lowered(jaxpr);
  return reporter().stage(
    "fit",
    "plan",
    () => fitMemory(graph, { profile, donated, memoryLimit }),
    (made) => `${printKernels(made.program)}${printMemoryPlan(made.program, made.plan)}`,
  );
}

/**
 * What runs on an adapter. Throws FAX2003 for what the adapter cannot hold, FAX2009 for what cannot keep within its
 * memory limit.
 */
export function generate(
  jaxpr: Jaxpr,
  profile: AdapterProfile,
  memory: MemoryOptions = {},
  options: GenerateExecutableOptions = {},
): Executable {
  const { program, plan } = planned(jaxpr, profile, memory);
  return reporter().stage(
    "generate",
    "wgsl",
    () => generateExecutable(program, plan, profile, options),
    ({ kernels }) => kernels.map(({ source }) => source).join("\n"),
  );
}

/** What is known of an adapter, or of the program on it, before it is compiled. */
export interface Foreknowledge {
  /** Knows better schedules than are estimated. */
  readonly choose?: ScheduleChoice;
  /** What was compiled before, with the same knowledge and by the same compiler. */
  readonly executables?: ExecutableStore;
  /** Is told of each kernel while the next ones are still being generated, so that the driver may begin with it. */
  readonly onKernel?: (kernel: KernelCode) => void;
}

/** Executables by all that they were compiled from. */
export interface ExecutableStore {
  find(key: string): Executable | null;
  keep(key: string, executable: Executable): void;
}

/** Equations, those of loops included, below which compiling takes no longer than looking up. */
const fewEquations = 32;

const nothing: Foreknowledge = {};

/** A program that is ready to run: on the reference evaluator as it is, on a device after lowering for its adapter. */
export class CompiledProgram {
  /** Optimized, without constvars, placements in it. */
  readonly jaxpr: Jaxpr;
  /** Inputs, by position, whose values the caller gives up. */
  readonly donated: readonly number[];
  readonly #memoryLimit: number | undefined;
  #compiled: {
    readonly profile: AdapterProfile;
    readonly known: Foreknowledge;
    readonly executable: Executable;
  } | null = null;

  constructor(jaxpr: Jaxpr, { donated = [], memoryLimit }: MemoryOptions = {}) {
    this.jaxpr = jaxpr;
    this.donated = donated;
    this.#memoryLimit = memoryLimit;
  }

  /** Lowered for an adapter; computed once. */
  executable(profile: AdapterProfile, known: Foreknowledge = nothing): Executable {
    if (this.#compiled?.profile !== profile || this.#compiled.known !== known) {
      this.#compiled = { profile, known, executable: this.#found(profile, known) };
    }
    return this.#compiled.executable;
  }

  #found(profile: AdapterProfile, { choose, executables, onKernel }: Foreknowledge): Executable {
    const memory = { donated: this.donated, memoryLimit: this.#memoryLimit };
    const make = (): Executable => generate(this.jaxpr, profile, memory, { choose, onKernel });
    // What is found shows no stages.
    const { loops, fused, plan, wgsl, dump } = debugSwitches();
    const shown = loops || fused || plan || wgsl || dump !== null;
    if (executables === undefined || shown || countEqns(this.jaxpr) < fewEquations) return make();
    const key = JSON.stringify({ profile, ...memory, program: printJaxpr(this.jaxpr) });
    const kept = reporter().stage(
      "find",
      "wgsl",
      () => executables.find(key),
      () => "",
    );
    if (kept !== null) return kept;
    const executable = make();
    executables.keep(key, executable);
    return executable;
  }
}

function countEqns({ eqns }: Jaxpr): number {
  const inside = eqns.flatMap(({ params }) => Object.values(params).filter(isJaxpr));
  return inside.reduce((sum, jaxpr) => sum + countEqns(jaxpr), eqns.length);
}

function pass(name: string, run: (jaxpr: Jaxpr) => Jaxpr, jaxpr: Jaxpr, report: Reporter): Jaxpr {
  const result = report.stage(name, "ir", () => run(jaxpr), printJaxpr);
  if (debugSwitches().check === "passes") checkJaxpr(result, primitives, { what: `what ${name} made` });
  return result;
}

/** The result of a row of passes. */
function last(jaxpr: Jaxpr): Jaxpr {
  if (debugSwitches().check === "ends") checkJaxpr(jaxpr, primitives, { what: "what the passes made" });
  return jaxpr;
}
