/** What is compiled once is found by all that decided it. */
import { expect, it } from "vitest";
import {
  baselineProfile,
  CompiledProgram,
  type Executable,
  type ExecutableStore,
  optimize,
  parseJaxpr,
} from "./index.ts";

class MemoryStore implements ExecutableStore {
  readonly kept = new Map<string, string>();
  find(key: string): Executable | null {
    const text = this.kept.get(key);
    return text === undefined ? null : (JSON.parse(text) as Executable);
  }
  keep(key: string, executable: Executable): void {
    this.kept.set(key, JSON.stringify(executable));
  }
}

/** `f(x) = sin(sin(… x) + c)`, of so many equations. */
function chain(equations: number, constant = 1): CompiledProgram {
  const lines = Array.from({ length: equations - 1 }, (_, i) => `v${i + 1}:f32[4]@server = sin v${i}`);
  const text = `{ lambda ; v0:f32[4]@server. let
    ${[...lines, `w:f32[4]@server = add v${equations - 1} ${constant}.0:f32`].join("\n    ")}
  in (w) }`;
  return new CompiledProgram(optimize(parseJaxpr(text)));
}

it("gives what an earlier process compiled from the same program for the same adapter", () => {
  const executables = new MemoryStore();
  const first = chain(40).executable(baselineProfile, { executables });
  expect(executables.kept.size).toBe(1);
  const second = chain(40).executable(baselineProfile, { executables });
  expect(executables.kept.size).toBe(1);
  expect(second).toEqual(JSON.parse(JSON.stringify(first)));
  // Proof that it was found: what stands in the store is what comes.
  const [key] = executables.kept.keys();
  executables.keep(key as string, { ...first, peakBytes: 12345 });
  expect(chain(40).executable(baselineProfile, { executables }).peakBytes).toBe(12345);
});

it("compiles anew what differs in the program, the adapter or what is donated", () => {
  const executables = new MemoryStore();
  const compile = (program: CompiledProgram, profile = baselineProfile): unknown =>
    program.executable(profile, { executables });
  compile(chain(40));
  compile(chain(40, 2));
  compile(chain(41));
  compile(chain(40), { ...baselineProfile, class: "cpu" });
  compile(new CompiledProgram(chain(40).jaxpr, { donated: [0] }));
  expect(executables.kept.size).toBe(5);
});

it("does not look for what is compiled as fast", () => {
  const executables = new MemoryStore();
  chain(3).executable(baselineProfile, { executables });
  expect(executables.kept.size).toBe(0);
});
