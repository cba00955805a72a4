import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FaxError, plainStyle } from "@fax/compiler/diagnostics";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadModule } from "./load-module.ts";
import { renderError } from "./report-error.ts";

let cwd: string;

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "fax-test-"));
});

afterAll(() => rmSync(cwd, { recursive: true }));

function write(name: string, text: string): string {
  writeFileSync(join(cwd, name), text);
  return name;
}

/** What loading a module of this text prints. */
async function failure(text: string): Promise<string> {
  try {
    await loadModule(write("broken.fax.ts", text), { cwd });
  } catch (error) {
    return renderError(error, { cwd, style: plainStyle });
  }
  throw new Error("the module loads");
}

test("TypeScript, other files of the user's and Node's own modules are loaded", async () => {
  write("half.ts", "export enum Sign { plus = 1 }\nexport const half = (x: number): number => x / 2;\n");
  const file = write(
    "good.fax.ts",
    'import { join } from "node:path";\nimport { half, Sign } from "./half.ts";\nexport const four = await Promise.resolve(half(8) * Sign.plus);\nexport default join("a", "b");\n',
  );
  const loaded = await loadModule(file, { cwd });
  expect(loaded.file).toBe(join(cwd, file));
  expect(loaded.exports).toMatchObject({ four: 4, default: join("a", "b") });
});

test("no temporary file stays behind", async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith("fax-"));
  await loadModule(write("clean.fax.ts", "export {};\n"), { cwd });
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith("fax-") && !before.includes(name))).toEqual([]);
});

test("a file is loaded anew each time", async () => {
  expect((await loadModule(write("twice.fax.ts", "export default 1;\n"), { cwd })).exports["default"]).toBe(1);
  expect((await loadModule(write("twice.fax.ts", "export default 2;\n"), { cwd })).exports["default"]).toBe(2);
});

test("fax's packages are those that the command runs with", async () => {
  const stand = write("core.mjs", "export const np = 'the one instance';\n");
  const file = write("uses.fax.ts", 'import { np } from "@fax/core";\nexport default np;\n');
  const asked: string[] = [];
  const resolveFax = (name: string): string => {
    asked.push(name);
    return new URL(`file://${join(cwd, stand)}`).href;
  };
  expect((await loadModule(file, { cwd, resolveFax })).exports["default"]).toBe("the one instance");
  expect(asked).toEqual(["@fax/core"]);
});

test("a missing file", async () => {
  await expect(loadModule("none.fax.ts", { cwd })).rejects.toThrow("FAX3001 fax: there is no file none.fax.ts");
});

test("a syntax error", async () => {
  expect(await failure("const x = 1;\nconst π = 'ü'; const y = = 2;\n")).toMatchInlineSnapshot(`
    "error[FAX3002] syntax: unexpected "="
      broken.fax.ts:2:26
      2 │ const π = 'ü'; const y = = 2;
        │                          ^
    "
  `);
});

test("an import that leads nowhere", async () => {
  expect(await failure('import { x } from "./model.ts";\nexport default x;\n')).toMatchInlineSnapshot(`
    "error[FAX3003] import: could not resolve "./model.ts"
      broken.fax.ts:1:19
      1 │ import { x } from "./model.ts";
        │                   ^
      help: paths are relative to the importing file, and end as the file's name does, as in ./model.ts
    "
  `);
  expect(await failure('import x from "no-such-package-here";\nexport default x;\n')).toMatchInlineSnapshot(`
    "error[FAX3003] import: could not resolve "no-such-package-here"
      broken.fax.ts:1:15
      1 │ import x from "no-such-package-here";
        │               ^
      help: npm install no-such-package-here
    "
  `);
});

test("a name that an imported file does not export", async () => {
  write("half.ts", "export const half = 0.5;\n");
  expect(await failure('import { quarter } from "./half.ts";\nexport default quarter;\n')).toMatch(
    /^error\[FAX300[23]\] .*"quarter"/,
  );
});

test("a FaxError of the module passes through", async () => {
  const thrown = new FaxError({ code: "FAX1201", message: "add: shapes [2] and [3] differ" });
  (globalThis as { thrownByTest?: unknown }).thrownByTest = thrown;
  const file = write("throws.fax.ts", "throw (globalThis as any).thrownByTest;\n");
  await expect(loadModule(file, { cwd })).rejects.toBe(thrown);
});
