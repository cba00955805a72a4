/** Node processes that run the repository's sources as they are, so that no build must be fresh. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const asModule = (text: string): string => `data:text/javascript,${encodeURIComponent(text)}`;

/** Node's hook for loading hands TypeScript to esbuild. */
const hooks = asModule(`
  import { readFile } from "node:fs/promises";
  import { fileURLToPath } from "node:url";
  import { transform } from ${JSON.stringify(pathToFileURL(createRequire(import.meta.url).resolve("esbuild")).href)};
  export async function load(url, context, next) {
    if (!url.endsWith(".ts")) return next(url, context);
    const text = await readFile(fileURLToPath(url), "utf8");
    const { code } = await transform(text, { loader: "ts", target: "node20", sourcefile: url });
    return { format: "module", source: code, shortCircuit: true };
  }
`);
const register = asModule(`import { register } from "node:module"; register(${JSON.stringify(hooks)});`);

const root = new URL("../../", import.meta.url);

/** The file: URL of a source of the repository. */
export function sourceUrl(path: string): string {
  return new URL(path, root).href;
}

export interface Finished {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

export interface ProcessOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a module's text, with `args` as its arguments. */
export function runModule(text: string, args: readonly string[], options: ProcessOptions): Promise<Finished> {
  return start(["--input-type=module", "--eval", text, "--", ...args], options);
}

/** Runs the `fax` command. */
export function runFax(args: readonly string[], options: ProcessOptions): Promise<Finished> {
  return start([fileURLToPath(sourceUrl("cli/src/main.ts")), ...args], options);
}

async function start(args: readonly string[], { cwd, env = {} }: ProcessOptions): Promise<Finished> {
  const child = spawn(process.execPath, ["--conditions=@fax/source", "--import", register, ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (err += text));
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { exitCode, out, err };
}
