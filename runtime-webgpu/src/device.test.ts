import type { BufferSpec, Executable, HostArray, KernelCode, Step, ValueSpec } from "@fax/compiler/executable";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openDevice } from "./open.ts";
import type { WebGPUDevice } from "./device.ts";
import type { BufferHandle } from "./handle.ts";

let device: WebGPUDevice;

beforeAll(async () => {
  const opened = await openDevice("software");
  if (opened.device === null) throw new Error(opened.reason);
  device = opened.device;
});

afterAll(() => device.destroy());

function vector(values: readonly number[]): HostArray {
  return { dtype: "f32", shape: [values.length], data: Float32Array.from(values) };
}

function kernel(name: string, reads: number, body: string, counters = 0): KernelCode {
  const inputs = Array.from(
    { length: reads },
    (_, i) => `@group(0) @binding(${i}) var<storage, read> in${i}: array<f32>;`,
  );
  const uniforms = Array.from({ length: counters }, (_, i) => `@group(1) @binding(${i}) var<uniform> t${i}: u32;`);
  return {
    name,
    language: "wgsl",
    entryPoint: "main",
    features: [],
    bindings: [...inputs.map(() => ({ access: "read" }) as const), { access: "read_write" }],
    counters,
    source: `${inputs.join("\n")}
@group(0) @binding(${reads}) var<storage, read_write> out: array<f32>;
${uniforms.join("\n")}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= arrayLength(&out)) { return; }
  ${body}
}`,
  };
}

const add = kernel("add", 2, "out[i] = in0[i] + in1[i];");

function dispatch(index: number, buffers: Extract<Step, { kind: "dispatch" }>["buffers"]): Step {
  return { kind: "dispatch", kernel: index, buffers, workgroups: [1, 1, 1], flops: 0, bytesMoved: 0 };
}

