/** One line at the bottom of a terminal that says how far a run is; nothing where stderr is no terminal. */
import type { Terminal } from "./terminal.ts";

export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #total: number;
  readonly #started: number;
  readonly #now: () => number;
  readonly #what: string;
  #done = 0;

  /** `what` is counted. */
  constructor(terminal: Terminal, total: number, now: () => number = () => performance.now(), what = "round") {
    this.#terminal = terminal;
    this.#total = total;
    this.#now = now;
    this.#what = what;
    this.#started = now();
    this.#draw();
  }

  advance(done: number): void {
    this.#done = done;
    this.#draw();
  }

  /** Prints above the bar. */
  printAbove(print: () => void): void {
    this.clear();
    print();
    this.#draw();
  }

  clear(): void {
    if (this.#terminal.columns !== null) this.#terminal.stderr("\r\u001b[2K");
  }

  #draw(): void {
    const { columns } = this.#terminal;
    if (columns === null || this.#done >= this.#total) return;
    const text = `${this.#what} ${this.#done + 1} of ${this.#total}${this.#remaining()}`;
    const width = Math.min(40, columns - text.length - 2);
    const style = this.#terminal.style.stderr;
    const filled = Math.round((this.#done / this.#total) * width);
    const bar = `${style("good", "━".repeat(Math.max(0, filled)))}${style("muted", "━".repeat(Math.max(0, width - filled)))} `;
    this.#terminal.stderr(`\r\u001b[2K${width >= 10 ? bar : ""}${text}`);
  }

  #remaining(): string {
    if (this.#done === 0) return "";
    const ms = ((this.#now() - this.#started) / this.#done) * (this.#total - this.#done);
    return `, ${formatDuration(ms)} left`;
  }
}

/** `340 ms`, `4.2 s`, `1 min 20 s`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
