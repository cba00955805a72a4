/** What a device reports, as errors that say what to do. */
import { FaxError } from "@fax/compiler/diagnostics";

/** Seconds without progress after which reads of values fail. */
export const stallVariable = "FAX_STALL_SECONDS";

export function lostError(device: string, info: { readonly reason: string; readonly message: string }): FaxError {
  return new FaxError({
    code: "FAX2004",
    message:
      info.reason === "destroyed"
        ? `device: ${device} was closed before the value was computed`
        : `device: ${device} was lost: ${firstLine(info.message)}`,
    help: "run again, or choose another device: FAX_DEVICE=software",
  });
}

/** The device has not finished anything for `ms`. */
export function stalledError(device: string, ms: number): FaxError {
  return new FaxError({
    code: "FAX2008",
    message: `device: ${device} has made no progress for ${ms / 1000} s`,
    help: `a kernel may never end; if it is only slow, set ${stallVariable} to more seconds`,
  });
}

/** From an error scope of a call. `what` names the call. */
export function commandError(device: string, what: string, error: GPUError, outOfMemory: boolean): FaxError {
  return outOfMemory
    ? new FaxError({
        code: "FAX2005",
        message: `${what}: ${device} is out of memory: ${firstLine(error.message)}`,
        help: "use smaller batches, or free arrays that are no longer needed with `using`",
      })
    : new FaxError({
        code: "FAX2006",
        message: `${what}: ${device} refused a command: ${error.message.trim()}`,
      });
}

export function limitError(device: string, what: string, needed: number, limit: string, allowed: number): FaxError {
  const [need, most] = limit.endsWith("Size") ? [readableBytes(needed), readableBytes(allowed)] : [needed, allowed];
  return new FaxError({
    code: "FAX2003",
    message: `${what}: needs ${need}, and ${device} allows ${most} (${limit})`,
  });
}

/** A kernel that does not compile: the compiler's messages, each with the line of the source it is about. */
export function kernelError(
  device: string,
  kernel: { readonly name: string; readonly source: string },
  messages: readonly GPUCompilationMessage[],
  fallback: string,
): FaxError {
  const lines = kernel.source.split("\n");
  const errors = messages.filter((message) => message.type === "error");
  const details = errors.map(({ lineNum, linePos, message }) => {
    const line = lines[lineNum - 1] ?? "";
    const gutter = `${lineNum} │ `;
    return `${lineNum}:${linePos} ${message}\n  ${gutter}${line}\n  ${" ".repeat(gutter.length + Math.max(0, linePos - 1))}^`;
  });
  return new FaxError({
    code: "FAX2006",
    message: `${kernel.name}: ${device} refused the kernel: ${details.join("\n") || fallback.trim()}`,
  });
}

export function readableBytes(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(1).replace(/\.0$/, "")} ${unit}`;
  }
  return `${bytes} bytes`;
}

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0] as string;
}
