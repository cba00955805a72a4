/**
 * Loads a user's module. esbuild bundles the user's own files; what they import from packages stays outside: fax's packages
 * are those that this command runs with, so that there is one tracer, and others are found from the importing file.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Code, FaxError, relativePath, type SourceLocation } from "@fax/compiler/diagnostics";
import { build, type BuildFailure, type Message, type Plugin } from "esbuild";

export interface LoadedModule {
  /** Absolute. */
  readonly file: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

export interface LoadOptions {
  readonly cwd: string;
  /** The file: URL of one of fax's packages, undefined where this command has none of that name. */
  readonly resolveFax?: (name: string) => string | undefined;
}

/**
 * The exports of the TypeScript or JavaScript module at `path`.
 *
 * Errors: FAX3001 where there is no such file, FAX3002 where it does not parse, FAX3003 where an import leads nowhere.
 * What the module itself throws passes through, with the user's own lines in its stack.
 */
export async function loadModule(path: string, options: LoadOptions): Promise<LoadedModule> {
  const file = resolve(options.cwd, path);
  if (!existsSync(file)) throw missingFile(file, options.cwd);
  const folder = await mkdtemp(join(tmpdir(), "fax-"));
  try {
    const output = join(folder, `${randomUUID()}.mjs`);
    await writeFile(output, await bundle(file, output, options.resolveFax ?? resolveInstalled));
    process.setSourceMapsEnabled(true);
    return { file, exports: (await import(pathToFileURL(output).href)) as Record<string, unknown> };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The fault of naming a file that does not exist. */
export function missingFile(file: string, cwd: string): FaxError {
  return new FaxError({ code: "FAX3001", message: `fax: there is no file ${relativePath(file, cwd)}` });
}

/** The packages that this command is installed with. */
export function resolveInstalled(name: string): string | undefined {
  try {
    return import.meta.resolve(name);
  } catch {
    return undefined;
  }
}

async function bundle(file: string, output: string, resolveFax: (name: string) => string | undefined): Promise<string> {
  try {
    const { outputFiles } = await build({
      entryPoints: [file],
      outfile: output,
      absWorkingDir: dirname(file),
      bundle: true,
      write: false,
      format: "esm",
      platform: "node",
      target: "node20",
      sourcemap: "external",
      logLevel: "silent",
      plugins: [externalPackages(resolveFax)],
    });
    const [code, map] = [outputFiles.find(isCode), outputFiles.find((candidate) => !isCode(candidate))];
    return `${code?.text}\n//# sourceMappingURL=data:application/json;base64,${absoluteSources(map?.text ?? "{}", output)}\n`;
  } catch (error) {
    if (isBuildFailure(error) && error.errors[0]) throw bundlingFault(error.errors[0], file);
    throw error;
  }
}

function isCode({ path }: { path: string }): boolean {
  return !path.endsWith(".map");
}

/** The map, in base64, with file: URLs as sources: what reads it need not know where the output lay. */
function absoluteSources(map: string, output: string): string {
  const parsed = JSON.parse(map) as { sources?: string[] };
  const sources = (parsed.sources ?? []).map((source) => pathToFileURL(resolve(dirname(output), source)).href);
  return Buffer.from(JSON.stringify({ ...parsed, sources })).toString("base64");
}

const ours = "resolved by the plugin";

function externalPackages(resolveFax: (name: string) => string | undefined): Plugin {
  return {
    name: "external-packages",
    setup({ onResolve, resolve: resolveAsUsual }) {
      // Everything but relative and absolute paths.
      onResolve({ filter: /^[^./]/ }, async ({ path, resolveDir, importer, kind, pluginData }) => {
        if (pluginData === ours || kind === "entry-point" || isAbsoluteOnWindows(path)) return undefined;
        if (isBuiltin(path)) return { path, external: true };
        const installed = path.startsWith("@fax/") ? resolveFax(path) : undefined;
        if (installed !== undefined) return { path: installed, external: true };
        const found = await resolveAsUsual(path, { resolveDir, importer, kind, pluginData: ours });
        if (found.errors.length > 0 || found.external) return found;
        return { path: pathToFileURL(found.path).href, external: true };
      });
    },
  };
}

function isAbsoluteOnWindows(path: string): boolean {
  return /^[A-Za-z]:[\\/]/.test(path);
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors);
}

function bundlingFault({ text, location, notes }: Message, entry: string): FaxError {
  const missing = /^(?:Could not resolve|No matching export)/.test(text);
  const code: Code = missing ? "FAX3003" : "FAX3002";
  const source: SourceLocation | null = location && {
    file: resolve(dirname(entry), location.file.startsWith("file:") ? fileURLToPath(location.file) : location.file),
    line: location.line,
    // esbuild counts columns from 0, and in bytes of UTF-8.
    column: Buffer.from(location.lineText).subarray(0, location.column).toString().length + 1,
  };
  const sentence = text.slice(0, 1).toLowerCase() + text.slice(1);
  return new FaxError({
    code,
    message: `${missing ? "import" : "syntax"}: ${sentence}`,
    source,
    ...(location ? { excerpt: location.lineText } : {}),
    notes: notes.filter((note) => !/mark the path|as external/i.test(note.text)).map((note) => ({ text: note.text })),
    ...(missing && text.startsWith("Could not resolve") ? { help: importHelp(text) } : {}),
  });
}

function importHelp(text: string): string {
  const name = /"([^"]+)"/.exec(text)?.[1] ?? "";
  return name.startsWith(".")
    ? "paths are relative to the importing file, and end as the file's name does, as in ./model.ts"
    : `npm install ${name}`;
}
