/** `fax check`: what is wrong with a module, as far as it can be known without running it on a device. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Diagnostic, diagnosticToJson, FaxError, relativePath, renderDiagnostic } from "@fax/compiler/diagnostics";
import { setDevice } from "@fax/core";
import type { ExitCode } from "./command-line.ts";
import { programsOf, traceEntry } from "./entries.ts";
import { loadModule, missingFile } from "./load-module.ts";
import { errorToJson, readFile, renderError } from "./report-error.ts";
import type { Terminal } from "./terminal.ts";
import { typeErrors } from "./type-check.ts";

export interface CheckOptions {
  readonly json?: boolean;
}

/** What `--json` prints: `programs` are those that were traced without a fault. */
export interface CheckDocument {
  readonly ok: boolean;
  readonly diagnostics: readonly ReturnType<typeof errorToJson>[];
  readonly programs: readonly string[];
}

export async function check(path: string, { json }: CheckOptions, terminal: Terminal): Promise<ExitCode> {
  const { cwd } = terminal;
  const file = resolve(cwd, path);
  if (!existsSync(file)) throw missingFile(file, cwd);
  const types = typeErrors(file);
  const { faults, programs } = await tracingFaults(file, cwd);
  const count = types.length + faults.length;
  if (json) {
    const diagnostics = [
      ...types.map((diagnostic: Diagnostic) => diagnosticToJson(diagnostic, { cwd })),
      ...faults.map((fault) => errorToJson(fault, cwd)),
    ];
    const document: CheckDocument = { ok: count === 0, diagnostics, programs };
    terminal.stdout(`${JSON.stringify(document, null, 2)}\n`);
  } else {
    const style = terminal.style.stderr;
    for (const diagnostic of types) {
      terminal.stderr(`${renderDiagnostic(diagnostic, { cwd, style, readFile })}\n\n`);
    }
    for (const fault of faults) terminal.stderr(`${renderError(fault, { cwd, style })}\n`);
    if (count > 0) terminal.stderr(`${style("error", count === 1 ? "1 error" : `${count} errors`)}\n`);
    else {
      const traced = programs.length === 0 ? "no program to trace" : `traced ${programs.join(", ")}`;
      terminal.stdout(`${terminal.style.stdout("good", "✓")} ${relativePath(file, cwd)}: no type errors, ${traced}\n`);
    }
  }
  return count === 0 ? 0 : 1;
}

/** Loads the module and traces every program that it exports; a fault of one does not hide those of the others. */
async function tracingFaults(file: string, cwd: string): Promise<{ faults: unknown[]; programs: string[] }> {
  setDevice("reference");
  const faults: unknown[] = [];
  const programs: string[] = [];
  try {
    for (const entry of programsOf(await loadModule(file, { cwd }))) {
      try {
        traceEntry(entry);
        programs.push(entry.name);
      } catch (error) {
        faults.push(
          error instanceof FaxError ? error.with({ notes: [{ text: `while tracing ${entry.name}` }] }) : error,
        );
      }
    }
  } catch (error) {
    faults.push(error);
  }
  return { faults, programs };
}
