/** TypeScript's errors in a user's module, by the compiler's API. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Diagnostic } from "@fax/compiler/diagnostics";
import ts from "typescript";
import { resolveInstalled } from "./load-module.ts";

/**
 * Every error in `file` and what it imports of the user's own, strictly checked; `@fax/…` has the types of the packages that
 * this command runs with.
 */
export function typeErrors(
  file: string,
  resolveFax: (name: string) => string | undefined = resolveInstalled,
): Diagnostic[] {
  const options = compilerOptions(file);
  const host = ts.createCompilerHost(options);
  const cache = ts.createModuleResolutionCache(host.getCurrentDirectory(), (name) => name, options);
  host.resolveModuleNameLiterals = (literals, importer) =>
    literals.map(({ text }) => {
      const types = text.startsWith("@fax/") ? typesOf(resolveFax(text)) : undefined;
      if (types === undefined) return ts.resolveModuleName(text, importer, options, host, cache);
      const extension = types.endsWith(".d.ts") ? ts.Extension.Dts : ts.Extension.Ts;
      return { resolvedModule: { resolvedFileName: types, extension, isExternalLibraryImport: true } };
    });
  const program = ts.createProgram([file], options, host);
  return ts
    .getPreEmitDiagnostics(program)
    .filter(({ category, file: source }) => category === ts.DiagnosticCategory.Error && isUserFile(program, source))
    .map(toDiagnostic);
}

/** What the loader accepts, checked strictly: a bundler's resolution, and any file a module. */
function compilerOptions(file: string): ts.CompilerOptions {
  const nodeTypes = typesOfNode(file);
  return {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts", ...(nodeTypes === undefined ? ["lib.dom.d.ts"] : [])],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    allowImportingTsExtensions: true,
    allowJs: true,
    resolveJsonModule: true,
    ...(nodeTypes === undefined ? { types: [] } : { types: ["node"], typeRoots: [nodeTypes] }),
  };
}

/** Of a long explanation, how many lines are shown: it narrows down, so these are the last. */
const detailLines = 6;

/** The folder that holds `@types/node`, the user's or else this command's. */
function typesOfNode(file: string): string | undefined {
  for (const from of [file, fileURLToPath(import.meta.url)]) {
    try {
      return dirname(dirname(createRequire(from).resolve("@types/node/package.json")));
    } catch {
      // The next place may have it.
    }
  }
  return undefined;
}

/** The declarations beside a package's entry point, or the entry point itself where it is source text. */
function typesOf(url: string | undefined): string | undefined {
  if (url === undefined || !url.startsWith("file:")) return undefined;
  const path = fileURLToPath(url);
  const types = path.replace(/\.js$/, ".d.ts");
  return existsSync(types) ? types : undefined;
}

function isUserFile(program: ts.Program, source: ts.SourceFile | undefined): boolean {
  return source === undefined || !(program.isSourceFileFromExternalLibrary(source) || source.isDeclarationFile);
}

function toDiagnostic({ code, messageText, file, start, relatedInformation = [] }: ts.Diagnostic): Diagnostic {
  const [message = "", ...details] = ts.flattenDiagnosticMessageText(messageText, "\n").split("\n");
  const position = (source: ts.SourceFile, offset: number): { file: string; line: number; column: number } => {
    const { line, character } = source.getLineAndCharacterOfPosition(offset);
    return { file: source.fileName, line: line + 1, column: character + 1 };
  };
  return {
    code: "FAX3007",
    message: `types: ${message.replace(/\.$/, "")} (TS${code})`,
    source: file && start !== undefined ? position(file, start) : null,
    notes: [
      ...(details.length > 0
        ? [
            {
              text: details
                .slice(-detailLines)
                .map((line) => line.trim())
                .join("\n"),
            },
          ]
        : []),
      ...relatedInformation.map((related) => ({
        text: ts.flattenDiagnosticMessageText(related.messageText, "\n").replace(/\.$/, ""),
        source: related.file && related.start !== undefined ? position(related.file, related.start) : null,
      })),
    ],
  };
}
