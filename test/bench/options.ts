/** The command line of the benchmarks. */
import { parseArgs } from "node:util";
import { type DevicePreference, devicePreferences } from "@fax/runtime-webgpu";
import { type LibraryName, libraryNames } from "./libraries/library.ts";
import { type Clock, clocks } from "./measure.ts";

export interface BenchOptions {
  readonly device: DevicePreference;
  /** Rows whose name contains one of these; empty: all. */
  readonly only: readonly string[];
  readonly libraries: readonly LibraryName[];
  readonly quick: boolean;
  /** Whether to measure what the adapter can do at best. */
  readonly floor: boolean;
  /** Seconds for each library in each row. */
  readonly budget: number;
  /** The clock that the table is written by; the JSON has both. */
  readonly clock: Clock;
  readonly json: string | null;
  readonly peers: string;
  /** A Python that may have JAX, or what `jax_rows.py --json` wrote. */
  readonly jax: string;
  /** Set in the child process that measures a library's first call. */
  readonly firstCall: string | null;
}

export const usage = `npm run bench -- [options]
  --only NAMES       rows whose name contains one of these, separated by commas
  --libraries NAMES  of ${libraryNames.join(", ")}; all unless said
  --quick            smaller sizes, less time
  --no-floor         leaves out what the adapter can do at best, which takes a while to measure
  --budget SECONDS   for each library in each row (4, with --quick 1)
  --device DEVICE    ${devicePreferences.join(", ")}
  --clock CLOCK      ${clocks.join(" or ")} time in the table; cpu counts all threads of the process, for busy machines
  --json FILE        writes the results as JSON too
  --peers FOLDER     where the other libraries are installed (test/bench/peers)
  --jax SOURCE       a Python whose JAX runs the same rows (python3), or the JSON of an earlier run of jax_rows.py`;

export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: "" },
      libraries: { type: "string", default: libraryNames.join(",") },
      quick: { type: "boolean", default: false },
      "no-floor": { type: "boolean", default: false },
      budget: { type: "string" },
      device: { type: "string", default: "auto" },
      clock: { type: "string", default: "wall" },
      json: { type: "string" },
      peers: { type: "string", default: "test/bench/peers" },
      jax: { type: "string", default: "python3" },
      "first-call": { type: "string" },
    },
  });
  const budget = Number(values.budget ?? (values.quick ? 1 : 4));
  if (!(budget > 0)) throw new Error(`--budget: ${values.budget} is not a number of seconds`);
  return {
    device: oneOf("--device", values.device, devicePreferences),
    only: listed(values.only),
    libraries: listed(values.libraries).map((name) => oneOf("--libraries", name, libraryNames)),
    quick: values.quick,
    floor: !values["no-floor"],
    budget,
    clock: oneOf("--clock", values.clock, clocks),
    json: values.json ?? null,
    peers: values.peers,
    jax: values.jax,
    firstCall: values["first-call"] ?? null,
  };
}

function listed(text: string): string[] {
  return text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]));
}

function oneOf<T extends string>(option: string, value: string, known: readonly T[]): T {
  const found = known.find((name) => name === value);
  if (found === undefined) throw new Error(`${option}: ${value} is none of ${known.join(", ")}`);
  return found;
}
