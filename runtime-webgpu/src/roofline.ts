/** What a device does at best, measured: bytes per second of a copy, operations per second of multiply-adds. */
import type { Executable, KernelCode } from "@fax/compiler/executable";
import type { WebGPUDevice } from "./device.ts";
import type { KernelTime } from "./kernel-timer.ts";

export interface Roofline {
  readonly bytesPerSecond: number;
  readonly flopsPerSecond: number;
}

/** Elements of the arrays; more than a CPU's caches hold, and little enough for a software adapter. */
const elements = 2 ** 23;
const threads = 2 ** 16;
const rounds = 64;
const chains = 4;
const repetitions = 4;

function program(name: string, input: number, output: number, flops: number, body: string): Executable {
  const kernel: KernelCode = {
    name,
    language: "wgsl",
    entryPoint: "main",
    features: [],
    counters: 0,
    bindings: [{ access: "read" }, { access: "read_write" }],
    source: `@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
${body}
}`,
  };
  return {
    buffers: [
      { bytes: 4 * input, role: "input", label: "x" },
      { bytes: 4 * output, role: "output", label: "y" },
    ],
    kernels: [kernel],
    steps: [
      {
        kind: "dispatch",
        kernel: 0,
        buffers: [0, 1],
        workgroups: [output / 256, 1, 1],
        flops,
        bytesMoved: 4 * (input + output),
      },
    ],
    inputs: [{ dtype: "f32", shape: [input], buffer: 0 }],
    outputs: [{ dtype: "f32", shape: [output], buffer: 1 }],
    peakBytes: 4 * output,
    peakLowerBound: 4 * output,
  };
}

const copyProgram = program("roofline copy", elements, elements, 0, "  y[id.x] = x[id.x];");

const names = Array.from({ length: chains }, (_, i) => `a${i}`);

/** Chains that do not wait for each other, from a value that no compiler knows. */
const arithmeticProgram = program(
  "roofline arithmetic",
  4,
  4 * threads,
  2 * 4 * chains * rounds * threads,
  `  let s = x[0];
${names.map((name, i) => `  var ${name} = s * ${i + 1}.0;`).join("\n")}
  for (var i = 0u; i < ${rounds}u; i++) {
${names.map((name) => `    ${name} = fma(${name}, s, s);`).join("\n")}
  }
  y[id.x] = ${names.join(" + ")};`,
);

/** Runs a copy and multiply-adds a few times, and tells the best. Null where the device cannot time them. */
export async function measureRoofline(device: WebGPUDevice): Promise<Roofline | null> {
  const profile = await device.startProfile();
  if (profile === null) return null;
  for (const [executable, size] of [
    [copyProgram, elements],
    [arithmeticProgram, 4],
  ] as const) {
    const x = device.upload({ dtype: "f32", shape: [size], data: new Float32Array(size) });
    for (let i = 0; i < repetitions; i++) for (const output of device.execute(executable, [x])) device.release(output);
    device.release(x);
  }
  const times = await profile.stop();
  const best = (measure: (time: KernelTime) => number): number =>
    Math.max(...times.map((time) => (1e9 * measure(time)) / Math.max(time.duration, 1)));
  return { bytesPerSecond: best(({ bytes }) => bytes), flopsPerSecond: best(({ flops }) => flops) };
}
