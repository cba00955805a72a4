/** `fax run --profile`: a trace for chrome://tracing and ui.perfetto.dev of what the host and the device were busy with. */
import { type HostPhase, observePhases } from "@fax/compiler/diagnostics";
import type { DeviceInfo } from "@fax/core";
import { type KernelTime, measureRoofline, type Roofline } from "@fax/runtime-webgpu";
import { writeFileSync } from "node:fs";

interface TraceEvent {
  readonly name: string;
  readonly ph: "X" | "M";
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, string | number>>;
}

const hostThread = 1;
const deviceThread = 2;

export interface RunningProfile {
  /** Writes the file; gives a sentence on what is in it. */
  stop(): Promise<string>;
}

/** Begins to record; the roofline is measured first, so that it does not show. */
export async function startProfile(file: string, { name, webgpu }: DeviceInfo): Promise<RunningProfile> {
  const roofline = webgpu === null ? null : await measureRoofline(webgpu);
  const kernels = (await webgpu?.startProfile()) ?? null;
  const phases: HostPhase[] = [];
  observePhases((phase) => phases.push(phase));
  return {
    async stop() {
      const times = (await kernels?.stop()) ?? [];
      observePhases(null);
      writeFileSync(file, `${JSON.stringify(traceOf(name, phases, times, roofline))}\n`);
      const what = kernels === null ? `${name} does not time kernels` : `${times.length} kernels`;
      return `${phases.length} host phases, ${what}: open ${file} in chrome://tracing or ui.perfetto.dev`;
    },
  };
}

/** The trace event format, as one object. */
export function traceOf(
  device: string,
  phases: readonly HostPhase[],
  times: readonly KernelTime[],
  roofline: Roofline | null,
): { readonly displayTimeUnit: "ms"; readonly traceEvents: readonly TraceEvent[] } {
  const events: TraceEvent[] = [
    threadName(hostThread, "host"),
    threadName(deviceThread, device),
    ...phases.map(({ name, start, duration }) => event(hostThread, name, start, duration)),
  ];
  const offset = clockOffset(times);
  for (const time of times) {
    const seconds = time.duration / 1e9;
    const args: Record<string, string | number> = { flops: time.flops, bytes: time.bytes };
    if (seconds > 0) {
      args["GFLOP/s"] = rounded(time.flops / seconds / 1e9);
      args["GB/s"] = rounded(time.bytes / seconds / 1e9);
      if (roofline !== null) {
        const least = Math.max(time.flops / roofline.flopsPerSecond, time.bytes / roofline.bytesPerSecond);
        args["% of roofline"] = rounded((100 * least) / seconds);
      }
    }
    events.push({ ...event(deviceThread, time.name, time.start / 1e6 + offset, time.duration / 1e6), args });
  }
  return { displayTimeUnit: "ms", traceEvents: events };
}

/** From the device's clock to the host's, in ms: no kernel begins before it is submitted. */
function clockOffset(times: readonly KernelTime[]): number {
  return times.reduce(
    (most, { start, submitted }) => Math.max(most, submitted - start / 1e6),
    Number.NEGATIVE_INFINITY,
  );
}

function event(tid: number, name: string, ms: number, duration: number): TraceEvent {
  return { name, ph: "X", pid: 1, tid, ts: 1000 * ms, dur: 1000 * duration };
}

function threadName(tid: number, name: string): TraceEvent {
  return { name: "thread_name", ph: "M", pid: 1, tid, args: { name } };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
