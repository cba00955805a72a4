/** Experiments: a program that is called round after round, with what it needs to start and what to watch. */
import { FaxError, isArrayLeaf, NDArray, userLocation } from "@fax/compiler";
import { jit, type JitOptions } from "./jit.ts";
import type { Placements } from "./program-arguments.ts";
import * as random from "./random.ts";

type Metrics = Readonly<Record<string, NDArray>>;

/** A program for one round: `(state, …data) → { state, metrics }`, the metrics being scalars. */
export interface RoundProgram {
  (...args: never[]): { readonly state: unknown; readonly metrics: Metrics };
  readonly placements: Placements;
  withPlacements(placements: Placements): unknown;
}

type StateOf<P extends RoundProgram> = ReturnType<P>["state"];

type DataOf<P extends RoundProgram> =
  Parameters<P> extends readonly [unknown, ...infer Data] ? Readonly<Data> : readonly [];

/** What a session is started with. */
export interface Setup {
  /** Members of the program's group. */
  readonly clients: number;
  readonly seed: number;
}

/** The program's arguments after the state: the same in every round, or made anew for each (counted from 0). */
export type RoundData<D> = D | ((context: { readonly round: number }) => D | Promise<D>);

export interface ExperimentOptions<P extends RoundProgram> {
  /** One round: takes the state and the round's data, gives `{ state, metrics }`. */
  readonly program: P;
  /** The first state. It is compiled as a whole, so it is array code over `key`. */
  readonly init: (context: { readonly key: NDArray }) => StateOf<P>;
  /** Called once a session; prepares the data, and gives them or how each round's are made. */
  readonly data: (setup: Setup) => RoundData<DataOf<P>> | Promise<RoundData<DataOf<P>>>;
  readonly rounds: number;
  /** Evaluated on the state after each round, compiled: scalars that join the round's own metrics. */
  readonly metrics?: (state: StateOf<P>) => Metrics;
  /** How many members the group has; as the program declares unless said. */
  readonly clients?: number;
  /** Of all randomness. Default 0. */
  readonly seed?: number;
}

/** Overrides for one session. */
export interface StartOptions {
  readonly rounds?: number;
  readonly clients?: number;
  readonly seed?: number;
  /** Bytes that a round may take besides its arguments, as `jit` takes it. */
  readonly memoryLimit?: number;
}

export interface RoundResult {
  /** Counted from 1. */
  readonly round: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** An experiment under way. */
export interface Session<State = unknown> extends Setup {
  readonly rounds: number;
  /** After the last round that was run. */
  readonly state: State;
  /** Runs the next round and reads its metrics. */
  round(): Promise<RoundResult>;
}

export interface Experiment<P extends RoundProgram = RoundProgram> {
  readonly kind: "experiment";
  readonly program: P;
  readonly rounds: number;
  readonly clients: number;
  readonly seed: number;
  /** @throws FAX3011 for an option that does not fit */
  start(options?: StartOptions): Promise<Session<StateOf<P>>>;
}

/**
 * An experiment, which `fax run` drives when a module exports it as its default.
 *
 * The same seed gives the same initial state and the same data.
 *
 * @throws FAX3011 for rounds, clients or a seed that are not whole numbers in range, and for `clients` where the program
 *   has several groups and none is called so
 * @example
 * const round = program({ placements: { clients: 3 }, args: [f32(), f32().at("clients")] }, (mean, x) => {
 *   const drift = federatedMean(federatedMap((mean, x) => np.subtract(x, mean), federatedBroadcast(mean), x));
 *   return { state: np.add(mean, np.multiply(0.5, drift)), metrics: { drift: np.abs(drift) } };
 * });
 * export default experiment({
 *   program: round,
 *   init: ({ key }) => random.normal(key),
 *   data: () => [np.array([1, 2, 6])],
 *   rounds: 10,
 * });
 */
export function experiment<P extends RoundProgram>(options: ExperimentOptions<P>): Experiment<P> {
  const { program } = options;
  const group = groupOf(program.placements);
  const rounds = wholeNumber("rounds", options.rounds, 1);
  const clients = wholeNumber("clients", options.clients ?? (group === null ? 1 : (program.placements[group] ?? 1)), 1);
  const seed = wholeNumber("seed", options.seed ?? 0, 0);
  return {
    kind: "experiment",
    program,
    rounds,
    clients,
    seed,
    start: (asked = {}) => {
      const setup = {
        rounds: wholeNumber("rounds", asked.rounds ?? rounds, 1),
        clients: wholeNumber("clients", asked.clients ?? clients, 1),
        seed: wholeNumber("seed", asked.seed ?? seed, 0),
      };
      const { memoryLimit } = asked;
      return startSession(options, setup, memoryLimit === undefined ? {} : { memoryLimit });
    },
  };
}

async function startSession<P extends RoundProgram>(
  { program, init, data, metrics }: ExperimentOptions<P>,
  setup: Setup & { readonly rounds: number },
  limits: JitOptions,
): Promise<Session<StateOf<P>>> {
  const { clients, seed, rounds } = setup;
  const sized = withClients(program, clients);
  const step = jit(sized, limits) as unknown as (...args: readonly unknown[]) => ReturnType<P>;
  const evaluate = metrics === undefined ? () => ({}) : jit(metrics);
  const source = await data({ clients, seed });
  let state = jit((key: NDArray) => init({ key }))(random.key(seed));
  let done = 0;
  return {
    clients,
    seed,
    rounds,
    get state() {
      return state;
    },
    round: async () => {
      const args = typeof source === "function" ? await (source as DataSource)({ round: done }) : source;
      const result = step(state, ...(args as readonly unknown[]));
      state = result.state;
      done += 1;
      return { round: done, metrics: await readMetrics({ ...result.metrics, ...evaluate(state) }) };
    },
  };
}

type DataSource = (context: { readonly round: number }) => unknown;

async function readMetrics(metrics: Metrics): Promise<Record<string, number>> {
  const entries = Object.entries(metrics).map(async ([name, value]) => {
    if (!isArrayLeaf(value)) throw optionFault(`the metric ${name} is not a scalar`);
    return [name, Number(value instanceof NDArray ? await value.item() : value)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The program for so many clients; itself where that is what it declares. */
export function withClients<
  P extends { readonly placements: Placements; withPlacements(changed: Placements): unknown },
>(program: P, clients: number): P {
  const group = groupOf(program.placements);
  if (clients === (group === null ? 1 : program.placements[group])) return program;
  if (group === null) {
    throw optionFault(`the cardinality ${clients} is asked for, and the program has no group called clients`);
  }
  return program.withPlacements({ [group]: clients }) as P;
}

/** The group that `clients` speaks of: the one of that name, or the only one. */
function groupOf(placements: Placements): string | null {
  const groups = Object.keys(placements);
  if (groups.includes("clients")) return "clients";
  return groups.length === 1 ? (groups[0] ?? null) : null;
}

function wholeNumber(name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw optionFault(`${name} is ${value}, and must be a whole number from ${least}`);
}

function optionFault(message: string): FaxError {
  return new FaxError({
    code: "FAX3011",
    message: `experiment: ${message}`,
    source: userLocation(),
    help: "experiment({ program, init, data, rounds: 25, metrics, clients: 100, seed: 0 })",
  });
}
