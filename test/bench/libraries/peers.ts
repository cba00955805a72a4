/** The other libraries: a package of their own in `peers/`, installed at the first use, absent on bare machines. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { NotPossible } from "./library.ts";

let folder: string | null = null;

/** Looks for the peers in a folder, `test/bench/peers` below the repository's root. */
export function usePeers(path: string): void {
  folder = resolve(path);
}

/** Installs them from their lockfile, without any install script: none of them needs one for WebGPU. */
export function installPeers(): string | null {
  if (folder === null || existsSync(join(folder, "node_modules"))) return null;
  if (!existsSync(join(folder, "package-lock.json"))) return `${folder} is not there`;
  process.stderr.write("installing the libraries to compare with (once)…\n");
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return status === 0 ? null : "npm ci failed";
}

/** Throws NotPossible where the package is not installed. */
export function importPeer<Module>(name: string): { readonly module: Module; readonly version: string } {
  if (folder === null) throw new NotPossible("other libraries were not asked for");
  const manifest = join(folder, "node_modules", name, "package.json");
  if (!existsSync(manifest)) throw new NotPossible(`${name} is not installed`);
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string };
  return { module: createRequire(join(folder, "package.json"))(name) as Module, version };
}
