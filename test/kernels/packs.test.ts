/** Optimizer updates over many tensors on a device: what lies together, for how long, and what a steady loop costs. */
import { device, type DeviceInfo, jit, type NDArray, np, setDevice } from "@fax/core";
import { beforeAll, describe, expect, it } from "vitest";

let info: DeviceInfo;

beforeAll(async () => {
  setDevice("software");
  info = await device();
});

function stats() {
  if (info.webgpu === null) throw new Error("no device");
  return info.webgpu.stats;
}

const shapes = [[3], [2, 5], [70], [1, 4], [4, 1, 3], [64], [9, 31], [2, 2], [5], [6, 6]];
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Values of each tensor, as host numbers. */
const fill = (seed: number): number[][] =>
  shapes.map((shape, i) => Array.from({ length: sizeOf(shape) }, (_, k) => (((k + i) * 7919 * seed) % 257) / 64 - 2));

function arrays(values: readonly number[][], dtype: "f32" | "f16" = "f32"): NDArray[] {
  return values.map((data, i) => np.reshape(np.array(data, { dtype }), shapes[i] as number[]));
}

type State = readonly [params: NDArray[], means: NDArray[]];

const step = (params: NDArray[], means: NDArray[], grads: NDArray[]): State => {
  const next = means.map((mean, i) => np.add(np.multiply(mean, 0.5), grads[i] as NDArray));
  return [params.map((param, i) => np.subtract(param, np.multiply(next[i] as NDArray, 0.25))), next];
};

const momentum = jit(step);

/** What `step` gives, in f32 where nothing rounds. */
function expected(params: number[][], means: number[][], grads: number[][]): [number[][], number[][]] {
  const next = means.map((mean, i) => mean.map((x, k) => x * 0.5 + (grads[i]?.[k] ?? NaN)));
  return [params.map((param, i) => param.map((x, k) => x - (next[i]?.[k] ?? NaN) * 0.25)), next];
}

async function values(tensors: readonly NDArray[]): Promise<number[][]> {
  return Promise.all(tensors.map(async (tensor) => [...(await tensor.data())]));
}

const round = (tensors: number[][]): number[][] => tensors.map((tensor) => [...Float32Array.from(tensor)]);

