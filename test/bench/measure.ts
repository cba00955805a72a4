/**
 * Timing of several libraries in turns. A harness that times one function after another (mitata, tinybench) compares
 * minutes that may differ by more than the libraries do on a machine that others use; here they alternate within
 * each round, and ratios are taken round by round.
 */
import { cpuUsage } from "node:process";

export const clocks = ["wall", "cpu"] as const;

/** `cpu`: time of all threads of the process, a software adapter's included. */
export type Clock = (typeof clocks)[number];

/** Milliseconds per call, by both clocks. */
export type Sample = Readonly<Record<Clock, number>>;

export interface Contender {
  readonly name: string;
  /** Makes `calls` calls and waits for the last. */
  run(calls: number): Promise<void>;
  /** The most calls that may be under way at once. */
  readonly mostCalls: number;
}

/** By contender, by round; a slow one takes part in the first rounds only. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

const mostRounds = 11;
const batchMs = 40;

export async function timed(calls: number, run: (calls: number) => Promise<void>): Promise<Sample> {
  const cpu = cpuUsage();
  const start = performance.now();
  await run(calls);
  const wall = performance.now() - start;
  const { user, system } = cpuUsage(cpu);
  return { wall: wall / calls, cpu: (user + system) / 1000 / calls };
}

interface Plan {
  readonly contender: Contender;
  /** Calls in a batch. */
  readonly calls: number;
  readonly rounds: number;
  readonly samples: Sample[];
}

/** Expects contenders that have run before. `budget` is in seconds for each. */
export async function measureInTurns(contenders: readonly Contender[], budget: number): Promise<Samples> {
  const plans: Plan[] = [];
  for (const contender of contenders) {
    const once = await timed(1, (calls) => contender.run(calls));
    const calls = Math.max(1, Math.min(contender.mostCalls, Math.floor(batchMs / once.wall)));
    // A single call is dear beside one of a batch, so a second look.
    const warm = calls > 1 ? await timed(calls, (n) => contender.run(n)) : once;
    const affordable = Math.floor((budget * 1000) / (warm.wall * calls));
    // What takes longer than the budget has been timed once, and that has to do.
    const samples: Sample[] = warm.wall > budget * 1000 ? [warm] : [];
    const rounds = samples.length > 0 ? 0 : Math.max(2, Math.min(mostRounds, affordable));
    plans.push({ contender, calls, rounds, samples });
  }
  for (let round = 0; plans.some(({ rounds }) => round < rounds); round++) {
    const inTurn = plans.map((_, i) => plans[(i + round) % plans.length] as Plan);
    for (const { contender, calls, rounds, samples } of inTurn) {
      if (round < rounds) samples.push(await timed(calls, (n) => contender.run(n)));
    }
  }
  return new Map(plans.map(({ contender, samples }) => [contender.name, samples]));
}

export interface Spread {
  readonly median: number;
  /** The quartiles. */
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const position = share * (sorted.length - 1);
    const [below, above] = [sorted[Math.floor(position)] ?? NaN, sorted[Math.ceil(position)] ?? NaN];
    return below + (above - below) * (position - Math.floor(position));
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

export function median(values: readonly number[]): number {
  return spreadOf(values).median;
}

/** The median over the rounds in which both took part of how many times as long the first took. */
export function ratioOf(slower: readonly Sample[], base: readonly Sample[], clock: Clock): number {
  const both = Math.min(slower.length, base.length);
  return median(slower.slice(0, both).map((sample, i) => sample[clock] / (base[i] as Sample)[clock]));
}
