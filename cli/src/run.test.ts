import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainStyle } from "@fax/compiler/diagnostics";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatDuration, ProgressBar } from "./progress-bar.ts";
import { experimentOf, formatMetric, run, type RunDocument, type RunOptions } from "./run.ts";
import type { Terminal } from "./terminal.ts";

let cwd: string;

/** Four rounds; what it is started with comes back as metrics. */
const counting = `
  export default {
    kind: "experiment",
    rounds: 4,
    async start({ rounds = 4, clients = 5, seed = 0 }) {
      let done = 0;
      return {
        rounds,
        async round() {
          if (globalThis.interrupt && done === 1) globalThis.interrupt();
          done += 1;
          return { round: done, metrics: { loss: seed + 1 / done, accuracy: (done - 1) / 4, clients } };
        },
      };
    },
  };
`;

beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), "fax-test-"));
  writeFileSync(join(cwd, "counting.fax.ts"), counting);
});

afterAll(() => rmSync(cwd, { recursive: true }));

class Recorder implements Terminal {
  readonly cwd = cwd;
  readonly style = { stdout: plainStyle, stderr: plainStyle };
  readonly columns: number | null;
  out = "";
  err = "";
  listeners: (() => void)[] = [];
  aborted: number | null = null;

  constructor(columns: number | null = null) {
    this.columns = columns;
  }

  stdout(text: string): void {
    this.out += text;
  }

  stderr(text: string): void {
    this.err += text;
  }

  onInterrupt(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => void (this.listeners = this.listeners.filter((other) => other !== listener));
  }

  abort(exitCode: number): void {
    this.aborted = exitCode;
  }
}

async function record(options: RunOptions, terminal = new Recorder()): Promise<Recorder> {
  expect(await run("counting.fax.ts", { device: "reference", ...options }, terminal)).toBe(0);
  return terminal;
}

/** Times are the only thing that differs from run to run. */
const timeless = (text: string): string => text.replace(/[\d.]+ (?:ms|s)\b/g, "… ms");

test("a line per round, and a summary", async () => {
  const { out, err, listeners } = await record({});
  expect(timeless(out)).toMatchInlineSnapshot(`
    "round 1/4   loss 1.0000   accuracy   0.00 %   clients 5.0000   … ms
    round 2/4   loss 0.5000   accuracy  25.00 %   clients 5.0000   … ms
    round 3/4   loss 0.3333   accuracy  50.00 %   clients 5.0000   … ms
    round 4/4   loss 0.2500   accuracy  75.00 %   clients 5.0000   … ms
    4 rounds in … ms on reference evaluator: loss 0.2500, accuracy 75.00 %, clients 5.0000
    "
  `);
  expect(err.split("\n")[0]).toMatch(/^device: reference evaluator/);
  expect(listeners).toEqual([]);
});

test("options reach the experiment", async () => {
  const { out } = await record({ rounds: 2, clients: 7, seed: 100, json: true });
  const document = JSON.parse(out) as RunDocument;
  expect(document.rounds.map(({ round, metrics }) => [round, metrics["loss"]])).toEqual([
    [1, 101],
    [2, 100.5],
  ]);
  expect(document.final).toEqual({ loss: 100.5, accuracy: 0.25, clients: 7 });
  expect(document.device).toMatch(/reference/);
  expect(Object.keys(document)).toEqual(["device", "rounds", "final"]);
});

test("Ctrl-C ends after the round, a second one at once", async () => {
  const terminal = new Recorder();
  const holder = globalThis as { interrupt?: () => void };
  holder.interrupt = () => terminal.listeners.forEach((listener) => listener());
  try {
    await record({}, terminal);
    expect(terminal.err).toMatch(/stopped after round 2\n$/);
    expect(terminal.out).toMatch(/\n2 rounds in /);
    expect(terminal.aborted).toBeNull();
    holder.interrupt = () => [1, 2].forEach(() => terminal.listeners.forEach((listener) => listener()));
    await record({}, terminal);
    expect(terminal.aborted).toBe(130);
  } finally {
    delete holder.interrupt;
  }
});

test("what is no experiment is named", () => {
  expect(() => experimentOf({ file: "/a.fax.ts", exports: { loss: 1, w: 2 } })).toThrow(
    "FAX3004 run: the module has no default export; it exports loss, w",
  );
  expect(() => experimentOf({ file: "/a.fax.ts", exports: { default: 1 } })).toThrow(
    "FAX3005 run: the default export is no experiment",
  );
});

test("numbers as people read them", () => {
  expect(formatMetric("accuracy", 0.9123)).toBe(" 91.23 %");
  expect(formatMetric("loss", 0.25)).toBe("0.2500");
  expect(formatMetric("loss", 1.5e-7)).toBe("1.500e-7");
  expect(formatMetric("loss", NaN)).toBe("NaN");
  expect([12.4, 999.6, 4200, 80_000].map(formatDuration)).toEqual(["12 ms", "1.0 s", "4.2 s", "1 min 20 s"]);
});

test("the bar is drawn on a terminal alone", () => {
  const silent = new Recorder();
  new ProgressBar(silent, 4).advance(1);
  expect(silent.err).toBe("");
  let time = 0;
  const terminal = new Recorder(60);
  const bar = new ProgressBar(terminal, 4, () => time);
  time = 2000;
  bar.advance(1);
  expect(terminal.err.split("\r\u001b[2K").at(-1)).toBe(`${"━".repeat(34)} round 2 of 4, 6.0 s left`);
  bar.advance(4);
  bar.clear();
  expect(terminal.err.endsWith("\r\u001b[2K")).toBe(true);
});
