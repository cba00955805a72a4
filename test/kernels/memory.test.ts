/** Memory, kept by what is deterministic: bytes that a call takes, against what is alive at once and what the device says. */
import { type AdapterProfile, baselineProfile, planned } from "@fax/compiler";
import { device, type DeviceInfo, jit, lax, type NDArray, np, setDevice, valueAndGrad } from "@fax/core";
import { beforeAll, describe, expect, it } from "vitest";
import { faxArray, faxFunction } from "../bench/libraries/fax.ts";
import { federatedRows } from "../bench/rows/federated.ts";
import { networkRows } from "../bench/rows/networks.ts";
import { type Row, uniform } from "../bench/rows/row.ts";

let info: DeviceInfo;

beforeAll(async () => {
  setDevice("software");
  info = await device();
});

function profileOf(adapterClass: AdapterProfile["class"], bindings: number): AdapterProfile {
  const limits = { ...baselineProfile.limits, maxStorageBuffersPerShaderStage: bindings };
  return { ...baselineProfile, class: adapterClass, name: adapterClass, limits };
}

/** What SwiftShader and an ordinary GPU through Dawn let a kernel bind. */
const profiles = [profileOf("cpu", 12), profileOf("gpu", 16)];

const trains = (row: Row): boolean => /^(MLP|transformer|FedAvg|\d+ local steps)/.test(row.name);
const rowsOf = (quick: boolean): Row[] => [...networkRows(quick), ...federatedRows(quick)].filter(trains);

function functionOf({ program, fax }: Row) {
  return faxFunction({ program, fax, inputs: [] });
}

/** What a call takes of the device besides its arguments. */
async function measuredPeak(run: () => readonly NDArray[]): Promise<number> {
  const call = async (): Promise<void> => {
    const results = run();
    await Promise.all(results.map((result) => result.data()));
    for (const result of results) result.dispose();
  };
  // Once the pipelines are there a call allocates at once, and no finalizer can run in between.
  await call();
  info.webgpu?.resetPeak();
  const before = info.webgpu?.stats.liveBytes ?? NaN;
  await call();
  return (info.webgpu?.stats.peakBytes ?? NaN) - before;
}

describe("peak bytes", () => {
  it.each(rowsOf(false).map((row) => [row.name, row] as const))(
    "%s: within a tenth of what is alive at once",
    (_, row) => {
      const inputs = row.inputs().map(({ shape, dtype }) => np.zeros(shape, { dtype }));
      const lowered = jit(functionOf(row)).lower(inputs);
      for (const profile of profiles) {
        const { peakBytes, peakLowerBound } = lowered.compileFor(profile).costAnalysis();
        expect(peakLowerBound).toBeGreaterThan(0);
        expect(peakBytes / peakLowerBound).toBeGreaterThanOrEqual(1);
        expect(peakBytes / peakLowerBound).toBeLessThanOrEqual(1.1);
      }
    },
  );

  // A driver with an optimizing compiler takes longer than a minute for the kernels of the largest.
  it.each(rowsOf(true).map((row) => [row.name, row] as const))(
    "%s: what the device then uses",
    { timeout: 240_000 },
    async (_, row) => {
      const inputs = row.inputs().map(faxArray);
      await Promise.all(inputs.map((input) => input.data()));
      const run = jit(functionOf(row));
      const { peakBytes } = (await run.lower(inputs).compile()).costAnalysis();
      expect(await measuredPeak(() => run(inputs))).toBe(peakBytes);
    },
  );
});

describe("intermediates", () => {
  it("a chain of 60 tanh(x @ w) keeps 2 alive", async () => {
    const chain = (x: NDArray, w: NDArray): NDArray => {
      let y = x;
      for (let i = 0; i < 60; i++) y = np.tanh(np.matmul(y, w));
      return y;
    };
    const [x, w] = [np.ones([64, 32]), np.ones([32, 32])];
    await Promise.all([x.data(), w.data()]);
    const run = jit(chain);
    const lowered = run.lower(x, w);
    const bytes = 64 * 32 * 4;
    for (const profile of profiles) {
      const { peakBytes, peakLowerBound } = lowered.compileFor(profile).costAnalysis();
      expect([peakBytes, peakLowerBound]).toEqual([2 * bytes, 2 * bytes]);
    }
    expect(await measuredPeak(() => [run(x, w)])).toBe(2 * bytes);
  });

  it("results take the place of donated arguments", async () => {
    const step = (w: NDArray, g: NDArray): NDArray => np.subtract(w, np.multiply(0.1, g));
    const g = np.ones([64, 32]);
    await g.data();
    const donating = jit(step, { donateArgnums: 0 });
    for (const profile of profiles) {
      expect(jit(step).lower(g, g).compileFor(profile).costAnalysis().peakBytes).toBe(64 * 32 * 4);
      const { peakBytes, peakLowerBound } = donating.lower(g, g).compileFor(profile).costAnalysis();
      expect([peakBytes, peakLowerBound]).toEqual([0, 0]);
      const { plan } = planned(donating.lower(g, g).jaxpr, profile, { donated: [0] });
      expect(plan.buffers[0]).toEqual({ bytes: 64 * 32 * 4, role: "input", label: "input 0", donated: true });
      expect(plan.reasons.join("\n")).toMatch(/is written over the donated input 0, which \w+ reads last/);
    }
    let w = np.zeros([64, 32]);
    await w.data();
    w = donating(w, g);
    await w.data();
    info.webgpu?.resetPeak();
    const before = info.webgpu?.stats.liveBytes;
    w = donating(w, g);
    await w.data();
    expect(info.webgpu?.stats.peakBytes).toBe(before);
  });
});

