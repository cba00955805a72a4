/** What a call costs by itself. */
import { bytesOf, type Row, uniform } from "./row.ts";

const tiny = 8;

export function callRows(): Row[] {
  const shared = {
    flops: 2 * tiny,
    bytes: bytesOf(2 * tiny),
    inputs: () => [uniform(1, [tiny])],
    program: (ops, input) => [ops.add(ops.mul(input(0), 0.5), 1)],
    onnx: {
      nodes: [
        { op: "Mul", inputs: ["x0", "half"], output: "p" },
        { op: "Add", inputs: ["p", "one"], output: "y" },
      ],
      scalars: { half: 0.5, one: 1 },
    },
    expected: ([x]) =>
      Array.from({ length: tiny }, (_, index) => ({ output: 0, index, value: (x?.data[index] ?? NaN) * 0.5 + 1 })),
    tolerance: 1e-6,
  } satisfies Partial<Row>;
  return [
    {
      ...shared,
      name: "tiny call, chained",
      mode: "chained",
      without: { onnxruntime: "its results come to the host" },
    },
    { ...shared, name: "tiny call with readback", mode: "readback" },
  ];
}
