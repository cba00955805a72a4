import { expect, test } from "vitest";
import { traceOf } from "./profile.ts";

test("host phases and kernels lie on one clock; kernels tell how near to the roofline they come", () => {
  const kernel = { name: "add", flops: 1e6, bytes: 8e6, submitted: 20 };
  const { traceEvents } = traceOf(
    "a device",
    [{ name: "encode", start: 19, duration: 0.5 }],
    [
      { ...kernel, start: 5_000_000_000, duration: 2_000_000 },
      { ...kernel, start: 5_003_000_000, duration: 0 },
    ],
    { bytesPerSecond: 8e9, flopsPerSecond: 1e12 },
  );
  const [encode, first, second] = traceEvents.filter(({ ph }) => ph === "X");
  expect(encode).toMatchObject({ name: "encode", ts: 19_000, dur: 500 });
  expect(first).toMatchObject({ name: "add", ts: 20_000, dur: 2000 });
  expect(first?.args).toEqual({ flops: 1e6, bytes: 8e6, "GFLOP/s": 0.5, "GB/s": 4, "% of roofline": 50 });
  expect(second).toMatchObject({ ts: 23_000, args: { flops: 1e6, bytes: 8e6 } });
});
