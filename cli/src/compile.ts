/** `fax compile`: a compiled program as files, readable by people and by whatever runs it elsewhere. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  type Atom,
  baselineProfile,
  CompiledProgram,
  type Executable,
  formatPlacement,
  optimize,
  printJaxpr,
  type ValueSpec,
} from "@fax/compiler";
import { relativePath } from "@fax/compiler/diagnostics";
import { setDevice, type TracedProgram } from "@fax/core";
import type { ExitCode } from "./command-line.ts";
import { entryOf, traceEntry } from "./entries.ts";
import { loadModule } from "./load-module.ts";
import type { Terminal } from "./terminal.ts";

export interface CompileOptions {
  readonly output: string;
  readonly entry?: string;
  readonly json?: boolean;
}

export async function compile(file: string, options: CompileOptions, terminal: Terminal): Promise<ExitCode> {
  setDevice("reference");
  const traced = traceEntry(entryOf(await loadModule(file, { cwd: terminal.cwd }), options.entry));
  const program = new CompiledProgram(optimize(traced.jaxpr));
  const executable = program.executable(baselineProfile);
  const folder = resolve(terminal.cwd, options.output);
  const manifest = manifestOf(traced, program, executable);
  await rm(join(folder, "kernels"), { recursive: true, force: true });
  await mkdir(join(folder, "kernels"), { recursive: true });
  await writeFile(join(folder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  await writeFile(join(folder, "program.jaxpr"), `${printJaxpr(program.jaxpr)}\n`);
  await Promise.all(
    executable.kernels.map(({ source }, i) => writeFile(join(folder, manifest.kernels[i]?.file ?? ""), source)),
  );
  for (const [i, value] of traced.captured.entries()) {
    const data = await value.data();
    await writeFile(join(folder, constantFile(i)), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  if (options.json) terminal.stdout(`${JSON.stringify(manifest, null, 2)}\n`);
  else {
    const count = executable.kernels.length;
    const kernels = `${count} ${count === 1 ? "kernel" : "kernels"}`;
    const peak = `peak ${executable.peakBytes} bytes besides inputs`;
    terminal.stdout(`${traced.name} → ${relativePath(folder, terminal.cwd)}: ${kernels}, ${peak}\n`);
  }
  return 0;
}

/** The content of manifest.json; sizes and offsets are in bytes, references are indices. */
function manifestOf(traced: TracedProgram, { jaxpr }: CompiledProgram, executable: Executable) {
  const captured = traced.captured.length;
  const value = (spec: ValueSpec, atom: Atom | undefined) => ({
    dtype: spec.dtype,
    // What one member has; in memory the axes of its groups lead.
    shape: atom?.aval.shape ?? spec.shape,
    placement: atom === undefined || atom.kind === "literal" ? "@server" : formatPlacement(atom.aval.placement),
    memoryShape: spec.shape,
    buffer: spec.buffer,
  });
  return {
    format: "fax-executable",
    version: 1,
    program: traced.name,
    target: baselineProfile.name,
    inputs: executable.inputs.map((spec, i) => ({
      name: i < captured ? `captured${i}` : (traced.inputNames[i - captured] ?? `input${i}`),
      ...value(spec, jaxpr.invars[i]),
      ...(i < captured ? { file: constantFile(i) } : {}),
    })),
    outputs: executable.outputs.map((spec, i) => value(spec, jaxpr.outvars[i])),
    buffers: executable.buffers,
    peakBytes: executable.peakBytes,
    kernels: executable.kernels.map(({ name, entryPoint, features, bindings, counters }, i) => ({
      name,
      file: `kernels/${String(i).padStart(3, "0")}-${name.slice(0, 80)}.wgsl`,
      entryPoint,
      features,
      bindings,
      counters,
    })),
    dispatches: executable.steps,
  };
}

/** Row-major, little-endian; a bool takes one byte. */
function constantFile(index: number): string {
  return `captured-${index}.bin`;
}
