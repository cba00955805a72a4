import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { renderDiagnostic } from "@fax/compiler/diagnostics";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readFile } from "./report-error.ts";
import { typeErrors } from "./type-check.ts";

let cwd: string;

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "fax-test-"));
  writeFileSync(join(cwd, "core.js"), "");
  writeFileSync(
    join(cwd, "core.d.ts"),
    "export interface Server { place: 'server' }\nexport interface Clients { place: 'clients' }\nexport declare function mean(x: Clients): Server;\nexport declare const w: Server;\n",
  );
});

afterAll(() => rmSync(cwd, { recursive: true }));

function errors(text: string): string {
  const file = join(cwd, "a.fax.ts");
  writeFileSync(file, text);
  const resolveFax = (name: string): string | undefined =>
    name === "@fax/core" ? pathToFileURL(join(cwd, "core.js")).href : undefined;
  return typeErrors(file, resolveFax)
    .map((diagnostic) => renderDiagnostic(diagnostic, { cwd, readFile }))
    .join("\n");
}

test("a good module has none: fax's types, Node's, console and top-level await are there", () => {
  expect(
    errors(
      'import { cpus } from "node:os";\nimport { mean } from "@fax/core";\nconsole.log(cpus().length, await Promise.resolve(mean));\n',
    ),
  ).toBe("");
});

test("an error has the user's line, and what TypeScript says of it", () => {
  expect(errors('import { mean, w } from "@fax/core";\n\nexport const m = mean(w);\n')).toMatchInlineSnapshot(`
    "error[FAX3007] types: Argument of type 'Server' is not assignable to parameter of type 'Clients' (TS2345)
      a.fax.ts:3:23
      3 │ export const m = mean(w);
        │                       ^
      note: Types of property 'place' are incompatible.
            Type '"server"' is not assignable to type '"clients"'."
  `);
});

test("strictness, syntax and missing modules", () => {
  expect(errors("export const f = (x) => x;\n")).toContain(
    "error[FAX3007] types: Parameter 'x' implicitly has an 'any'",
  );
  expect(errors("export const = 3;\n")).toContain("error[FAX3007]");
  expect(errors('import "./none.ts";\nimport x from "./none.ts";\nexport default x;\n')).toContain("(TS2307)");
});
