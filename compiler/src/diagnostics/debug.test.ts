import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { debugSwitches, debugSwitchTable, parseDebugSwitches } from "./debug.ts";

test("without switches only the ends of the pipeline are checked", () => {
  const { check, dump, ...flags } = parseDebugSwitches("");
  expect(check).toBe("ends");
  expect(dump).toBeNull();
  expect(Object.values(flags).every((flag) => flag === false)).toBe(true);
});

test("switches are read from a list", () => {
  expect(parseDebugSwitches("times, wgsl,,op-by-op,check=passes,dump=out/a=b")).toMatchObject({
    times: true,
    wgsl: true,
    opByOp: true,
    check: "passes",
    dump: "out/a=b",
    reference: false,
  });
});

test.each(["time", "check=always", "times=1", "dump", "dump="])("%s is refused with the list of switches", (text) => {
  expect(() => parseDebugSwitches(text)).toThrow(/FAX3006 FAX_DEBUG: .*check=none\|ends\|passes/);
});

test("the environment is read as it is now", () => {
  const before = process.env["FAX_DEBUG"];
  try {
    process.env["FAX_DEBUG"] = "reference";
    expect(debugSwitches().reference).toBe(true);
    process.env["FAX_DEBUG"] = "";
    expect(debugSwitches().reference).toBe(false);
  } finally {
    if (before === undefined) delete process.env["FAX_DEBUG"];
    else process.env["FAX_DEBUG"] = before;
  }
});

test("docs/debugging.md has a row for every switch", () => {
  const docs = readFileSync(new URL("../../../docs/debugging.md", import.meta.url), "utf8");
  for (const { name, value, doc } of debugSwitchTable) {
    const text = value === null ? name : `${name}=${value.replaceAll("|", "\\|")}`;
    expect(docs).toContain(`| \`${text}\` | ${doc} |`);
  }
});
