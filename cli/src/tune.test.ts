import { plainStyle } from "@fax/compiler/diagnostics";
import { expect, test } from "vitest";
import { renderReport } from "./tune.ts";

test("the table has a line for each kernel, and what was gained in a call", () => {
  const cost = { flops: 1, bytesMoved: 1 };
  const text = renderReport(
    {
      device: "an adapter",
      file: "/cache/schedules/an-adapter.json",
      kernels: [
        {
          kernel: "dot_general_add",
          runs: 10,
          ...cost,
          estimated: { schedule: "8 × 16 a thread", ms: 12.5 },
          best: { schedule: "4 × 20 a thread", ms: 10 },
          legal: 200,
          tried: 16,
          wrong: 1,
        },
        {
          kernel: "softmax",
          runs: 1,
          ...cost,
          estimated: { schedule: "thread per row", ms: 0.25 },
          best: { schedule: "thread per row", ms: 0.25 },
          legal: 9,
          tried: 0,
          wrong: 0,
        },
      ],
    },
    { style: { stdout: plainStyle, stderr: plainStyle } },
  );
  expect(text).toMatchInlineSnapshot(`
    "kernel           runs  estimate      best   gain  schedules
    dot_general_add    10   12.5 ms   10.0 ms  1.25×  16 of 200             4 × 20 a thread; 1 gave other results
    softmax             1  0.250 ms  0.250 ms      –  0 of 9, no time left  thread per row

    1 of 2 kernels run faster than by the estimate on an adapter: 100.3 ms a call instead of 125.3 ms
    kept in /cache/schedules/an-adapter.json
    "
  `);
});