describe("a pack", () => {
  it("is one dispatch, and computes each tensor's values", async () => {
    const host = [fill(1), fill(2), fill(3)] as const;
    const [params, means, grads] = host.map((tensors) => arrays(tensors)) as [NDArray[], NDArray[], NDArray[]];
    const before = stats();
    const [nextParams, nextMeans] = momentum(params, means, grads);
    const [wantedParams, wantedMeans] = expected(...host);
    expect(await values(nextParams)).toEqual(round(wantedParams));
    expect(await values(nextMeans)).toEqual(round(wantedMeans));
    expect(stats().dispatches - before.dispatches).toBe(1);
    // Inputs are what they were, copied together or not.
    expect(await values(params)).toEqual(host[0]);
    expect(await values(grads)).toEqual(host[2]);
  });

  it("keeps to f16, whose tensors begin where a device can bind them", async () => {
    const host = [fill(1), fill(2), fill(3)] as const;
    const half = host.map((tensors) => arrays(tensors, "f16")) as [NDArray[], NDArray[], NDArray[]];
    const [params, means] = jit(step)(...half);
    const alone = half[0].map((param, i) => step([param], [half[1][i] as NDArray], [half[2][i] as NDArray]));
    expect(params[0]?.dtype).toBe("f16");
    expect(await values(params)).toEqual(await values(alone.map(([[param]]) => param as NDArray)));
    expect(await values(means)).toEqual(await values(alone.map(([, [mean]]) => mean as NDArray)));
  });

  it("finds its tensors where it left them: a steady loop copies nothing, and makes no buffer and no bind group", async () => {
    let [params, means]: State = [arrays(fill(1)), arrays(fill(2))];
    const grads = arrays(fill(3));
    const run = async (calls: number): Promise<void> => {
      for (let call = 0; call < calls; call++) {
        const [nextParams, nextMeans] = momentum(params, means, grads);
        for (const tensor of [...params, ...means]) tensor.dispose();
        [params, means] = [nextParams, nextMeans];
        await params[0]?.data();
      }
    };
    await run(10);
    const before = stats();
    await run(20);
    const after = stats();
    expect(after.dispatches - before.dispatches).toBe(20);
    // One each to read a value.
    expect(after.copies - before.copies).toBe(20);
    expect(after.buffers).toBe(before.buffers);
    expect(after.bindGroups).toBe(before.bindGroups);
    expect(after.liveBytes).toBe(before.liveBytes);
  });

  it("takes what is new each time by copying that alone", async () => {
    let [params, means]: State = [arrays(fill(1)), arrays(fill(2))];
    const run = async (calls: number): Promise<void> => {
      for (let call = 0; call < calls; call++) [params, means] = momentum(params, means, arrays(fill(call + 3)));
      await params[0]?.data();
    };
    await run(5);
    const before = stats();
    await run(5);
    expect(stats().copies - before.copies).toBe(5 * shapes.length + 1);
  });

  it("gives values that live by themselves: they are read, used and disposed of in any order", async () => {
    const host = [fill(4), fill(5), fill(6)] as const;
    await info.webgpu?.idle();
    const [params, means, grads] = host.map((tensors) => arrays(tensors)) as [NDArray[], NDArray[], NDArray[]];
    const [nextParams, nextMeans] = momentum(params, means, grads);
    const [wanted] = expected(...host);
    const all = [...params, ...means, ...grads, ...nextMeans];
    for (const tensor of all.toReversed()) tensor.dispose();
    for (const [i, param] of nextParams.entries()) {
      if (i !== 4 && i !== 1) param.dispose();
    }
    const kept = nextParams[4] as NDArray;
    const doubled = np.multiply(kept, 2);
    // Whatever else is computed meanwhile does not get their memory.
    const others = momentum(arrays(fill(7)), arrays(fill(8)), arrays(fill(9)));
    expect([...(await doubled.data())]).toEqual((wanted[4] ?? []).map((x) => Math.fround(Math.fround(x) * 2)));
    expect([...(await kept.data())]).toEqual(round(wanted)[4]);
    const moved = momentum(
      others[0].map((other, i) => (i === 1 ? (nextParams[1] as NDArray) : other)),
      others[1],
      arrays(fill(6)),
    );
    const [, second] = moved[0];
    const mean = (await values([others[1][1] as NDArray]))[0] ?? [];
    const next = mean.map((x, k) => x * 0.5 + (fill(6)[1]?.[k] ?? NaN));
    expect([...(await (second as NDArray).data())]).toEqual(
      (round(wanted)[1] ?? []).map((x, k) => Math.fround(x - Math.fround(Math.fround(next[k] ?? NaN) * 0.25))),
    );
  });

  it("frees its memory with the last of its values", async () => {
    const live = (): number => stats().liveBytes;
    const inputs = [arrays(fill(1)), arrays(fill(2)), arrays(fill(3))] as const;
    await values(momentum(...inputs).flat());
    await info.webgpu?.idle();
    const before = live();
    const [params, means] = momentum(...inputs);
    expect(live()).toBeGreaterThan(before);
    const [last, ...others] = [...params, ...means];
    for (const tensor of others) tensor.dispose();
    expect(live()).toBeGreaterThan(before);
    last?.dispose();
    expect(live()).toBe(before);
  });

  it("takes the memory that the plan says, and what is donated as the result's", async () => {
    const donating = jit(step, { donateArgnums: [0, 1] });
    let [params, means]: State = [arrays(fill(1)), arrays(fill(2))];
    const grads = arrays(fill(3));
    for (let call = 0; call < 3; call++) {
      [params, means] = donating(params, means, grads);
      await params[0]?.data();
    }
    info.webgpu?.resetPeak();
    const before = stats();
    [params, means] = donating(params, means, grads);
    expect(stats().peakBytes).toBe(before.liveBytes);
    expect(stats().copies).toBe(before.copies);
    const fresh = momentum(params, means, grads);
    await values(fresh.flat());
    const peak = (await momentum.lower(params, means, grads).compile()).costAnalysis().peakBytes;
    info.webgpu?.resetPeak();
    const live = stats().liveBytes;
    momentum(params, means, grads);
    expect(stats().peakBytes - live).toBe(peak);
  });

  it("spares a donated value that something else needs", async () => {
    const donating = jit(step, { donateArgnums: [0] });
    const host = [fill(1), fill(2), fill(3)] as const;
    const [params, means, grads] = host.map((tensors) => arrays(tensors)) as [NDArray[], NDArray[], NDArray[]];
    const [first, firstMeans] = momentum(params, means, grads);
    const pending = values(first);
    const [second] = donating(first, firstMeans, grads);
    const [wantedParams, wantedMeans] = expected(...host);
    expect(await pending).toEqual(round(wantedParams));
    expect(await values(second)).toEqual(round(expected(round(wantedParams), round(wantedMeans), host[2])[0]));
  });
});
