/** The command as a process: streams, exit codes, and one tracer for the user's module and the command. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

let cwd: string;

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "fax-test-"));
});

afterAll(() => rmSync(cwd, { recursive: true }));

const asModule = (text: string): string => `data:text/javascript,${encodeURIComponent(text)}`;

/** Node runs the sources as they are: its hook for loading hands TypeScript to esbuild. */
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
const main = fileURLToPath(new URL("./main.ts", import.meta.url));

async function fax(...args: readonly string[]): Promise<{ exitCode: number | null; out: string; err: string }> {
  const env = { ...process.env, NO_COLOR: "1", FAX_DEVICE: "reference" };
  const child = spawn(process.execPath, ["--conditions=@fax/source", "--import", register, main, ...args], {
    cwd,
    env,
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (err += text));
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { exitCode, out, err };
}

function write(name: string, text: string): string {
  writeFileSync(join(cwd, name), text);
  return name;
}

const loss = `
import { f32, federatedBroadcast, federatedMap, federatedMean, np, program } from "@fax/core";

export const loss = program({ placements: { clients: 3 }, args: [f32(2), f32(2).at("clients")] }, (w, x) =>
  federatedMean(federatedMap((w, x) => np.dot(x, w), federatedBroadcast(w), x)),
);
`;

test("a program is traced by the tracer that the command has, in a folder without packages", async () => {
  const { exitCode, out, err } = await fax("inspect", write("loss.fax.ts", loss), "--sources");
  expect(err).toBe("");
  expect(out).toMatchInlineSnapshot(`
    "{ lambda ; a:f32[2]@server b:f32[2]@clients[3]. let
        c:f32[2]@clients[3] = federated_broadcast[group=clients size=3] a             // loss.fax.ts:5:54
        d:f32[]@clients[3]  = dot_general[dimension_numbers=[[[0],[0]],[[],[]]]] b c  // loss.fax.ts:5:43
        e:f32[]@server      = federated_mean d                                        // loss.fax.ts:5:3
      in (e) }
    "
  `);
  expect(exitCode).toBe(0);
});

test("--json prints one document, and an error is one too", async () => {
  const good = await fax("inspect", write("loss.fax.ts", loss), "--json");
  expect(JSON.parse(good.out)).toMatchObject({ program: "loss", stage: "trace", wrt: 0 });
  const bad = await fax("inspect", "loss.fax.ts", "--entry", "gain", "--json");
  expect(bad.exitCode).toBe(1);
  expect(JSON.parse(bad.out)).toMatchObject({ error: { code: "FAX3004" } });
});

test("a tracing error points into the user's file, without an internal frame", async () => {
  const text = loss.replace(
    "np.dot(x, w), federatedBroadcast(w), x",
    "np.dot(x, np.zeros([3])), federatedBroadcast(w), x",
  );
  const { exitCode, out, err } = await fax("inspect", write("broken.fax.ts", text));
  expect([exitCode, out]).toEqual([1, ""]);
  expect(err).toMatch(/^error\[FAX1201\] .*\n {2}broken\.fax\.ts:5:43\n {2}5 │ {3}federatedMean\(/);
  expect(err).not.toMatch(/\n\s+at /);
});

test("an exception of the user's own shows their frames alone", async () => {
  const text = "function inner(): number {\n  throw new RangeError('too far');\n}\n\nexport default inner();\n";
  const { exitCode, out, err } = await fax("run", write("throws.fax.ts", text));
  expect([exitCode, out]).toEqual([1, ""]);
  expect(err).toMatchInlineSnapshot(`
    "error: RangeError: too far
      throws.fax.ts:2:9
      2 │   throw new RangeError('too far');
        │         ^
      at inner (throws.fax.ts:2:9)
      at throws.fax.ts:5:16
    "
  `);
});

test("text of a program is read back, and its faults are its writer's", async () => {
  write("good.jaxpr", "{ lambda ; a:f32[2]. let b:f32[2] = mul a a in (b) }\n");
  write("bad.jaxpr", "{ lambda ; a:f32[2]. let b:f32[3] = mul a a in (b) }\n");
  expect((await fax("inspect", "good.jaxpr")).out).toBe(
    "{ lambda ; a:f32[2]. let\n    b:f32[2] = mul a a\n  in (b) }\n",
  );
  const bad = await fax("inspect", "bad.jaxpr");
  expect(bad.exitCode).toBe(1);
  expect(bad.err).toMatch(/^error\[FAX4002\] check: bad\.jaxpr is not well-formed: mul: result 0 is bound as f32\[3\]/);
});

test("wrong usage is 2", async () => {
  const { exitCode, out, err } = await fax("inspect");
  expect([exitCode, out]).toEqual([2, ""]);
  expect(err).toMatch(/^usage: missing required argument 'file'/);
});
