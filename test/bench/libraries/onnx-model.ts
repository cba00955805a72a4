/** ONNX models as bytes: the few fields of onnx.proto that a short graph needs (https://onnx.ai, IR version 8, opset 17). */

export interface OnnxGraph {
  /** In order; `x0`, `x1`, … are the row's inputs, the last output is `y`. */
  readonly nodes: readonly {
    readonly op: string;
    readonly inputs: readonly string[];
    readonly output: string;
    readonly integers?: Readonly<Record<string, number>>;
  }[];
  /** Constants of no dimension. */
  readonly scalars?: Readonly<Record<string, number>>;
}

const [float32, int64Attribute] = [1, 2];

function varint(value: number): number[] {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

const number = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
const bytes = (field: number, value: readonly number[]): number[] => [
  ...varint(field * 8 + 2),
  ...varint(value.length),
  ...value,
];
const text = (field: number, value: string): number[] => bytes(field, [...new TextEncoder().encode(value)]);

/** ValueInfoProto: a name and the type of a float tensor; without a shape for what the runtime infers. */
function valueInfo(name: string, shape: readonly number[] | null): number[] {
  const dims =
    shape &&
    bytes(
      2,
      shape.flatMap((size) => bytes(1, number(1, size))),
    );
  return [...text(1, name), ...bytes(2, bytes(1, [...number(1, float32), ...(dims ?? [])]))];
}

export function encodeModel({ nodes, scalars = {} }: OnnxGraph, shapes: readonly (readonly number[])[]): Uint8Array {
  const used = new Set(nodes.flatMap(({ inputs }) => inputs));
  const graph = [
    ...nodes.flatMap(({ op, inputs, output, integers = {} }) =>
      bytes(1, [
        ...inputs.flatMap((input) => text(1, input)),
        ...text(2, output),
        ...text(4, op),
        ...Object.entries(integers).flatMap(([name, value]) =>
          bytes(5, [...text(1, name), ...number(3, value), ...number(20, int64Attribute)]),
        ),
      ]),
    ),
    ...text(2, "row"),
    ...Object.entries(scalars).flatMap(([name, value]) =>
      bytes(5, [
        ...number(2, float32),
        ...text(8, name),
        ...bytes(9, [...new Uint8Array(Float32Array.of(value).buffer)]),
      ]),
    ),
    ...shapes.flatMap((shape, i) => (used.has(`x${i}`) ? bytes(11, valueInfo(`x${i}`, shape)) : [])),
    ...bytes(12, valueInfo("y", null)),
  ];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 17))]);
}
