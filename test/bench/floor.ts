/** What the adapter can do at best, measured with kernels written by hand in the same run. */
import type { AdapterProfile } from "@fax/compiler/executable";
import { bestOf, better, dispatcher, never, storage, waitFor } from "./hand-kernels.ts";
import type { BenchAdapter } from "./adapter.ts";
import { byHand, type ByHand } from "./bare-call.ts";
import { bestMatmul, prepareMatmul } from "./matmul-search.ts";
import { matmulVariants, type MatmulVariant, type MatmulElement } from "./matmul-variants.ts";
import { type Clock, clocks, type Sample } from "./measure.ts";
import type { Row } from "./rows/row.ts";

export interface Floor {
  /** Bytes per millisecond, read and written, of the best copy. */
  readonly copy: Readonly<Record<Clock, number>>;
  /** Floating point operations per millisecond of the best product found, by element and size. */
  readonly matmul: readonly {
    readonly element: MatmulElement;
    readonly size: number;
    readonly rate: Readonly<Record<Clock, number>>;
    readonly variant: MatmulVariant | null;
  }[];
}

const copyElements = 8 * 2 ** 20;

export async function measureFloor(device: GPUDevice, profile: AdapterProfile, quick: boolean): Promise<Floor> {
  const copy = await bestCopy(device);
  const sizes = quick ? [512] : profile.class === "gpu" ? [1024, 4096] : [512, 1024];
  const elements: MatmulElement[] = profile.features.includes("shader-f16") ? ["f32", "f16"] : ["f32"];
  const matmul = [];
  for (const element of elements) {
    for (const size of sizes) {
      const { sample, variant } = await bestMatmul(device, profile, {
        element,
        size,
        variants: likelyVariants(profile, element),
      });
      matmul.push({ element, size, rate: perMs(2 * size ** 3, sample), variant });
    }
  }
  return { copy: perMs(2 * 4 * copyElements, copy), matmul };
}

const perMs = (amount: number, sample: Sample): Record<Clock, number> => ({
  wall: amount / sample.wall,
  cpu: amount / sample.cpu,
});

/** Milliseconds that no program for the row can go below. */
export function floorOf(row: Row, floor: Floor, clock: Clock): number {
  const element = row.needs === "shader-f16" ? "f16" : "f32";
  const rates = floor.matmul.filter((entry) => entry.element === element).map(({ rate }) => rate[clock]);
  return Math.max(row.bytes / floor.copy[clock], row.flops / Math.max(...rates));
}

/** The product by hand that was the best at about that size, to be timed in turns with others; null where none fits. */
export async function productByHand(
  { own, profile }: Pick<BenchAdapter, "own" | "profile">,
  { element, size }: NonNullable<Row["product"]>,
  floor: Floor,
): Promise<ByHand | null> {
  const near = floor.matmul
    .filter((entry) => entry.element === element && entry.variant?.unfit(size, profile) === null)
    .toSorted((a, b) => Math.abs(a.size - size) - Math.abs(b.size - size));
  const variant = near[0]?.variant ?? null;
  return variant && { name: byHand, mostCalls: 32, ...(await prepareMatmul(own, { variant, size, element })) };
}

/** Whether the floor is what moving the row's bytes takes, and not its operations. */
export function boundByBytes(row: Row, floor: Floor, clock: Clock): boolean {
  return floorOf(row, floor, clock) === row.bytes / floor.copy[clock];
}

async function bestCopy(device: GPUDevice): Promise<Sample> {
  const bytes = 4 * copyElements;
  const [from, to] = [storage(device, bytes), storage(device, bytes)];
  const vectors = copyElements / 4;
  let best = never;
  for (const perThread of [1, 4]) {
    for (const workgroup of [64, 256]) {
      const threads = vectors / perThread;
      const across = Math.min(32768, threads / workgroup);
      const lines = Array.from({ length: perThread }, (_, i) => `dst[base + ${i}u] = src[base + ${i}u];`).join(" ");
      const code = `@group(0) @binding(0) var<storage> src: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> dst: array<vec4f>;
@compute @workgroup_size(${workgroup}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let base = (id.y * ${across * workgroup}u + id.x) * ${perThread}u;
  ${lines}
}`;
      const run = await dispatcher(device, {
        code,
        buffers: [from, to],
        workgroups: [across, threads / workgroup / across, 1],
      });
      best = better(best, await bestOf(run, 6));
    }
  }
  const byCommand = async (calls: number): Promise<void> => {
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < calls; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await waitFor(device, device.queue.onSubmittedWorkDone());
  };
  await byCommand(1);
  best = better(best, await bestOf(byCommand, 6));
  from.destroy();
  to.destroy();
  return best;
}

/** Those that have been best on adapters of the class; the search script looks at all. */
function likelyVariants(profile: AdapterProfile, element: MatmulElement): readonly MatmulVariant[] {
  return matmulVariants(profile).filter((variant) => variant.likely(profile, element));
}

export function describeFloor({ copy, matmul }: Floor): string[] {
  return clocks.map((clock) => {
    const products = matmul.map(({ element, size, rate }) => `${element} ${size}: ${(rate[clock] / 1e6).toFixed(2)}`);
    return `${clock}: copy ${(copy[clock] / 1e6).toFixed(2)} GB/s; matmul GFLOP/s ${products.join(", ")}`;
  });
}
