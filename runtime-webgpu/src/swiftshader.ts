/**
 * The embedded software adapter: SwiftShader and a Vulkan loader, carried by an optional npm dependency as an archive.
 * They are unpacked once into a cache folder, which several processes may do at the same time.
 */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { cacheFolder } from "./cache-folder.ts";
import { type InstalledPackage, installedPackage } from "./installed-package.ts";

export const embeddedPackage = "@sparticuz/chromium";

const wanted = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"] as const;

export interface SwiftShader {
  readonly loader: string;
  readonly manifest: string;
}

/** The unpacked adapter, or a sentence that says why there is none. */
export function unpackSwiftShader(): SwiftShader | string {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `the embedded SwiftShader exists for linux-x64 only, not for ${process.platform}-${process.arch}`;
  }
  const carrier = installedPackage(embeddedPackage);
  if (carrier === null) return `the optional package ${embeddedPackage} is not installed`;
  try {
    const folder = unpackedFolder(carrier);
    return { loader: join(folder, "libvulkan.so.1"), manifest: join(folder, "vk_swiftshader_icd.json") };
  } catch (error) {
    return `the embedded SwiftShader could not be unpacked: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A folder appears under its final name only when it is complete: whoever sees it may use it. */
function unpackedFolder(carrier: InstalledPackage): string {
  const archive = join(carrier.folder, "bin", "swiftshader.tar.br");
  const name = `swiftshader-${carrier.version}-${statSync(archive).size}`;
  const cache = cacheFolder();
  const final = join(cache, name);
  if (existsSync(final)) return final;
  const files = readTar(brotliDecompressSync(readFileSync(archive)));
  const unpacking = mkdtempSync(join(cache, `${name}.`));
  try {
    for (const file of wanted) {
      const content = files.get(file);
      if (content === undefined) throw new Error(`${file} is missing in ${archive}`);
      writeFileSync(join(unpacking, file), content, { mode: 0o755 });
    }
    renameSync(unpacking, final);
  } catch (error) {
    rmSync(unpacking, { recursive: true, force: true });
    // Another process was first: its folder is complete.
    if (!existsSync(final)) throw error;
  }
  return final;
}

/** The regular files of a ustar archive, by base name. */
export function readTar(tar: Buffer): Map<string, Buffer> {
  const block = 512;
  const files = new Map<string, Buffer>();
  const text = (start: number, length: number): string =>
    tar.toString("latin1", start, start + length).split("\0", 1)[0] as string;
  for (let header = 0; header + block <= tar.length && tar[header] !== 0;) {
    const size = Number.parseInt(text(header + 124, 12), 8) || 0;
    const type = text(header + 156, 1);
    const content = header + block;
    if (type === "0" || type === "") {
      const name = text(header, 100).split("/").at(-1) as string;
      files.set(name, tar.subarray(content, content + size));
    }
    header = content + Math.ceil(size / block) * block;
  }
  return files;
}