describe("a memory limit", () => {
  const rate = 0.1;
  const deep = (x: NDArray, weights: readonly NDArray[]): readonly NDArray[] => {
    const loss = (w: readonly NDArray[]): NDArray => {
      const last = w.reduce((h, layer) => np.tanh(np.matmul(h, layer)), x);
      return np.mean(np.square(last));
    };
    const [value, slopes] = valueAndGrad(loss)(weights);
    return [value, ...weights.map((w, i) => np.subtract(w, np.multiply(rate, slopes[i] as NDArray)))];
  };
  const weights = Array.from({ length: 10 }, (_, i) => faxArray(uniform(i, [32, 32], 0.3)));
  const looping = (x: NDArray, layers: readonly NDArray[]): readonly NDArray[] => {
    const loss = (w: readonly NDArray[]): NDArray => {
      const body = (h: NDArray, t: NDArray): [NDArray, NDArray] => {
        const next = w.reduce((y, layer) => np.tanh(np.add(np.matmul(y, layer), t)), h);
        return [np.add(h, next), np.sum(next)];
      };
      const [last, sums] = lax.scan(body, x, np.linspace(0, 1, 6));
      return np.add(np.mean(np.square(last)), np.mean(sums));
    };
    const [value, slopes] = valueAndGrad(loss)(layers);
    return [value, ...slopes];
  };
  const transformer = rowsOf(true).find(({ name }) => name.startsWith("transformer")) as Row;
  const programs: readonly [string, (...args: never[]) => readonly NDArray[], readonly unknown[]][] = [
    ["a step of a deep MLP", deep, [faxArray(uniform(99, [128, 32])), weights]],
    ["the gradient of a scan", looping, [faxArray(uniform(98, [128, 32])), weights.slice(0, 5)]],
    ["a step of a transformer", functionOf(transformer), [transformer.inputs().map(faxArray)]],
  ];

  it.each(programs)("%s fits half the memory, with the same results", { timeout: 240_000 }, async (_, step, args) => {
    const free = jit(step);
    const given = args as never[];
    const { webgpu } = info;
    if (webgpu === null) throw new Error("no device");
    const lowered = jit(step).lower(...given);
    const whole = lowered.compileFor(webgpu.profile).costAnalysis();
    const memoryLimit = Math.floor(whole.peakBytes / 2);
    for (const profile of profiles) {
      const half = jit(step, { memoryLimit: Math.floor(lowered.compileFor(profile).costAnalysis().peakBytes / 2) });
      const { peakBytes, flops } = half
        .lower(...given)
        .compileFor(profile)
        .costAnalysis();
      expect(peakBytes).toBeLessThanOrEqual(memoryLimit);
      expect(flops).toBeLessThan(2 * whole.flops);
    }
    const limited = jit(step, { memoryLimit });
    const expected = await Promise.all(free(...given).map((result) => result.data()));
    expect(await measuredPeak(() => limited(...given))).toBeLessThanOrEqual(memoryLimit);
    const found = await Promise.all(limited(...given).map((result) => result.data()));
    // Sums may be reassociated: what is computed again may be a part of another kernel, where a divisor follows the sum.
    found.forEach((data, i) => {
      const other = expected[i] as typeof data;
      const tolerance = 1e-6 * Math.max(...[...other].map(Math.abs));
      expect(Math.max(...[...data].map((x, at) => Math.abs(x - (other[at] as number))))).toBeLessThanOrEqual(tolerance);
    });
  });

  it("that cannot be kept says by how much", () => {
    const step = jit(deep, { memoryLimit: 40_000 });
    const lowered = step.lower(faxArray(uniform(99, [128, 32])), weights);
    expect(() => lowered.compileFor(profiles[0] as AdapterProfile)).toThrow(
      /FAX2009 .* may take 40,000 bytes; computing values again brings it to [\d,]+ bytes, [\d,]+ bytes too many/,
    );
  });
});
