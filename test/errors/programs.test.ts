/**
 * A program per diagnostic code, with what the user reads in comments at its end (`//> …`). Refresh them with
 * `UPDATE_ERRORS=1 npx vitest run test/errors`, and read the difference.
 *
 * A program is loaded, and what it exports is traced, unless its first line says a command: `// $ fax inspect …`, with
 * variables of the environment in front. The line that is at fault ends with `// ← CODE`.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { codes } from "@fax/compiler/diagnostics";
import { beforeAll, describe, expect, it } from "vitest";
import { runFax, runModule, sourceUrl } from "../support/node-process.ts";
import { apiCodes } from "./api-cases.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const files = readdirSync(folder).filter((name) => /^FAX\d{4}.*\.(fax\.ts|jaxpr)$/.test(name));
const updating = process.env["UPDATE_ERRORS"] === "1";
const expectedLine = "//>";

interface Case {
  readonly file: string;
  readonly code: string;
  readonly text: string;
  readonly expected: string;
  /** `[variables, arguments of fax]` where the file says a command. */
  readonly command: readonly [env: Record<string, string>, args: readonly string[]] | null;
}

function read(file: string): Case {
  const whole = readFileSync(join(folder, file), "utf8");
  const lines = whole.split("\n");
  const at = lines.findIndex((line) => line.startsWith(expectedLine));
  const text = at < 0 ? whole : lines.slice(0, at).join("\n");
  const expected = at < 0 ? "" : lines.slice(at).filter((line) => line.startsWith(expectedLine)).map((line) => line.slice(expectedLine.length + 1)).join("\n");
  const given = /^\/\/ \$ (.*)$/m.exec(whole)?.[1]?.split(" ") ?? null;
  const fax = given?.indexOf("fax") ?? -1;
  const env = Object.fromEntries((given ?? []).slice(0, Math.max(fax, 0)).map((word) => word.split("=") as [string, string]));
  return { file, code: file.slice(0, 7), text, expected, command: given === null ? null : [env, given.slice(fax + 1)] };
}

/** Loads each module, traces its programs, and gives what the command would print. */
const render = `
  import { registerLibrary } from "@fax/compiler";
  import { plainStyle } from "@fax/compiler/diagnostics";
  import { programsOf, traceEntry } from ${JSON.stringify(sourceUrl("cli/src/entries.ts"))};
  import { loadModule } from ${JSON.stringify(sourceUrl("cli/src/load-module.ts"))};
  import { renderError } from ${JSON.stringify(sourceUrl("cli/src/report-error.ts"))};
  registerLibrary(${JSON.stringify(sourceUrl("cli/src/main.ts"))});
  const cwd = process.cwd();
  const printed = {};
  for (const file of process.argv.slice(1)) {
    try {
      for (const entry of programsOf(await loadModule(file, { cwd }))) traceEntry(entry);
      printed[file] = "";
    } catch (error) {
      printed[file] = renderError(error, { cwd, style: plainStyle }).trimEnd();
    }
  }
  process.stdout.write(JSON.stringify(printed));
`;

const cases = files.map(read);
const printed = new Map<string, string>();

beforeAll(async () => {
  const loaded = cases.filter(({ command }) => command === null).map(({ file }) => file);
  const { out, err } = await runModule(render, loaded, { cwd: folder, env: { FAX_DEVICE: "reference" } });
  if (err !== "") throw new Error(err);
  for (const [file, text] of Object.entries(JSON.parse(out) as Record<string, string>)) printed.set(file, text);
  for (const { file, command } of cases) {
    if (command === null) continue;
    const [env, args] = command;
    const finished = await runFax(args, { cwd: folder, env });
    expect(finished.exitCode, `${file}: ${finished.err}`).toBe(1);
    // Which device a run takes is said before, and is another one elsewhere.
    printed.set(file, finished.err.replace(/^device: .*\n/gm, "").trimEnd());
  }
  if (updating) for (const { file, text } of cases) rewrite(file, text, printed.get(file) ?? "");
}, 300_000);

function rewrite(file: string, text: string, found: string): void {
  const block = found.split("\n").map((line) => `${expectedLine} ${line}`.trimEnd());
  writeFileSync(join(folder, file), `${text.trimEnd()}\n\n${block.join("\n")}\n`);
}

describe("every diagnostic code", () => {
  it("has a program, or a case that calls the library", () => {
    const covered = new Set([...cases.map(({ code }) => code), ...apiCodes]);
    expect(Object.keys(codes).filter((code) => !covered.has(code))).toEqual([]);
    expect([...covered].filter((code) => !(code in codes))).toEqual([]);
  });

  it.each(cases.map((one) => [one.file, one] as const))("%s", (file, { code, text, expected }) => {
    const found = printed.get(file) ?? "";
    expect(found.split("\n")[0]).toMatch(`error[${code}]`);
    if (!updating) expect(found, "UPDATE_ERRORS=1 npx vitest run test/errors refreshes what is expected").toBe(expected);
    expect(found, "an internal stack").not.toMatch(/^\s+at .*(node_modules|compiler|packages|runtime-webgpu|cli\/src|node:)/m);
    const marked = text.split("\n").findIndex((line) => line.includes(`← ${code}`));
    const reported = new RegExp(`^  ${file.replaceAll(".", "\\.")}:(\\d+):\\d+$`, "m").exec(found);
    if (marked >= 0) expect(Number(reported?.[1]), "the line that is at fault").toBe(marked + 1);
  });
});
