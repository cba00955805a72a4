/** Which program of a module a command is about. */
import { type AnyProgram, isProgram, type TracedProgram, traceProgram, withClients } from "@fax/core";
import { FaxError } from "@fax/compiler/diagnostics";
import type { LoadedModule } from "./load-module.ts";

export interface Entry {
  /** The export's name. */
  readonly name: string;
  readonly program: AnyProgram;
}

/** Every program that a module exports, by itself or as part of an experiment. */
export function programsOf({ exports }: Pick<LoadedModule, "exports">): Entry[] {
  return Object.entries(exports).flatMap(([name, value]) => {
    const program = programIn(value);
    return program === undefined ? [] : [{ name, program }];
  });
}

/**
 * The program that is exported as `name`; without a name the default export's, or else the only one.
 *
 * Errors: FAX3004 where there is none or where it isn't clear which, FAX3005 where the export is no program.
 */
export function entryOf(module: Pick<LoadedModule, "file" | "exports">, name?: string): Entry {
  const programs = programsOf(module);
  const source = { file: module.file, line: 1, column: 1 };
  const legal = programs.map((entry) => entry.name).join(", ");
  const help =
    programs.length === 0 ? "export const loss = program({ placements, args }, fn)" : `--entry is one of ${legal}`;
  if (name !== undefined) {
    const found = programs.find((entry) => entry.name === name);
    if (found) return found;
    const exists = Object.hasOwn(module.exports, name);
    const names = Object.keys(module.exports).join(", ") || "nothing";
    throw new FaxError({
      code: exists ? "FAX3005" : "FAX3004",
      message: exists
        ? `entry: the export ${name} is no program`
        : `entry: there is no export ${name}; the module exports ${names}`,
      source,
      help,
    });
  }
  const chosen =
    programs.find((entry) => entry.name === "default") ?? (programs.length === 1 ? programs[0] : undefined);
  if (chosen) return chosen;
  throw new FaxError({
    code: "FAX3004",
    message:
      programs.length === 0
        ? `entry: the module exports no program; it exports ${Object.keys(module.exports).join(", ") || "nothing"}`
        : `entry: the module exports several programs, ${legal}, and none as its default`,
    source,
    help,
  });
}

/** The Jaxpr of an entry, under the export's name where the program has none of its own. */
export function traceEntry({ name, program }: Entry): TracedProgram {
  const traced = traceProgram(program);
  return traced.name === "program" ? { ...traced, name } : traced;
}

function programIn(value: unknown): AnyProgram | undefined {
  if (isProgram(value)) return value;
  const isExperiment = typeof value === "object" && value !== null && "kind" in value && value.kind === "experiment";
  if (!isExperiment || !("program" in value) || !isProgram(value.program)) return undefined;
  const { program } = value;
  return "clients" in value && typeof value.clients === "number" ? withClients(program, value.clients) : program;
}
