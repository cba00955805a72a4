/** Where a command reads its surroundings and writes its output: the process, or a test's stand-in. */
import { ansiStyle, plainStyle, type Style, wantsColor } from "@fax/compiler/diagnostics";

export interface Terminal {
  readonly cwd: string;
  /** How to style what goes to each stream. */
  readonly style: { readonly stdout: Style; readonly stderr: Style };
  /** Columns of the terminal behind stderr; null where there is none. */
  readonly columns: number | null;
  stdout(text: string): void;
  stderr(text: string): void;
  /** Calls `listener` at each Ctrl-C until the function that it returns is called. */
  onInterrupt(listener: () => void): () => void;
  /** Ends the process at once. */
  abort(exitCode: number): void;
}

export function processTerminal(): Terminal {
  const styleFor = (stream: NodeJS.WriteStream): Style =>
    wantsColor(process.env, stream.isTTY === true) ? ansiStyle : plainStyle;
  // A reader such as `head` may close the pipe: what it did not want need not be written.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  return {
    cwd: process.cwd(),
    style: { stdout: styleFor(process.stdout), stderr: styleFor(process.stderr) },
    columns: process.stderr.isTTY ? (process.stderr.columns ?? 80) : null,
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    onInterrupt(listener) {
      process.on("SIGINT", listener);
      return () => void process.off("SIGINT", listener);
    },
    abort: (exitCode) => process.exit(exitCode),
  };
}
