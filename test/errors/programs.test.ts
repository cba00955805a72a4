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
  const expected =
    at < 0
      ? ""
      : lines
          .slice(at)
          .filter((line) => line.startsWith(expectedLine))
          .map((line) => line.slice(expectedLine.length + 1))
          .join("\n");
  const given = /^\/\/ \$ (.*)$/m.exec(whole)?.[1]?.split(" ") ?? null;
  const fax = given?.indexOf("fax") ?? -1;
  const env = Object.fromEntries(
    (given ?? []).slice(0, Math.max(fax, 0)).map((word) => word.split("=") as [string, string]),
  );
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
const exitCodes = new Map<string, number | null>();

beforeAll(async () => {
  const loaded = cases.filter(({ command }) => command === null).map(({ file }) => file);
  const { out, err } = await runModule(render, loaded, { cwd: folder, env: { FAX_DEVICE: "reference" } });
  if (err !== "") throw new Error(err);
  for (const [file, text] of Object.entries(JSON.parse(out) as Record<string, string>)) printed.set(file, text);
  const commands = cases.map(async ({ file, command }) => {
    if (command === null) return;
    const [env, args] = command;
    const finished = await runFax(args, { cwd: folder, env });
    exitCodes.set(file, finished.exitCode);
    printed.set(file, sameEverywhere(finished.err));
  });
  await Promise.all(commands);
  if (updating) for (const { file, text } of cases) rewrite(file, text, printed.get(file) ?? "");
}, 300_000);

/** Without what depends on the machine: which devices it has, why it lacks others, their limits, and Dawn's warnings. */
function sameEverywhere(text: string): string {
  return text
    .replace(/^Warning: .*\n(?: {4}at .*\.cpp:\d+\)\n\n?)?/gm, "")
    .replace(/^device: .*\n/gm, "")
    .replace(/(no hardware GPU): .*\n {2}help: .*/, "$1: …")
    .replace(/and .* (binds at most) \d+/, "and … $1 …")
    .trimEnd();
}

function rewrite(file: string, text: string, found: string): void {
  // What is no diagnostic is never expected.
  if (!found.startsWith(`error[${file.slice(0, 7)}]`)) return;
  const block = found.split("\n").map((line) => `${expectedLine} ${line}`.trimEnd());
  writeFileSync(join(folder, file), `${text.trimEnd()}\n\n${block.join("\n")}\n`);
}

describe("every diagnostic code", () => {
  it("has a program, or a case that calls the library", () => {
    const covered = new Set([...cases.map(({ code }) => code), ...Object.keys(apiCodes)]);
    expect(Object.keys(codes).filter((code) => !covered.has(code))).toEqual([]);
    expect([...covered].filter((code) => !(code in codes))).toEqual([]);
  });

  it.each(cases.map((one) => [one.file, one] as const))("%s", (file, { code, text, expected, command }) => {
    const found = printed.get(file) ?? "";
    const reported = new RegExp(`^  ${file.replaceAll(".", "\\.")}:(\\d+):\\d+$`, "m").exec(found)?.[1];
    const line = reported === undefined ? null : Number(reported);
    const marked = text.split("\n").findIndex((source) => source.includes(`← ${code}`));
    const internal =
      /^\s+at .*(node_modules|compiler|packages|runtime-webgpu|cli\/src|node:)/m.exec(found)?.[0] ?? null;
    expect(
      { begins: found.slice(0, `error[${code}]`.length), exitCode: exitCodes.get(file) ?? null, line, internal, found },
      "UPDATE_ERRORS=1 npx vitest run test/errors refreshes what is expected",
    ).toEqual({
      begins: `error[${code}]`,
      exitCode: command === null ? null : 1,
      line: marked < 0 ? line : marked + 1,
      internal: null,
      found: updating ? found : expected,
    });
  });
});
