/**
 * The schedules of one kernel against each other, on the same buffers and in turns: medians of the device's own times, and
 * whether each gives what the first one gives.
 */
import {
  allocateData,
  type Candidate,
  type DType,
  type Executable,
  FaxError,
  type HostData,
  InternalError,
  type Schedule,
  type SingleKernel,
  sizeOf,
} from "@fax/compiler";
import type { BufferHandle, WebGPUDevice } from "@fax/runtime-webgpu";

/** What measuring needs of a device. */
export type Bench = Pick<WebGPUDevice, "upload" | "execute" | "read" | "release" | "idle" | "startProfile">;

/** Whatever is slower than the best by this is not run again. */
const hopeless = 1.5;
const turns = 7;

export interface Timed {
  readonly schedule: Schedule;
  readonly ms: number;
}

export interface Outcome {
  readonly estimated: Timed;
  readonly best: Timed;
  readonly legal: number;
  readonly tried: number;
  readonly wrong: number;
}

/** A schedule of a kernel, with the times that it took. */
class Trial {
  readonly schedule: Schedule;
  readonly executable: Executable;
  readonly times: number[] = [];

  constructor(schedule: Schedule, executable: Executable) {
    this.schedule = schedule;
    this.executable = executable;
  }

  get ms(): number {
    return median(this.times);
  }
}

/** The buffers of a kernel, on which all its schedules run. */
class Buffers {
  readonly #device: Bench;
  #handles: BufferHandle[] = [];

  constructor(device: Bench) {
    this.#device = device;
  }

  /** Whatever the kernel writes it writes into again at the next run. */
  run(executable: Executable): void {
    const { inputs, outputs } = executable;
    const results = this.#device.execute(executable, [...this.#handles]);
    outputs.forEach(({ buffer }, i) => {
      const at = inputs.findIndex((input) => input.buffer === buffer);
      this.#device.release(this.#handles[at] as BufferHandle);
      this.#handles[at] = results[i] as BufferHandle;
    });
  }

  /** The first run on new numbers, always the same: what the kernel has written then. */
  async firstResults(executable: Executable): Promise<HostData[]> {
    this.release();
    this.#handles = executable.inputs.map(({ dtype, shape }, i) =>
      this.#device.upload({ dtype, shape, data: drawn(dtype, sizeOf(shape), i) }),
    );
    this.run(executable);
    return Promise.all(
      executable.outputs.map(({ buffer, dtype, shape }) => {
        const at = executable.inputs.findIndex((input) => input.buffer === buffer);
        return this.#device.read(this.#handles[at] as BufferHandle, dtype, sizeOf(shape));
      }),
    );
  }

  release(): void {
    for (const handle of this.#handles) this.#device.release(handle);
    this.#handles = [];
  }
}

/** The schedules of one kernel against each other. */
export class Contest {
  readonly #kernel: SingleKernel;
  readonly #device: Bench;
  readonly #buffers: Buffers;
  readonly #candidates: readonly Candidate[];
  readonly #estimated: Trial;

  constructor(kernel: SingleKernel, device: Bench) {
    this.#kernel = kernel;
    this.#device = device;
    this.#buffers = new Buffers(device);
    this.#candidates = kernel.candidates();
    const [first] = this.#candidates;
    if (first === undefined) throw new InternalError(`${kernel.name} has no schedule`);
    this.#estimated = new Trial(first.schedule, kernel.executable(first.schedule));
  }

  /** The time of the estimate's choice, roughly. */
  async estimate(): Promise<number> {
    await this.#buffers.firstResults(this.#estimated.executable);
    await this.#time([this.#estimated]);
    this.#buffers.release();
    return this.#estimated.ms;
  }

  /** Until the deadline: the schedules in turns, those without hope leaving early. */
  async run(most: number, deadline: number): Promise<Outcome> {
    const estimated = this.#estimated;
    const legal = this.#candidates.length;
    if (performance.now() >= deadline) return { estimated, best: estimated, legal, tried: 0, wrong: 0 };
    const expected = await this.#buffers.firstResults(estimated.executable);
    const trials = [estimated];
    let wrong = 0;
    for (const { schedule } of this.#candidates.slice(1, most)) {
      if (performance.now() >= deadline) break;
      const trial = new Trial(schedule, this.#kernel.executable(schedule));
      if (await this.#agrees(trial, expected)) trials.push(trial);
      else wrong++;
    }
    // The first time was the first of all runs.
    estimated.times.length = 0;
    let running: readonly Trial[] = trials;
    for (let turn = 0; turn < turns && (turn === 0 || performance.now() < deadline); turn++) {
      await this.#time(turn % 2 === 0 ? running : [...running].reverse());
      const best = Math.min(...running.map(({ ms }) => ms));
      running = running.filter((trial) => trial === estimated || trial.ms <= hopeless * best);
    }
    this.#buffers.release();
    const best = running.reduce((a, b) => (b.ms < a.ms ? b : a), estimated);
    return { estimated, best, legal, tried: trials.length + wrong, wrong };
  }

  /** Not where the device refuses it, nor where it gives other results. */
  async #agrees({ executable }: Trial, expected: readonly HostData[]): Promise<boolean> {
    try {
      const results = await this.#buffers.firstResults(executable);
      return results.every((result, i) => agrees(result, expected[i] as HostData));
    } catch (error) {
      if (error instanceof FaxError) return false;
      throw error;
    }
  }

  /** One more time for each: by the device's clock, or else by ours around many runs. */
  async #time(trials: readonly Trial[]): Promise<void> {
    const profile = await this.#device.startProfile();
    if (profile === null) {
      for (const trial of trials) trial.times.push(await this.#timeOnHost(trial));
      return;
    }
    for (const { executable } of trials) this.#buffers.run(executable);
    const kernels = [...(await profile.stop())].sort((a, b) => a.start - b.start);
    trials.forEach(({ times }, i) => times.push((kernels[i]?.duration ?? 0) / 1e6));
  }

  /** Runs until the overhead of waiting for the device is small beside them. */
  async #timeOnHost({ executable }: Trial): Promise<number> {
    await this.#device.idle();
    for (let runs = 8; ; runs *= 4) {
      const started = performance.now();
      for (let i = 0; i < runs; i++) this.#buffers.run(executable);
      await this.#device.idle();
      const ms = performance.now() - started;
      if (ms >= 20 || runs >= 2048) return ms / runs;
    }
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? 0, sorted[Math.floor(middle)] ?? 0];
  return (low + high) / 2;
}

/** Numbers of ordinary size that no logarithm and no root refuses; small whole ones, since they may be positions. */
function drawn(dtype: DType, size: number, seed: number): HostData {
  const data = allocateData(dtype, size);
  let state = (seed + 1) * 0x9e3779b9;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 2 ** 32;
    data[i] = dtype === "f32" || dtype === "f16" ? 0.5 + unit : Math.floor(unit * (dtype === "bool" ? 2 : 4));
  }
  return data;
}

/** Sums may be added in another order: differences are small beside the largest number, and whole numbers are the same. */
function agrees(found: HostData, expected: HostData): boolean {
  const isFloat = expected instanceof Float32Array;
  const scale = isFloat
    ? expected.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0)
    : 0;
  return expected.every((want, i) => {
    const got = found[i] as number;
    return Object.is(got, want) || got === want || Math.abs(got - want) <= 2e-3 * scale;
  });
}
