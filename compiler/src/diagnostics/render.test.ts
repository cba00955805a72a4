import { expect, test } from "vitest";
import { FaxError } from "./diagnostic.ts";
import { relativePath } from "./location.ts";
import { diagnosticToJson, renderDiagnostic } from "./render.ts";
import { ansiStyle, wantsColor } from "./style.ts";

const file = "/home/ada/fed.fax.ts";
const text = `${"\n".repeat(20)}  const d = np.subtract(model, grads);\n\tconst e = np.exp(d);\n`;
const options = { cwd: "/home/ada", readFile: (path: string) => (path === file ? text : undefined) };

const error = new FaxError({
  code: "FAX1301",
  message: "sub: operands are at different placements, @server and @clients[8]",
  source: { file, line: 21, column: 13 },
  notes: [
    { text: "operand 0: f32[256]@server, argument 0 of round", source: null },
    { text: "operand 1: f32[256]@clients[8], produced by dot_general", source: { file, line: 20, column: 17 } },
    { text: "legal here: both @server, or both @clients[8]" },
  ],
  help: "np.subtract(model, federatedMean(grads))",
});

test("an error has its code, place, excerpt, notes and help", () => {
  expect(renderDiagnostic(error.diagnostic, options)).toMatchInlineSnapshot(`
    "error[FAX1301] sub: operands are at different placements, @server and @clients[8]
      fed.fax.ts:21:13
      21 │   const d = np.subtract(model, grads);
         │             ^
      note: operand 0: f32[256]@server, argument 0 of round
      note: operand 1: f32[256]@clients[8], produced by dot_general at fed.fax.ts:20:17
      note: legal here: both @server, or both @clients[8]
      help: np.subtract(model, federatedMean(grads))"
  `);
});

test("without a source, or a file that can be read, the excerpt is left out", () => {
  expect(renderDiagnostic({ code: "FAX1003", message: "f: x is a function" }, options)).toBe(
    "error[FAX1003] f: x is a function",
  );
  const elsewhere = { code: "FAX1003", message: "m", source: { file: "/srv/x.ts", line: 1, column: 1 } } as const;
  expect(renderDiagnostic(elsewhere, options)).toBe("error[FAX1003] m\n  ../../srv/x.ts:1:1");
});

test("the marker keeps tabs, and stands in the window of a long line", () => {
  const tabbed = renderDiagnostic({ code: "FAX1003", message: "m", source: { file, line: 22, column: 12 } }, options);
  expect(tabbed.split("\n").at(-1)).toBe("     │ \t          ^");
  const long = `${"x".repeat(300)}!${"y".repeat(300)}`;
  const source = { file, line: 1, column: 301 };
  const lines = renderDiagnostic({ code: "FAX1003", message: "m", source, excerpt: long }, options).split("\n");
  expect(lines[2]?.length).toBeLessThan(140);
  expect(lines[2]?.[lines[3]?.indexOf("^") ?? -1]).toBe("!");
});

test("colour changes nothing but the escapes", () => {
  const coloured = renderDiagnostic(error.diagnostic, { ...options, style: ansiStyle });
  expect(coloured).toContain("\u001b[1m\u001b[31merror[FAX1301]");
  // oxlint-disable-next-line no-control-regex -- the escapes themselves are the subject
  expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(renderDiagnostic(error.diagnostic, options));
});

test("NO_COLOR, FORCE_COLOR and dumb terminals are respected", () => {
  expect(wantsColor({}, true)).toBe(true);
  expect(wantsColor({}, false)).toBe(false);
  expect(wantsColor({ NO_COLOR: "1", FORCE_COLOR: "1" }, true)).toBe(false);
  expect(wantsColor({ NO_COLOR: "" }, true)).toBe(true);
  expect(wantsColor({ FORCE_COLOR: "1" }, false)).toBe(true);
  expect(wantsColor({ TERM: "dumb" }, true)).toBe(false);
});

test("the JSON form has every field and relative paths", () => {
  const json = diagnosticToJson(error.diagnostic, options);
  expect(json.source).toEqual({ file: "fed.fax.ts", line: 21, column: 13 });
  expect(json.notes[1]?.source?.line).toBe(20);
  expect(diagnosticToJson({ code: "FAX1003", message: "m" }, options)).toEqual({
    code: "FAX1003",
    message: "m",
    source: null,
    notes: [],
    help: null,
  });
});

test("paths are relative where they can be", () => {
  expect(relativePath("/a/b/c.ts", "/a/b")).toBe("c.ts");
  expect(relativePath("/a/b/c.ts", "/a/b/")).toBe("c.ts");
  expect(relativePath("/a/bc/c.ts", "/a/b")).toBe("../bc/c.ts");
  expect(relativePath("/a.ts", "/")).toBe("a.ts");
  expect(relativePath("C:\\a\\b.ts", "C:\\a")).toBe("b.ts");
  expect(relativePath("D:\\a\\b.ts", "C:\\a")).toBe("D:\\a\\b.ts");
  expect(relativePath("<jaxpr>", "/a")).toBe("<jaxpr>");
});
