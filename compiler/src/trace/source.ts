/**
 * Where in the user's code the present operation was written: the first frame of the stack outside the library, mapped
 * to its original source.
 */
import type { SourceLocation } from "../diagnostics/location.ts";

const libraryRoots = new Set<string>([new URL("..", import.meta.url).href]);

/** Frames under this folder (a file: URL) are the library's own and never blamed. */
export function registerLibrary(root: string): void {
  libraryRoots.add(new URL("./", root).href);
}

interface SourceMapEntry {
  originalSource?: string;
  originalLine?: number;
  originalColumn?: number;
}

interface NodeModule {
  findSourceMap(path: string): { findEntry(line: number, column: number): SourceMapEntry } | undefined;
}

const nodeProcess = (globalThis as { process?: { getBuiltinModule?(id: string): unknown } }).process;
const nodeModule = nodeProcess?.getBuiltinModule?.("node:module") as NodeModule | undefined;
const mapped = new Map<string, SourceLocation>();
const mappedLimit = 10_000;

/** The location of the user's call that is being carried out, or null where no user code is on the stack. */
export function userLocation(): SourceLocation | null {
  const limit = Error.stackTraceLimit;
  const prepare = Error.prepareStackTrace;
  let frame: NodeJS.CallSite | undefined;
  let rendered = "";
  Error.stackTraceLimit = 40;
  Error.prepareStackTrace = (error, sites) => {
    frame = sites.find((site) => isUserFrame(site.getScriptNameOrSourceURL() ?? ""));
    if (frame && prepare && !sourceMapOf(frame)) rendered = String(prepare(error, [frame]));
    return "";
  };
  try {
    void new Error().stack;
  } finally {
    Error.prepareStackTrace = prepare;
    Error.stackTraceLimit = limit;
  }
  if (!frame) return null;
  const file = frame.getScriptNameOrSourceURL() ?? "";
  const line = frame.getLineNumber() ?? 1;
  const column = frame.getColumnNumber() ?? 1;
  const key = `${file}:${line}:${column}`;
  let location = mapped.get(key);
  if (!location) {
    location = fromRendered(rendered) ?? fromSourceMap(frame, line, column) ?? { file: pathOf(file), line, column };
    if (mapped.size >= mappedLimit) mapped.clear();
    mapped.set(key, location);
  }
  return location;
}

function isUserFrame(file: string): boolean {
  if (file === "" || file.startsWith("node:") || file.includes("/node_modules/")) return false;
  const url = file.startsWith("/") ? `file://${file}` : file;
  for (const root of libraryRoots) if (url.startsWith(root)) return false;
  return true;
}

function sourceMapOf(site: NodeJS.CallSite): ReturnType<NodeModule["findSourceMap"]> {
  return nodeModule?.findSourceMap(pathOf(site.getScriptNameOrSourceURL() ?? ""));
}

function fromSourceMap(site: NodeJS.CallSite, line: number, column: number): SourceLocation | null {
  const entry = sourceMapOf(site)?.findEntry(line - 1, column - 1);
  if (entry?.originalSource === undefined || entry.originalLine === undefined) return null;
  return { file: pathOf(entry.originalSource), line: entry.originalLine + 1, column: (entry.originalColumn ?? 0) + 1 };
}

/** A stack line that another source-map support (a test runner's) has mapped already. */
function fromRendered(stack: string): SourceLocation | null {
  const match = /\(?((?:file:\/\/)?\/[^()\s]*?):(\d+):(\d+)\)?\s*$/.exec(stack);
  if (!match) return null;
  return { file: pathOf(match[1] as string), line: Number(match[2]), column: Number(match[3]) };
}

function pathOf(file: string): string {
  return file.startsWith("file://") ? decodeURIComponent(new URL(file).pathname) : file;
}
