/** JAX's figures for the same rows: measured by `jax_rows.py` in a process of its own, or read from what it wrote. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface JaxRun {
  readonly version: string;
  readonly device: string;
  /** Milliseconds per call, by the row's name. */
  readonly rows: ReadonlyMap<string, number>;
}

interface JaxFile {
  readonly jax: string;
  readonly device: string;
  readonly rows: Readonly<Record<string, { readonly median: number }>>;
}

const script = "test/bench/jax_rows.py";

export interface JaxOptions {
  /** A Python to run, or a JSON file of an earlier run. */
  readonly source: string;
  readonly quick: boolean;
  readonly only: readonly string[];
  readonly budget: number;
}

/** The run, or a sentence that says why there is none. */
export function jaxRun({ source, quick, only, budget }: JaxOptions): JaxRun | string {
  if (source.endsWith(".json")) return existsSync(source) ? read(source) : `${source} is not there`;
  const hasJax = spawnSync(source, ["-c", "import jax"], { stdio: "ignore" });
  if (hasJax.error) return `${source} is not installed`;
  if (hasJax.status !== 0) return `${source} has no jax`;
  if (!existsSync(script)) return `${script} is not there`;
  const folder = mkdtempSync(join(tmpdir(), "fax-bench-"));
  try {
    const file = join(folder, "jax.json");
    const args = [script, "--json", file, "--budget", `${budget}`, ...(quick ? ["--quick"] : [])];
    // Names are given as they are: a Python that fails says why on stderr.
    const { status } = spawnSync(source, only.length > 0 ? [...args, "--only", only.join(",")] : args, {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return status === 0 ? read(file) : `${script} failed`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function read(file: string): JaxRun {
  const { jax, device, rows } = JSON.parse(readFileSync(file, "utf8")) as JaxFile;
  return { version: jax, device, rows: new Map(Object.entries(rows).map(([name, { median }]) => [name, median])) };
}
