/** Finds npm packages next to this one, whatever their `exports` hide. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export interface InstalledPackage {
  readonly folder: string;
  readonly version: string;
}

export function installedPackage(name: string): InstalledPackage | null {
  for (const searched of createRequire(import.meta.url).resolve.paths(name) ?? []) {
    const folder = join(searched, name);
    const manifest = join(folder, "package.json");
    if (!existsSync(manifest)) continue;
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string };
    return { folder, version };
  }
  return null;
}
