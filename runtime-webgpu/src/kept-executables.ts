/**
 * Compiled programs that outlive the process: one file each in the cache folder, found by a digest of what they were compiled
 * from and compared with all of it. What cannot be read is compiled again; the least recently used go first.
 */
import type { Executable } from "@fax/compiler/executable";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readKept, writeKept } from "./cache-folder.ts";

/** Bytes of all files, beyond which the oldest go. */
const mostBytes = 2 ** 26;

interface KeptFile {
  readonly key: string;
  readonly executable: Executable;
}

export class KeptExecutables {
  readonly #folder: string;
  readonly #mostBytes: number;
  readonly #writing = new Set<Promise<void>>();

  constructor(folder: string, most = mostBytes) {
    this.#folder = join(folder, "executables");
    this.#mostBytes = most;
  }

  /** What was kept under exactly this key. */
  find(key: string): Executable | null {
    const path = this.#pathOf(key);
    const text = readKept(path);
    if (text === null) return null;
    try {
      const file = JSON.parse(text) as KeptFile;
      if (file.key !== key) return null;
      const now = new Date();
      utimesSync(path, now, now);
      return file.executable;
    } catch {
      return null;
    }
  }

  /** Written when the event loop turns; that it cannot be written harms nothing. */
  keep(key: string, executable: Executable): void {
    const writing = new Promise<void>((resolve) => {
      setImmediate(() => {
        try {
          writeKept(this.#pathOf(key), JSON.stringify({ key, executable } satisfies KeptFile));
          this.#forgetOldest();
        } catch {
          // A folder that is read-only, a disk that is full.
        }
        this.#writing.delete(writing);
        resolve();
      });
    });
    this.#writing.add(writing);
  }

  /** What is to be kept until now is written. */
  async written(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #pathOf(key: string): string {
    return join(this.#folder, `${createHash("sha256").update(key).digest("hex").slice(0, 40)}.json`);
  }

  #forgetOldest(): void {
    const files = readdirSync(this.#folder).map((name) => {
      const path = join(this.#folder, name);
      const { size, mtimeMs } = statSync(path);
      return { path, size, mtimeMs };
    });
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= this.#mostBytes) return;
      rmSync(path, { force: true });
      total -= size;
    }
  }
}

/** Of all code beside and below a module, so that changed code is told from what wrote a file. */
export function fingerprintOf(moduleUrl: string): string {
  const hash = createHash("sha256");
  const visit = (folder: string): void => {
    const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && entry.name !== "node_modules") visit(path);
      else if (entry.isFile() && /\.m?[jt]s$/.test(entry.name) && !entry.name.endsWith(".d.ts")) {
        hash.update(`${entry.name}\0`).update(readFileSync(path));
      }
    }
  };
  visit(dirname(fileURLToPath(moduleUrl)));
  return hash.digest("hex");
}
