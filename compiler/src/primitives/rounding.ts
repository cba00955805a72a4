/** Whole numbers near a float. Their derivative is zero wherever it exists. */
import type { Params } from "../ir/jaxpr.ts";
import { defineUnary, onFloats } from "./elementwise.ts";
import { samplesOf, specialFloats } from "./elementwise-samples.ts";
import type { Sample } from "./primitive.ts";

export const floor = defineUnary({
  name: "floor",
  doc: "The greatest whole number not above x. JAX lax.floor",
  evaluate: onFloats(Math.floor),
  lower: "floor",
  derivative: "zero",
  transpose: "not linear",
  samples: roundingSamples([1.2, 1.8]),
});

export const ceil = defineUnary({
  name: "ceil",
  doc: "The least whole number not below x. JAX lax.ceil",
  evaluate: onFloats(Math.ceil),
  lower: "ceil",
  derivative: "zero",
  transpose: "not linear",
  samples: roundingSamples([-1.8, -1.2]),
});

export const round = defineUnary({
  name: "round",
  doc: "The nearest whole number, halves to the even one. JAX lax.round with TO_NEAREST_EVEN",
  evaluate: onFloats(roundHalfEven),
  lower: "round",
  derivative: "zero",
  transpose: "not linear",
  samples: roundingSamples([1.6, 2.4]),
});

function roundHalfEven(x: number): number {
  return Math.abs(x - Math.trunc(x)) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
}

function roundingSamples(smooth: readonly [number, number]): Sample<Params>[] {
  const halves = [1.5, 3.5, -1.5, -3.5, 1.25, 1.75, -1.25, -1.75, 8388609, -8388609, 4194304.5, 1e30];
  const edges = [...specialFloats, ...halves];
  return samplesOf({
    params: {},
    dtypes: ["f32", "f16"],
    floats: [smooth],
    edges: { f32: [edges], f16: [specialFloats] },
  });
}
