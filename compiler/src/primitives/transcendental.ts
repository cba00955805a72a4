/** Exponentials, logarithms, circular functions and erf. Floats only. */
import type { Params } from "../ir/jaxpr.ts";
import { defineUnary, onFloats } from "./elementwise.ts";
import { samplesOf, specialFloats } from "./elementwise-samples.ts";
import type { Sample } from "./primitive.ts";

export const exp = defineUnary({
  name: "exp",
  doc: "eˣ. JAX lax.exp",
  evaluate: onFloats(Math.exp),
  lower: "exp",
  derivative: ({ t, y, lax }) => lax.mul(t, y),
  transpose: "not linear",
  samples: floatSamples([-2, 2], [...specialFloats, 88, -80]),
});

export const log = defineUnary({
  name: "log",
  doc: "ln x; −∞ at 0, NaN below. JAX lax.log",
  evaluate: onFloats(Math.log),
  lower: "log",
  derivative: ({ t, x, lax }) => lax.div(t, x),
  transpose: "not linear",
  samples: floatSamples([0.3, 3], [...specialFloats, 1e-20, 1e20]),
});

export const log1p = defineUnary({
  name: "log1p",
  doc: "ln(1 + x), accurate near 0. JAX lax.log1p",
  evaluate: onFloats(Math.log1p),
  lower: "log1p",
  derivative: ({ t, x, lax }) => lax.div(t, lax.add(x, 1)),
  transpose: "not linear",
  samples: floatSamples([-0.5, 3], [...specialFloats, 1e-6, -1e-6, 1e-20, 1e20]),
});

export const expm1 = defineUnary({
  name: "expm1",
  doc: "eˣ − 1, accurate near 0. JAX lax.expm1",
  evaluate: onFloats(Math.expm1),
  lower: "expm1",
  derivative: ({ t, y, lax }) => lax.mul(t, lax.add(y, 1)),
  transpose: "not linear",
  samples: floatSamples([-2, 2], [...specialFloats, 1e-6, -1e-6, 1e-20, 80, -80]),
});

export const sin = defineUnary({
  name: "sin",
  doc: "sin x, in radians. JAX lax.sin",
  evaluate: onFloats(Math.sin),
  lower: "sin",
  derivative: ({ t, x, lax }) => lax.mul(t, lax.cos(x)),
  transpose: "not linear",
  samples: floatSamples([-3, 3], specialFloats),
});

export const cos = defineUnary({
  name: "cos",
  doc: "cos x, in radians. JAX lax.cos",
  evaluate: onFloats(Math.cos),
  lower: "cos",
  derivative: ({ t, x, lax }) => lax.mul(t, lax.neg(lax.sin(x))),
  transpose: "not linear",
  samples: floatSamples([-3, 3], specialFloats),
});

export const tanh = defineUnary({
  name: "tanh",
  doc: "tanh x. JAX lax.tanh",
  evaluate: onFloats(Math.tanh),
  lower: "tanh",
  // 1 − y² as a product, so that nothing cancels where y is near ±1.
  derivative: ({ t, y, lax }) => lax.mul(t, lax.mul(lax.add(y, 1), lax.sub(1, y))),
  transpose: "not linear",
  samples: floatSamples([-2, 2], [...specialFloats, 30, -30, 100, -100]),
});

export const logistic = defineUnary({
  name: "logistic",
  doc: "1 / (1 + e⁻ˣ). JAX lax.logistic",
  evaluate: onFloats((x) => 1 / (1 + Math.exp(-x))),
  lower: "logistic",
  derivative: ({ t, y, lax }) => lax.mul(t, lax.mul(y, lax.sub(1, y))),
  transpose: "not linear",
  samples: floatSamples([-3, 3], [...specialFloats, 30, -30, 200, -200]),
});

export const erf = defineUnary({
  name: "erf",
  doc: "2/√π ∫₀ˣ e^(−t²) dt; series 7.1.6 of Abramowitz and Stegun. JAX lax.erf",
  evaluate: onFloats(errorFunction),
  lower: "erf",
  derivative: ({ t, x, lax }) => lax.mul(t, lax.mul(lax.exp(lax.neg(lax.mul(x, x))), 2 / Math.sqrt(Math.PI))),
  transpose: "not linear",
  samples: floatSamples([-2, 2], [...specialFloats, 1e-10, 4, -4, 10, -10]),
});

/**
 * erf x = 2/√π e^(−x²) Σₙ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n+1)) (Abramowitz and Stegun 7.1.6). All terms have one sign, so nothing
 * cancels; from 6 on the result is ±1 in double precision.
 */
function errorFunction(x: number): number {
  if (Math.abs(x) >= 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 2 ** -54; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function floatSamples(smooth: readonly [number, number], edges: readonly number[]): Sample<Params>[] {
  return samplesOf({ params: {}, dtypes: ["f32", "f16"], floats: [smooth], edges: { f32: [edges] } });
}
