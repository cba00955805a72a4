/** Where what is worth keeping between processes lies, and how it is written there. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { randomUUID } from "node:crypto";

/** `off`: nothing that was kept is used, and nothing is kept. A path: another folder than the user's own. */
export const cacheVariable = "FAX_CACHE";

/** The user's cache folder; where that cannot be written, a folder of this user's own in the temporary folder. */
export function cacheFolder(): string {
  const preferred = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "fax");
  try {
    mkdirSync(preferred, { recursive: true });
    rmSync(mkdtempSync(join(preferred, "probe.")), { recursive: true });
    return preferred;
  } catch {
    const user = process.getuid?.() ?? 0;
    const fallback = join(tmpdir(), `fax-cache-${user}`);
    mkdirSync(fallback, { recursive: true, mode: 0o700 });
    // Libraries are loaded from here: a folder that another user made is not to be trusted.
    return statSync(fallback).uid === user ? fallback : mkdtempSync(join(tmpdir(), "fax-cache-"));
  }
}

/** Where the compiler's results are kept; null where FAX_CACHE says off. */
export function resultsFolder(): string | null {
  const setting = process.env[cacheVariable] ?? "";
  if (setting === "off") return null;
  return setting === "" ? cacheFolder() : setting;
}

/** The text of a file; null where there is none to be read. */
export function readKept(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Readers see the old file or the new one, whole. Throws where the folder cannot be written. */
export function writeKept(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.${randomUUID()}`;
  try {
    writeFileSync(unfinished, text);
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
