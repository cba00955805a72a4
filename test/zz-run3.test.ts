import { test } from "vitest";
import { traceProgram, makeJaxpr, random, np, setDevice, device } from "@fax/core";
import { baselineProfile, optimize, CompiledProgram } from "@fax/compiler";
import { round } from "../examples/fedavg-mnist.fax.ts";
import { initialModel, accuracy } from "../examples/digit-classifier.ts";
import type { Jaxpr } from "@fax/compiler";
test("t", async () => {
  const show = (name: string, j: Jaxpr) => { const t = performance.now(); const p = new CompiledProgram(optimize(j)); const e = p.executable({ ...baselineProfile, class: "cpu" });
    console.log(name, (performance.now() - t).toFixed(0), "ms", e.kernels.length, "kernels", e.steps.length, "steps"); for (const k of e.kernels) console.log("   ", k.name, k.source.length);
    return p; };
  const key = np.array(new Uint32Array([0, 1]));
  show("init", makeJaxpr((key) => initialModel(key as never))(key).jaxpr);
  const m = { hidden: { w: np.zeros([784, 64]), b: np.zeros(64) }, output: { w: np.zeros([64, 10]), b: np.zeros(10) } };
  show("acc", makeJaxpr(accuracy)(m).jaxpr);
  show("round", traceProgram(round.withPlacements({ clients: 4 })).jaxpr);
}, 100000);
