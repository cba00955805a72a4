/** The way of a program, from the Jaxpr that tracing made to what runs. It reads top to bottom; nothing flows backwards. */
import { debugSwitches } from "./diagnostics/index.ts";
import type { AdapterProfile, Executable } from "./executable.ts";
import { checkJaxpr, type PrimitiveTable } from "./ir/check.ts";
import type { Jaxpr } from "./ir/jaxpr.ts";
import { findPrimitive } from "./primitives/define.ts";
import { cse } from "./transforms/cse.ts";
import { dce } from "./transforms/dce.ts";
import { simplify } from "./transforms/simplify.ts";

const primitives: PrimitiveTable = { find: findPrimitive };

interface Pass {
  readonly name: string;
  readonly run: (jaxpr: Jaxpr) => Jaxpr;
}

const optimizations: readonly Pass[] = [
  { name: "dce", run: dce },
  { name: "simplify", run: simplify },
  { name: "cse", run: cse },
  { name: "dce", run: dce },
];

/** Runs passes in order, checking as the debug switches ask. */
function runPasses(jaxpr: Jaxpr, passes: readonly Pass[]): Jaxpr {
  const { check } = debugSwitches();
  let result = jaxpr;
  if (check !== "none") checkJaxpr(result, primitives, { what: "what tracing made" });
  for (const pass of passes) {
    result = pass.run(result);
    if (check === "passes") checkJaxpr(result, primitives, { what: `what ${pass.name} made` });
  }
  if (check === "ends") checkJaxpr(result, primitives, { what: "what the passes made" });
  return result;
}

/** The same program with less work in it. Results agree bit for bit. */
export function optimize(jaxpr: Jaxpr): Jaxpr {
  return runPasses(jaxpr, optimizations);
}

/** A program that is ready to run: on the reference evaluator as it is, on a device after lowering for its adapter. */
export class CompiledProgram {
  /** Optimized, without constvars, placements in it. */
  readonly jaxpr: Jaxpr;
  #executable: { readonly profile: AdapterProfile; readonly executable: Executable } | null = null;

  constructor(jaxpr: Jaxpr) {
    this.jaxpr = jaxpr;
  }

  /** Lowered for an adapter; computed once. */
  executable(profile: AdapterProfile): Executable {
    if (this.#executable === null || this.#executable.profile !== profile) {
      this.#executable = { profile, executable: lowerProgram(this.jaxpr, profile) };
    }
    return this.#executable.executable;
  }
}

function lowerProgram(_jaxpr: Jaxpr, _profile: AdapterProfile): Executable {
  throw new Error("lowering is being wired");
}
