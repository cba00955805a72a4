/**
 * Exponentials, logarithms, powers, roots, trigonometric functions and what is made of them, in f32, within a few units in
 * the last place: arguments are reduced to a short interval, and a polynomial is evaluated there.
 */
import type { WgslFunction } from "./wgsl-function.ts";

export const elementaryFunctions: Readonly<Record<string, WgslFunction>> = {
  // 2^a · 2^b with a + b = n, so that n may lie beyond the exponents of normal numbers.
  scale_by_exponent: {
    source: `(x: $F, n: $I) -> $F {
  let a = n >> $U(1u);
  let b = n - a;
  return x * bitcast<$F>((a + $I(127)) << $U(23u)) * bitcast<$F>((b + $I(127)) << $U(23u));
}`,
  },
  // (eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2; eʳ is then within 4e-9 of itself.
  exp_tail: {
    source: `(r: $F) -> $F {
  return 0.5 + r * (0.16666533 + r * (0.041667245 + r * (0.008367676 + r * 0.0013863608)));
}`,
  },
  // x / ln 2 to the nearest integer: beside 1.5·2²³ a float has no room for a fraction, and its low bits count. (`round` is
  // a dozen operations on software adapters.)
  multiples_of_ln2: {
    source: `(x: $F) -> $I {
  return bitcast<$I>(x * 1.442695 + 12582912.0) - $I(0x4b400000);
}`,
  },
  beyond_ln2: {
    source: `(x: $F, n: $I) -> $F {
  let k = $F(n);
  return (x - k * 0.693359375) + k * 0.00021219444;
}`,
  },
  // x = n·ln 2 + r, eˣ = 2ⁿ·eʳ: n is added to the exponent. Results below the normal numbers are 0.
  exp: {
    source: `(x: $F) -> $F {
  let n = $multiples_of_ln2(x);
  let r = $beyond_ln2(x, n);
  let y = bitcast<$F>(bitcast<$I>(1.0 + (r + r * r * $exp_tail(r))) + (n << $U(23u)));
  let bounded = select(select(y, $F(0.0), x < $F(-87.33654)), $of_bits($U(0x7f800000u)), x > $F(88.722832));
  return select(bounded, x, $is_nan(x));
}`,
  },
  // 2·(2ⁿ⁻¹·(eʳ − 1) + (2ⁿ⁻¹ − ½)) for x from −18 to 89.
  expm1_inside: {
    source: `(x: $F) -> $F {
  let n = $multiples_of_ln2(x);
  let r = $beyond_ln2(x, n);
  let half = bitcast<$F>((n + $I(126)) << $U(23u));
  return 2.0 * ((r + r * r * $exp_tail(r)) * half + (half - 0.5));
}`,
  },
  // Tiny x are their own result.
  expm1: {
    source: `(x: $F) -> $F {
  let y = $expm1_inside(clamp(x, $F(-18.0), $F(89.0)));
  return select(y, x, $is_nan(x) | (abs(x) < $F(5.9604645e-8)));
}`,
  },
  // log(1 + f) = f − f²/2 + s·(f²/2 + R), s = f/(2 + f), R = 2s²/3 + 2s⁴/5 + …, for √½ ≤ 1 + f < √2.
  log_near_one: {
    source: `(f: $F, small: $F, k: $F) -> $F {
  let s = f / (2.0 + f);
  let z = s * s;
  let r = z * (0.6666667 + z * (0.4 + z * (0.2857143 + z * 0.22222222)));
  let half = 0.5 * f * f;
  return k * 0.693359375 + (f - (half - (s * (half + r) + (small - k * 0.00021219444))));
}`,
  },
  log: {
    source: `(x: $F) -> $F {
  let subnormal = bitcast<$U>(x) < $U(0x00800000u);
  let bits = bitcast<$U>(select(x, x * 8388608.0, subnormal)) + $U(0x004afb0du);
  let k = $F($I(bits >> $U(23u)) - $I(127)) - select($F(0.0), $F(23.0), subnormal);
  let f = bitcast<$F>((bits & $U(0x007fffffu)) + $U(0x3f3504f3u)) - 1.0;
  return $log_at_edges($log_near_one(f, $F(0.0), k), x, x);
}`,
  },
  // The logarithm of u where it is no ordinary number: 0, below 0, infinity, NaN.
  log_at_edges: {
    source: `(y: $F, u: $F, x: $F) -> $F {
  let bits = bitcast<$U>(u);
  let zero = (bits & $U(0x7fffffffu)) == $U(0u);
  let outside = $is_nan(x) | (bits == $U(0x7f800000u));
  let negative = (bits > $U(0x80000000u)) & !$is_nan(x);
  let ordinary = select(y, x, outside);
  return select(select(ordinary, $of_bits($U(0x7fc00000u)), negative), $of_bits($U(0xff800000u)), zero);
}`,
  },
  // log(u) with u = 1 + x rounded, corrected by what the rounding lost; near zero by x itself.
  log1p: {
    source: `(x: $F) -> $F {
  let u = 1.0 + x;
  let bits = bitcast<$U>(u) + $U(0x004afb0du);
  let near = (x > $F(-0.2928)) & (x < $F(0.4142));
  let k = select($F($I(bits >> $U(23u)) - $I(127)), $F(0.0), near);
  let f = select(bitcast<$F>((bits & $U(0x007fffffu)) + $U(0x3f3504f3u)) - 1.0, x, near);
  let lost = select(x - (u - 1.0), 1.0 - (u - x), x > $F(1.0)) / u;
  let y = $log_near_one(f, select(lost, $F(0.0), near), k);
  let tiny = abs(x) < $F(5.9604645e-8);
  return select($log_at_edges(y, u, x), x, tiny);
}`,
  },
  // Quadrant and rest of x / (π/2) for any finite x: as much of 2/π as the exponent calls for (Payne and Hanek).
  reduce_large_angle: {
    source: `(x: f32) -> vec2<f32> {
  var digits = array<u32, 9>(
    0x00000000u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u
  );
  let bits = bitcast<u32>(x);
  let mantissa = (bits & 0x007fffffu) | 0x00800000u;
  let start = ((bits >> 23u) & 0xffu) - 120u;
  let word = min(start >> 5u, 5u);
  let shift = start & 31u;
  let carry = select(0u, 0xffffffffu, shift != 0u);
  let back = (32u - shift) & 31u;
  let high = (digits[word] << shift) | ((digits[word + 1u] >> back) & carry);
  let middle = (digits[word + 1u] << shift) | ((digits[word + 2u] >> back) & carry);
  let low = (digits[word + 2u] << shift) | ((digits[word + 3u] >> back) & carry);
  let m = $multiply_wide(mantissa, middle);
  let l = $multiply_wide(mantissa, low);
  let p1 = m.y + l.x;
  let p0 = mantissa * high + m.x + select(0u, 1u, p1 < m.y);
  let fraction = (p0 << 2u) | (p1 >> 30u);
  let up = fraction >= 0x80000000u;
  let rest = p1 << 2u;
  let quadrant = (p0 >> 30u) + select(0u, 1u, up);
  let r = (f32(bitcast<i32>(fraction)) + f32(rest) * 2.3283064e-10) * 3.6572952e-10;
  let negative = bits >= 0x80000000u;
  return vec2<f32>(f32(select(quadrant, 4u - quadrant, negative) & 3u), select(r, -r, negative));
}`,
  },
  // The 64-bit product, high word first.
  multiply_wide: {
    source: `(a: u32, b: u32) -> vec2<u32> {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let middle = a1 * b0 + ((a0 * b0) >> 16u);
  let carried = (middle & 0xffffu) + a0 * b1;
  return vec2<u32>(a1 * b1 + (middle >> 16u) + (carried >> 16u), a * b);
}`,
  },
  // sin(quadrant·π/2 + r) by the Taylor series on |r| ≤ π/4.
  sine_in_quadrant: {
    source: `(quadrant: $U, r: $F) -> $F {
  let z = r * r;
  let sine = r + r * z * (-0.16666667 + z * (0.008333334 + z * (-0.0001984127 + z * 2.7557319e-6)));
  let cosine = 1.0 - z * (0.5 - z * (0.041666668 - z * (0.0013888889 - z * (2.4801587e-5 - z * 2.7557319e-7))));
  let y = select(sine, cosine, (quadrant & $U(1u)) == $U(1u));
  return select(y, -y, (quadrant & $U(2u)) == $U(2u));
}`,
  },
  // sin of the angle plus shift quarter turns for |x| ≤ 8192; the nearest integer is found as for `multiples_of_ln2`.
  sine_near: {
    source: `(x: $F, shift: $U) -> $F {
  let n = bitcast<$I>(x * 0.63661975 + 12582912.0) - $I(0x4b400000);
  let k = $F(n);
  let r = ((x - k * 1.5703125) - k * 0.0004837513) - k * 7.549790e-8;
  return $sine_in_quadrant(bitcast<$U>(n) + shift, r);
}`,
  },
  // The same beyond, and NaN for infinities and NaN.
  sine_beyond: {
    source: `(x: f32, shift: u32) -> f32 {
  if (!$is_finite(x)) {
    return $of_bits(0x7fc00000u);
  }
  let reduced = $reduce_large_angle(x);
  return $sine_in_quadrant(u32(reduced.x) + shift, reduced.y);
}`,
  },
  sin_beyond: { source: `(x: f32) -> f32 {\n  return $sine_beyond(x, 0u);\n}`, perLane: { arity: 1, type: "f32" } },
  cos_beyond: { source: `(x: f32) -> f32 {\n  return $sine_beyond(x, 1u);\n}`, perLane: { arity: 1, type: "f32" } },
  is_beyond_8192: { source: `(x: $F) -> $B {\n  return (bitcast<$U>(x) & $U(0x7fffffffu)) > $U(0x46000000u);\n}` },
  sin: {
    source: `(x: $F) -> $F {
  var y = $sine_near(x, $U(0u));
  let beyond = $is_beyond_8192(x);
  if (any(beyond)) {
    y = select(y, $sin_beyond(x), beyond);
  }
  return select(y, x, abs(x) < $F(1e-4));
}`,
  },
  cos: {
    source: `(x: $F) -> $F {
  var y = $sine_near(x, $U(1u));
  let beyond = $is_beyond_8192(x);
  if (any(beyond)) {
    y = select(y, $cos_beyond(x), beyond);
  }
  return y;
}`,
  },
  // t/(t + 2) with t = e²ˣ − 1, which is 1 in f32 from x = 10 on.
  tanh: {
    source: `(x: $F) -> $F {
  let t = $expm1_inside(2.0 * min(abs(x), $F(10.0)));
  return select($with_sign_of(t / (t + 2.0), x), x, $is_nan(x));
}`,
  },
  logistic: { source: `(x: $F) -> $F {\n  return 1.0 / (1.0 + $exp(-x));\n}` },
  // Below 3/4 the Taylor series, above 1 − e^(−x²)·p(t) with t = 1/(1 + x/2) and p fitted to 2e-8.
  erf: {
    source: `(x: $F) -> $F {
  let a = min(abs(x), $F(4.2));
  let z = a * a;
  let series = 1.1283792 + z * (-0.37612638 + z * (0.112837918 + z * (-0.026866171 + z * (0.0052239776 +
    z * (-0.00085483270 + z * (0.00012055333 + z * (-0.000014925651 + z * 0.0000016462114)))))));
  let t = 1.0 / (1.0 + 0.5 * a);
  let p = 0.0014201158 + t * (0.26344033 + t * (0.38307019 + t * (-0.039547005 + t * (0.6143327 - t * 0.22286806))));
  let y = select(1.0 - $exp(-z) * p, a * series, a < $F(0.75));
  return select($with_sign_of(y, x), x, $is_nan(x));
}`,
  },
  sqrt: {
    source: `(x: $F) -> $F {
  let bits = bitcast<$U>(x);
  let kept = ((bits & $U(0x7fffffffu)) == $U(0u)) | (bits == $U(0x7f800000u)) | $is_nan(x);
  let root = select(sqrt(x), x, kept);
  return select(root, $of_bits($U(0x7fc00000u)), (bits > $U(0x80000000u)) & !$is_nan(x));
}`,
  },
  rsqrt: {
    source: `(x: $F) -> $F {
  let zero = (bitcast<$U>(x) & $U(0x7fffffffu)) == $U(0u);
  let infinite = bitcast<$U>(x) == $U(0x7f800000u);
  let y = select(1.0 / $sqrt(x), $F(0.0), infinite);
  return select(y, $with_sign_of($of_bits($U(0x7f800000u)), x), zero);
}`,
  },
  // e^(y · log |x|) with the logarithm and the product kept to about 36 bits in two floats.
  power_of_magnitude: {
    source: `(a: f32, y: f32) -> f32 {
  let subnormal = bitcast<u32>(a) < 0x00800000u;
  let bits = bitcast<u32>(select(a, a * 8388608.0, subnormal)) + 0x004afb0du;
  let k = f32(i32(bits >> 23u) - 127) - select(0.0, 23.0, subnormal);
  let m = bitcast<f32>((bits & 0x007fffffu) + 0x3f3504f3u);
  let f = m - 1.0;
  let inverse = 1.0 / (m + 1.0);
  let s = f * inverse;
  let s_high = bitcast<f32>(bitcast<u32>(s) & 0xfffff000u);
  let t_high = bitcast<f32>(bitcast<u32>(m + 1.0) & 0xfffff000u);
  let t_low = m - (t_high - 1.0);
  let s_low = inverse * ((f - s_high * t_high) - s_high * t_low);
  let z = s * s;
  let tail = s * z * (0.6666667 + z * (0.4 + z * (0.2857143 + z * (0.22222222 + z * 0.18181819))));
  let near_one = k == 0.0;
  let base = select(k * 0.693359375, 0.0, near_one);
  let log_sum = base + 2.0 * s_high;
  let log_low = ((base - log_sum) + 2.0 * s_high) + (2.0 * s_low + (tail - k * 0.00021219444));
  let log_high = bitcast<f32>(bitcast<u32>(log_sum + log_low) & 0xfffff000u);
  let log_rest = (log_sum - log_high) + log_low;
  let c = clamp(y, -3.0e38, 3.0e38);
  let y_high = bitcast<f32>(bitcast<u32>(c) & 0xfffff000u);
  let p_high = y_high * log_high;
  let p_low = (c - y_high) * log_high + c * log_rest;
  let p = clamp(p_high + p_low, -110.0, 110.0);
  let inside = abs(p) < 109.0;
  let n = round(p * 1.442695);
  let r = ((select(p, p_high, inside) - n * 0.693359375) + n * 0.00021219444) + select(0.0, p_low, inside);
  return $scale_by_exponent(1.0 + (r + r * r * $exp_tail(r)), i32(n));
}`,
  },
  pow: {
    source: `(x: f32, y: f32) -> f32 {
  let x_bits = bitcast<u32>(x);
  let magnitude = abs(x);
  if (!$is_nonzero(y) || x_bits == 0x3f800000u) {
    return 1.0;
  }
  if ($is_nan(x) || $is_nan(y)) {
    return $of_bits(0x7fc00000u);
  }
  let infinity = $of_bits(0x7f800000u);
  if (!$is_finite(y)) {
    if (x_bits == 0xbf800000u) {
      return 1.0;
    }
    return select(0.0, infinity, ((x_bits & 0x7fffffffu) > 0x3f800000u) == (y > 0.0));
  }
  let whole = abs(y) >= 8388608.0 || floor(y) == y;
  let half = abs(y) * 0.5;
  let odd = whole && abs(y) < 16777216.0 && floor(half) != half;
  let negative = x_bits >= 0x80000000u;
  var result: f32;
  if (!$is_nonzero(x) || !$is_finite(x)) {
    result = select(0.0, infinity, $is_nonzero(x) == (y > 0.0));
  } else if (negative && !whole) {
    return $of_bits(0x7fc00000u);
  } else {
    result = $power_of_magnitude(magnitude, y);
  }
  return select(result, -result, negative && odd);
}`,
    perLane: { arity: 2, type: "f32" },
  },
};