function program(parts: {
  readonly buffers: readonly (readonly [BufferSpec["role"], number])[];
  readonly kernels: readonly KernelCode[];
  readonly steps: readonly Step[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}): Executable {
  const value = (buffer: number): ValueSpec => ({
    dtype: "f32",
    shape: [(parts.buffers[buffer] as readonly [string, number])[1]],
    buffer,
  });
  return {
    buffers: parts.buffers.map(([role, size], i) => ({ bytes: 4 * size, role, label: `b${i}` })),
    kernels: parts.kernels,
    steps: parts.steps,
    inputs: parts.inputs.map(value),
    outputs: parts.outputs.map(value),
    peakBytes: 0,
    peakLowerBound: 0,
  };
}

function addOf(size: number): Executable {
  return program({
    buffers: [
      ["input", size],
      ["input", size],
      ["output", size],
    ],
    kernels: [add],
    steps: [dispatch(0, [0, 1, 2])],
    inputs: [0, 1],
    outputs: [2],
  });
}

async function run(executable: Executable, inputs: readonly HostArray[]): Promise<number[][]> {
  const outputs = device.execute(
    executable,
    inputs.map((input) => device.upload(input)),
  );
  return Promise.all(
    outputs.map(async (output, i) => {
      const size = executable.outputs[i]?.shape.reduce((a, b) => a * b, 1) ?? 0;
      return [...(await device.read(output, "f32", size))];
    }),
  );
}

describe("values", () => {
  test("every dtype comes back as it went up", async () => {
    const arrays: HostArray[] = [
      { dtype: "f32", shape: [3], data: Float32Array.of(1.5, -0, Infinity) },
      { dtype: "f16", shape: [3], data: Float32Array.of(0.5, -65504, 2 ** -24) },
      { dtype: "i32", shape: [2], data: Int32Array.of(-7, 2 ** 31 - 1) },
      { dtype: "u32", shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
      { dtype: "bool", shape: [5], data: Uint8Array.of(1, 0, 1, 1, 0) },
      { dtype: "f32", shape: [0, 4], data: new Float32Array(0) },
    ];
    for (const array of arrays) {
      expect(await device.read(device.upload(array), array.dtype, array.data.length)).toEqual(array.data);
    }
  });

  test("an upload takes the data at once", async () => {
    const data = Float32Array.of(1, 2);
    const handle = device.upload({ dtype: "f32", shape: [2], data });
    data.fill(9);
    expect([...(await device.read(handle, "f32", 2))]).toEqual([1, 2]);
  });
});

describe("programs", () => {
  test("one dispatch, one submit; the second call needs no pipeline", async () => {
    const executable = addOf(3);
    expect(await run(executable, [vector([1, 2, 3]), vector([10, 20, 30])])).toEqual([[11, 22, 33]]);
    const before = device.stats;
    expect(await run(executable, [vector([1, 1, 1]), vector([2, 2, 2])])).toEqual([[3, 3, 3]]);
    expect(device.stats.submits - before.submits).toBe(1);
    expect(device.stats.dispatches - before.dispatches).toBe(1);
    expect(device.stats.pipelines).toBe(before.pipelines);
  });

  test("the same value twice; values chain before anything has run", async () => {
    const x = device.upload(vector([1, 2]));
    let [y] = device.execute(addOf(2), [x, x]);
    for (let i = 0; i < 9; i++) if (y !== undefined) [y] = device.execute(() => addOf(2), [y, y]);
    if (y === undefined) throw new Error("no output");
    expect([...(await device.read(y, "f32", 2))]).toEqual([1024, 2048]);
  });

  test("outputs may be inputs, share a buffer, or be empty", async () => {
    const executable = program({
      buffers: [
        ["input", 2],
        ["output", 2],
        ["output", 0],
      ],
      kernels: [kernel("double", 1, "out[i] = 2.0 * in0[i];")],
      steps: [dispatch(0, [0, 1])],
      inputs: [0],
      outputs: [0, 1, 1, 2],
    });
    const x = device.upload(vector([3, 4]));
    const [same, a, b, empty] = device.execute(executable, [x]);
    if (same === undefined || a === undefined || b === undefined || empty === undefined) throw new Error("outputs");
    device.release(x);
    device.release(a);
    expect([...(await device.read(same, "f32", 2))]).toEqual([3, 4]);
    expect([...(await device.read(b, "f32", 2))]).toEqual([6, 8]);
    expect([...(await device.read(empty, "f32", 0))]).toEqual([]);
  });

  test("no steps at all", async () => {
    const executable = program({ buffers: [["input", 1]], kernels: [], steps: [], inputs: [0], outputs: [0] });
    expect(await run(executable, [vector([5])])).toEqual([[5]]);
  });

  test("copies and temporaries between dispatches", async () => {
    const executable = program({
      buffers: [
        ["input", 3],
        ["temp", 3],
        ["output", 3],
      ],
      kernels: [kernel("square", 1, "out[i] = in0[i] * in0[i];")],
      steps: [dispatch(0, [0, 1]), { kind: "copy", from: 1, to: 2, bytes: 12 }],
      inputs: [0],
      outputs: [2],
    });
    expect(await run(executable, [vector([1, 2, 3])])).toEqual([[1, 4, 9]]);
  });
});

describe("waiting", () => {
  test("leaves a software adapter the cores that it computes on, and the event loop alive", async () => {
    const slow = kernel(
      "slow",
      1,
      "var x = in0[i]; for (var k = 0; k < 2000000; k++) { x = x * 0.999 + 1.0; } out[i] = x;",
    );
    const executable = program({
      buffers: [
        ["input", 64],
        ["output", 64],
      ],
      kernels: [slow],
      steps: [dispatch(0, [0, 1])],
      inputs: [0],
      outputs: [1],
    });
    const input = device.upload(vector(Array.from({ length: 64 }, () => 1)));
    await device.idle();
    const wait = vi.spyOn(Atomics, "wait");
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const [output] = device.execute(executable, [input]);
    const data = await device.read(output as BufferHandle, "f32", 64);
    clearInterval(timer);
    const naps = wait.mock.calls.length;
    wait.mockRestore();
    expect(data[63]).toBeCloseTo(1000, 0);
    expect(naps).toBeGreaterThan(2);
    expect(ticks).toBeGreaterThan(2);
  });
});

describe("loops", () => {
  /** carry ← carry + iteration, `length` times, between two buffers. */
  function sumOfIterations(length: number): Executable {
    return program({
      buffers: [
        ["input", 1],
        ["temp", 1],
        ["temp", 1],
        ["output", 1],
      ],
      kernels: [kernel("step", 1, "out[i] = in0[i] + f32(t0);", 1)],
      steps: [
        { kind: "copy", from: 0, to: 1, bytes: 4 },
        {
          kind: "loop",
          length,
          body: [
            dispatch(0, [
              { even: 1, odd: 2 },
              { even: 2, odd: 1 },
            ]),
          ],
        },
        { kind: "copy", from: length % 2 === 0 ? 1 : 2, to: 3, bytes: 4 },
      ],
      inputs: [0],
      outputs: [3],
    });
  }

  test.each([0, 1, 2, 7, 1500])("%i iterations in one submit", async (length) => {
    const before = device.stats.submits;
    expect(await run(sumOfIterations(length), [vector([0.5])])).toEqual([[(length * (length - 1)) / 2 + 0.5]]);
    expect(device.stats.submits - before).toBe(1);
  });

  test("a loop longer than what one command buffer holds", async () => {
    const executable = program({
      buffers: [
        ["input", 1],
        ["temp", 1],
        ["output", 1],
      ],
      kernels: [kernel("count", 1, "out[i] = in0[i] + 1.0;")],
      steps: [
        { kind: "copy", from: 0, to: 1, bytes: 4 },
        {
          kind: "loop",
          length: 20_000,
          body: [
            dispatch(0, [
              { even: 1, odd: 2 },
              { even: 2, odd: 1 },
            ]),
          ],
        },
        { kind: "copy", from: 1, to: 2, bytes: 4 },
      ],
      inputs: [0],
      outputs: [2],
    });
    expect(await run(executable, [vector([0])])).toEqual([[20_000]]);
  });

  test("buffers that alternate may be of different sizes", async () => {
    const executable = program({
      buffers: [
        ["input", 1],
        ["temp", 1],
        ["temp", 300],
        ["output", 1],
      ],
      kernels: [kernel("count", 1, "if (i == 0) { out[i] = in0[i] + 1.0; }")],
      steps: [
        { kind: "copy", from: 0, to: 1, bytes: 4 },
        {
          kind: "loop",
          length: 4,
          body: [
            dispatch(0, [
              { even: 1, odd: 2 },
              { even: 2, odd: 1 },
            ]),
          ],
        },
        { kind: "copy", from: 1, to: 3, bytes: 4 },
      ],
      inputs: [0],
      outputs: [3],
    });
    expect(await run(executable, [vector([3])])).toEqual([[7]]);
  });

  test("counters of nested loops are outermost first; parity is the innermost loop's", async () => {
    const executable = program({
      buffers: [
        ["input", 1],
        ["temp", 1],
        ["temp", 1],
        ["output", 1],
      ],
      kernels: [kernel("nested", 1, "out[i] = in0[i] * 3.0 + f32(10u * t0 + t1);", 2)],
      steps: [
        { kind: "copy", from: 0, to: 1, bytes: 4 },
        {
          kind: "loop",
          length: 3,
          body: [
            {
              kind: "loop",
              length: 2,
              body: [
                dispatch(0, [
                  { even: 1, odd: 2 },
                  { even: 2, odd: 1 },
                ]),
              ],
            },
          ],
        },
        { kind: "copy", from: 1, to: 3, bytes: 4 },
      ],
      inputs: [0],
      outputs: [3],
    });
    let expected = 1;
    for (let a = 0; a < 3; a++) for (let b = 0; b < 2; b++) expected = expected * 3 + 10 * a + b;
    expect(await run(executable, [vector([1])])).toEqual([[expected]]);
  });
});

describe("failures", () => {
  test("a kernel that does not compile fails what depends on it, with its line", async () => {
    const broken = program({
      buffers: [
        ["input", 1],
        ["output", 1],
      ],
      kernels: [kernel("typo", 1, "out[i] = in0[i] + nowhere;")],
      steps: [dispatch(0, [0, 1])],
      inputs: [0],
      outputs: [1],
    });
    const x = device.upload(vector([1]));
    const [y] = device.execute(broken, [x]);
    if (y === undefined) throw new Error("no output");
    const [z] = device.execute(addOf(1), [y, x]);
    if (z === undefined) throw new Error("no output");
    await expect(device.read(z, "f32", 1)).rejects.toThrow(
      /FAX2006 typo: .*unresolved value 'nowhere'[^]*│   out\[i\]/,
    );
    // The same again, when it is known, and the device goes on.
    const [again] = device.execute(broken, [x]);
    if (again === undefined) throw new Error("no output");
    await expect(device.read(again, "f32", 1)).rejects.toThrow("FAX2006");
    expect(await run(addOf(1), [vector([1]), vector([2])])).toEqual([[3]]);
  });

  test("a command that the device refuses fails the values of that call and after", async () => {
    const misused = program({
      buffers: [
        ["input", 2],
        ["output", 2],
      ],
      kernels: [kernel("alias", 1, "out[i] = in0[i];")],
      // Read and written in one dispatch.
      steps: [dispatch(0, [1, 1])],
      inputs: [0],
      outputs: [1],
    });
    const x = device.upload(vector([1, 2]));
    const [y] = device.execute(misused, [x]);
    if (y === undefined) throw new Error("no output");
    const [z] = device.execute(addOf(2), [y, x]);
    if (z === undefined) throw new Error("no output");
    await expect(device.read(z, "f32", 2)).rejects.toThrow(/FAX2006 alias: .* refused a command/);
    expect([...(await device.read(x, "f32", 2))]).toEqual([1, 2]);
  });

  test("so does a command of a program that has run before", async () => {
    const overwriting = program({
      buffers: [
        ["input", 2],
        ["input", 2],
      ],
      kernels: [kernel("overwriting", 1, "out[i] = in0[i] + 1.0;")],
      steps: [dispatch(0, [0, 1])],
      inputs: [0, 1],
      outputs: [1],
    });
    const [a, b] = [device.upload(vector([1, 2])), device.upload(vector([0, 0]))];
    const call = async (...inputs: (typeof a)[]): Promise<readonly number[]> => {
      const [y] = device.execute(overwriting, inputs);
      if (y === undefined) throw new Error("no output");
      const [z] = device.execute(addOf(2), [y, b]);
      if (z === undefined) throw new Error("no output");
      return [...(await device.read(z, "f32", 2))];
    };
    expect(await call(a, b)).toEqual([4, 6]);
    await device.idle();
    // Read and written in one dispatch.
    await expect(call(a, a)).rejects.toThrow(/FAX2006 .* refused a command/);
    expect(await call(a, b)).toEqual([4, 6]);
  });

  test("an empty value is read without commands", async () => {
    const x = device.upload(vector([]));
    expect(await device.read(x, "f32", 0)).toHaveLength(0);
  });

  test("limits are named", () => {
    const { maxBufferSize, maxStorageBuffersPerShaderStage: most } = device.profile.limits;
    const large = program({ buffers: [["output", maxBufferSize]], kernels: [], steps: [], inputs: [], outputs: [0] });
    expect(() => device.execute(large, [])).toThrow(/FAX2003 b0: needs .* GiB, and .* \(maxBufferSize\)/);
    const wide = program({
      buffers: Array.from({ length: most + 1 }, () => ["output", 1] as const),
      kernels: [kernel("wide", most, "out[i] = 0.0;")],
      steps: [],
      inputs: [],
      outputs: [0],
    });
    expect(() => device.execute(wide, [])).toThrow("maxStorageBuffersPerShaderStage");
  });

  test("a released value cannot be used", async () => {
    const x = device.upload(vector([1]));
    device.release(x);
    await expect(device.read(x, "f32", 1)).rejects.toThrow("released");
  });

  test("what waits for a device that is destroyed fails", async () => {
    const { device: other } = await openDevice("software");
    if (other === null) throw new Error("no device");
    const x = other.upload(vector([1]));
    const [y] = other.execute(addOf(1), [x, x]);
    if (y === undefined) throw new Error("no output");
    const reading = other.read(y, "f32", 1);
    const early = other.read(x, "f32", 1);
    other.destroy();
    await expect(reading).rejects.toThrow("FAX2004");
    await expect(early).rejects.toThrow("FAX2004");
    await other.idle();
    expect(() => other.upload(vector([1]))).not.toThrow();
  });
});
