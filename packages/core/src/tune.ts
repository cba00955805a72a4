/**
 * Measures the schedules of a program's kernels on the device in use, and keeps those that are faster than what is
 * estimated. Kernels are taken by the time that they take in a call, until the budget is used up.
 */
import {
  type CompiledProgram,
  describeSchedule,
  FaxError,
  planned,
  type SingleKernel,
  singleKernels,
} from "@fax/compiler";
import type { WebGPUDevice } from "@fax/runtime-webgpu";
import { Contest, type Outcome, type Timed } from "./contest.ts";
import { webgpuBackend } from "./device.ts";
import { type KeptSchedule, keptSchedule } from "./kept-schedules.ts";

export interface TuneOptions {
  /** Seconds. Default 60. */
  readonly budget?: number;
  /** How many schedules of a kernel are tried at most, the estimated best first. Default 16. */
  readonly candidates?: number;
  /** Called before each kernel. */
  readonly onProgress?: (progress: TuneProgress) => void;
}

export interface TuneProgress {
  readonly kernel: string;
  /** Kernels that are done, and all that there are. */
  readonly done: number;
  readonly total: number;
}

/** A schedule as text, and the median of its times in ms. */
export interface MeasuredSchedule {
  readonly schedule: string;
  readonly ms: number;
}

export interface TunedKernel {
  readonly kernel: string;
  /** How often a call runs it. */
  readonly runs: number;
  readonly flops: number;
  readonly bytesMoved: number;
  readonly estimated: MeasuredSchedule;
  /** The estimate's choice where nothing is faster. */
  readonly best: MeasuredSchedule;
  /** How many schedules there are, how many of them were run, and how many gave other results than the estimate's choice. */
  readonly legal: number;
  readonly tried: number;
  readonly wrong: number;
}

/** A schedule must be faster by this to be kept: less may be chance. */
const leastGain = 0.05;

export interface TuneReport {
  readonly device: string;
  /** By the time that they take in a call, the longest first. */
  readonly kernels: readonly TunedKernel[];
  /** Where the faster schedules are kept; null where FAX_CACHE is off. */
  readonly file: string | null;
}

/**
 * Measures the kernels of programs on the device in use; what is compiled from now on, here and in later processes on the
 * same adapter, takes the schedules that are faster. Throws FAX2001 where there is no WebGPU device.
 */
export async function tune(programs: readonly CompiledProgram[], options: TuneOptions = {}): Promise<TuneReport> {
  const backend = await webgpuBackend();
  if (backend === null) {
    throw new FaxError({
      code: "FAX2001",
      message: "tune: there is no WebGPU device whose kernels could be measured",
      help: "fax doctor says what to install",
    });
  }
  const { kernels, faster, slower } = await measure(programs, backend.device, options);
  backend.schedules = backend.schedules.update(faster, slower);
  return { device: backend.device.name, kernels, file: backend.schedules.path };
}

interface Measured {
  readonly kernels: readonly TunedKernel[];
  /** What is worth keeping; the kernels whose estimate stands. */
  readonly faster: readonly KeptSchedule[];
  readonly slower: readonly string[];
}

/** Of kernels that several programs have, one is measured. */
async function measure(
  programs: readonly CompiledProgram[],
  device: WebGPUDevice,
  { budget = 60, candidates = 16, onProgress = () => undefined }: TuneOptions,
): Promise<Measured> {
  const deadline = performance.now() + 1000 * budget;
  const kernels = kernelsOf(programs, device);
  const timed: { readonly kernel: SingleKernel; readonly contest: Contest; readonly ms: number }[] = [];
  for (const kernel of kernels) {
    const contest = new Contest(kernel, device);
    timed.push({ kernel, contest, ms: kernel.runs * (await contest.estimate()) });
  }
  timed.sort((a, b) => b.ms - a.ms);
  const results: { readonly kernel: SingleKernel; readonly outcome: Outcome }[] = [];
  for (const [done, { kernel, contest }] of timed.entries()) {
    onProgress({ kernel: kernel.name, done, total: timed.length });
    results.push({ kernel, outcome: await contest.run(candidates, deadline) });
  }
  const isFaster = ({ outcome: { best, estimated } }: { readonly outcome: Outcome }): boolean =>
    best.ms < (1 - leastGain) * estimated.ms;
  return {
    kernels: results.map((result) => summaryOf(result.kernel, result.outcome, isFaster(result))),
    faster: results
      .filter(isFaster)
      .map(({ kernel, outcome }) => keptSchedule(kernel, outcome.best, outcome.estimated)),
    slower: results.filter((result) => !isFaster(result) && result.outcome.tried > 1).map(({ kernel }) => kernel.key),
  };
}

function kernelsOf(programs: readonly CompiledProgram[], { profile }: WebGPUDevice): SingleKernel[] {
  const byKey = new Map<string, SingleKernel>();
  for (const { jaxpr, donated } of programs) {
    const { program, plan } = planned(jaxpr, profile, { donated });
    for (const kernel of singleKernels(program, plan, profile)) {
      const known = byKey.get(kernel.key);
      byKey.set(kernel.key, { ...kernel, runs: kernel.runs + (known?.runs ?? 0) });
    }
  }
  return [...byKey.values()];
}

function summaryOf(kernel: SingleKernel, outcome: Outcome, faster: boolean): TunedKernel {
  const text = ({ schedule, ms }: Timed): MeasuredSchedule => ({ schedule: describeSchedule(schedule), ms });
  const { legal, tried, wrong, estimated, best } = outcome;
  return {
    kernel: kernel.name,
    runs: kernel.runs,
    ...kernel.cost,
    estimated: text(estimated),
    best: text(faster ? best : estimated),
    legal,
    tried,
    wrong,
  };
}
