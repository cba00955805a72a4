/**
 * The best matrix product that hand-written WGSL reaches on the adapter: every variant, checked and timed; then fax's own
 * kernel in turns with the winner. `npm run bench:matmul -- --sizes 512,1024`.
 */
import { parseArgs } from "node:util";
import { type DevicePreference, devicePreferences } from "@fax/runtime-webgpu";
import { openAdapter } from "./adapter.ts";
import { fax } from "./libraries/fax.ts";
import { clocks, measureInTurns, ratioOf, type Sample, spreadOf } from "./measure.ts";
import { bestMatmul, prepareMatmul } from "./matmul-search.ts";
import { type MatmulElement, matmulVariants } from "./matmul-variants.ts";
import { number } from "./report.ts";
import { matmul } from "./rows/arrays.ts";

const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "512,1024" },
    element: { type: "string", default: "f32" },
    device: { type: "string", default: "auto" },
    only: { type: "string", default: "" },
    verbose: { type: "boolean", default: false },
  },
});
const element: MatmulElement = values.element === "f16" ? "f16" : "f32";
const preference = devicePreferences.find((name) => name === values.device) satisfies DevicePreference | undefined;
if (preference === undefined) throw new Error(`--device: one of ${devicePreferences.join(", ")}`);

const { own, profile, info } = await openAdapter(preference);
console.log(`adapter: ${info.reason}`);
for (const size of values.sizes.split(",").map(Number)) {
  const rate = (sample: Sample, clock: (typeof clocks)[number]): string =>
    number((2 * size ** 3) / sample[clock] / 1e6);
  const found: { name: string; sample: Sample }[] = [];
  const variants = matmulVariants(profile).filter(({ name }) => name.includes(values.only));
  const { variant } = await bestMatmul(own, profile, {
    element,
    size,
    variants,
    onResult: ({ name }, outcome) => {
      if (typeof outcome === "string") console.log(`  ${name}: ${outcome.split("\n", 1)[0]}`);
      else {
        found.push({ name, sample: outcome });
        if (values.verbose) console.log(`  ${name}: ${rate(outcome, "wall")} (${rate(outcome, "cpu")})`);
      }
    },
  });
  found.sort((a, b) => a.sample.cpu - b.sample.cpu);
  console.log(
    `${element} ${size}: ${found.length} of ${variants.length} variants ran; the best, GFLOP/s wall (per CPU second):`,
  );
  for (const { name, sample } of found.slice(0, 8)) {
    console.log(`  ${rate(sample, "wall")} (${rate(sample, "cpu")})  ${name}`);
  }
  if (variant === null) continue;
  const row = matmul(size, element);
  const prepared = await fax(info).prepare({ inputs: row.inputs(), program: row.program });
  await prepared.read();
  const hand = await prepareMatmul(own, { variant, size, element });
  const samples = await measureInTurns(
    [
      {
        name: "fax",
        mostCalls: 32,
        run: async (calls) => {
          for (let i = 0; i < calls; i++) prepared.start(false);
          await prepared.finish();
        },
      },
      { name: "by hand", mostCalls: 32, run: hand.run },
    ],
    4,
  );
  const [ours, best] = [samples.get("fax") ?? [], samples.get("by hand") ?? []];
  for (const clock of clocks) {
    const gflops = (of: readonly Sample[]): string =>
      number((2 * size ** 3) / spreadOf(of.map((s) => s[clock])).median / 1e6);
    const share = 100 * ratioOf(best, ours, clock);
    console.log(
      `${clock}: fax ${gflops(ours)} GFLOP/s, ${variant.name} ${gflops(best)}: fax reaches ${number(share)} %`,
    );
  }
  hand.destroy();
  prepared.dispose();
}
process.exit(0);
