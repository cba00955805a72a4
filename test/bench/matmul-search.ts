/** Runs variants of the matrix product, checks what they compute, and finds the fastest. */
import type { AdapterProfile } from "@fax/compiler/executable";
import { f16Bits, f16BitsToNumber } from "@fax/compiler/executable";
import { bestOf, better, bytesFrom, dispatcher, never, storage } from "./hand-kernels.ts";
import type { MatmulElement, MatmulVariant } from "./matmul-variants.ts";
import { type Clock, type Sample, timed } from "./measure.ts";

export interface MatmulSearch {
  readonly element: MatmulElement;
  readonly size: number;
  readonly variants: readonly MatmulVariant[];
  /** Called with each variant that fits: its time, or what is wrong with it. */
  readonly onResult?: (variant: MatmulVariant, outcome: Sample | string) => void;
}

/** The fastest of the variants that compute the right product, by CPU time on a software adapter. */
export async function bestMatmul(
  device: GPUDevice,
  profile: AdapterProfile,
  { element, size, variants, onResult }: MatmulSearch,
): Promise<{ readonly variant: MatmulVariant | null; readonly sample: Sample }> {
  const clock = profile.class === "cpu" ? "cpu" : "wall";
  let best: { variant: MatmulVariant | null; sample: Sample } = { variant: null, sample: never };
  for (const variant of variants) {
    if (variant.unfit(size, profile) !== null) continue;
    const outcome = await tryVariant(device, { variant, size, element }, { clock, limit: 1.6 * best.sample[clock] });
    onResult?.(variant, outcome);
    if (typeof outcome === "string") continue;
    const faster = outcome[clock] < best.sample[clock] ? variant : best.variant;
    best = { variant: faster, sample: better(outcome, best.sample) };
  }
  return best;
}

interface Trial {
  readonly variant: MatmulVariant;
  readonly size: number;
  readonly element: MatmulElement;
}

/** Variants that are far behind the best so far at the first look are not measured again. */
async function tryVariant(
  device: GPUDevice,
  trial: Trial,
  { clock, limit }: { readonly clock: Clock; readonly limit: number },
): Promise<Sample | string> {
  device.pushErrorScope("validation");
  let destroy = (): void => undefined;
  try {
    const prepared = await prepareMatmul(device, trial);
    destroy = prepared.destroy;
    const wrong = await prepared.wrong();
    if (wrong !== null) return wrong;
    const once = await timed(1, prepared.run);
    return once[clock] > limit ? once : better(once, await bestOf(prepared.run, 4));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await device.popErrorScope();
    destroy();
  }
}

export interface PreparedMatmul {
  run(calls: number): Promise<void>;
  /** What is wrong with the product, or null. */
  wrong(): Promise<string | null>;
  destroy(): void;
}

const left = (row: number, k: number): number => ((row * 7 + k * 3) % 5) - 2;
const right = (k: number, column: number): number => ((k * 5 + column * 11) % 7) - 3;

/** Compiles a variant and runs it on small integers, whose product every format holds exactly. */
export async function prepareMatmul(device: GPUDevice, { variant, size, element }: Trial): Promise<PreparedMatmul> {
  const factors = [fill(device, size, element, left), fill(device, size, element, right)];
  const product = storage(device, (element === "f16" ? 2 : 4) * size * size);
  const buffers = [...factors, product];
  const code = variant.source(size, element);
  const run = await dispatcher(device, { code, buffers, workgroups: variant.workgroups(size) });
  return {
    run,
    async wrong() {
      const bytes = await bytesFrom(device, product);
      const found =
        element === "f32" ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), f16BitsToNumber);
      for (let sample = 0; sample < 256; sample++) {
        const [row, column] = [(sample * 7919) % size, (sample * 104729) % size];
        let sum = 0;
        for (let k = 0; k < size; k++) sum += left(row, k) * right(k, column);
        const at = found[row * size + column];
        if (at !== sum) return `wrong at ${row}, ${column}: ${at}, not ${sum}`;
      }
      return null;
    },
    destroy: () => buffers.forEach((buffer) => buffer.destroy()),
  };
}

function fill(
  device: GPUDevice,
  size: number,
  element: MatmulElement,
  value: (row: number, column: number) => number,
): GPUBuffer {
  const buffer = storage(device, (element === "f16" ? 2 : 4) * size * size);
  const data = element === "f32" ? new Float32Array(size * size) : new Uint16Array(size * size);
  for (let i = 0; i < data.length; i++) {
    const exact = value(Math.floor(i / size), i % size);
    data[i] = element === "f32" ? exact : f16Bits(exact);
  }
  device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}
