import { fileURLToPath } from "node:url";
import { FaxError, InternalError, plainStyle } from "@fax/compiler/diagnostics";
import { expect, test } from "vitest";
import { errorToJson, renderError, userFrames } from "./report-error.ts";

const context = { cwd: "/home/ada", style: plainStyle };

function thrown(stack: string): TypeError {
  const error = new TypeError("x is not a function");
  error.stack = `TypeError: x is not a function\n${stack}`;
  return error;
}

test("of an exception in the user's code only their own frames are shown", () => {
  const stack = [
    "    at loss (file:///home/ada/my%20fed.fax.ts:12:7)",
    `    at trace (${fileURLToPath(new URL("./main.ts", import.meta.url))}:40:3)`,
    "    at async build (/home/ada/node_modules/esbuild/lib/main.js:1:1)",
    "    at async Promise.all (index 0)",
    "    at async /home/ada/my fed.fax.ts:20:1",
    "    at processTicksAndRejections (node:internal/process/task_queues:95:5)",
  ].join("\n");
  expect(userFrames(stack).map(({ name, source }) => [name, source.line])).toEqual([
    ["loss", 12],
    ["", 20],
  ]);
  expect(renderError(thrown(stack), context)).toMatchInlineSnapshot(`
    "error: TypeError: x is not a function
      my fed.fax.ts:12:7
      at loss (my fed.fax.ts:12:7)
      at my fed.fax.ts:20:1
    "
  `);
});

test("an error without a frame of the user's is ours, and names a file", () => {
  const text = renderError(new InternalError("a loop without a body"), context);
  expect(text).toMatch(/^internal error: a loop without a body\n {2}This is a fault of fax, not of your program\.\n/);
  expect(text).toMatch(/fax-internal-error-\d+\.txt/);
  expect(renderError(thrown("    at node:internal/x:1:1"), context)).toMatch(/^internal error:/);
});

test("what the system says is passed on", () => {
  const error = Object.assign(new Error("EACCES: permission denied, mkdir '/x'"), { code: "EACCES", syscall: "mkdir" });
  error.stack = "Error\n    at node:fs:1:1";
  expect(renderError(error, context)).toBe("error: Error: EACCES: permission denied, mkdir '/x'\n");
});

test("anything can be thrown", () => {
  expect(renderError("oh", context)).toBe('error: "oh" was thrown\n');
  expect(renderError(undefined, context)).toBe("error: undefined was thrown\n");
});

test("JSON", () => {
  const error = new FaxError({ code: "FAX3001", message: "fax: there is no file x.ts" });
  expect(errorToJson(error, "/")).toMatchObject({ code: "FAX3001", message: "fax: there is no file x.ts" });
  expect(errorToJson(new RangeError("r"), "/")).toEqual({ code: null, message: "RangeError: r" });
});
