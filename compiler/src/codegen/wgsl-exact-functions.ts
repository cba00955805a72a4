/**
 * Functions with one right result, where WGSL leaves it open or has another: floats told apart and compared by their bits,
 * remainders, integers divided, raised and shifted, and conversions.
 */
import type { WgslFunction } from "./wgsl-function.ts";

export const exactFunctions: Readonly<Record<string, WgslFunction>> = {
  // A constant NaN or infinity is an error in WGSL; the bits of a parameter are not constant.
  of_bits: { source: `(bits: $U) -> $F {\n  return bitcast<$F>(bits);\n}` },
  is_nan: { source: `(x: $F) -> $B {\n  return (bitcast<$U>(x) & $U(0x7fffffffu)) > $U(0x7f800000u);\n}` },
  is_finite: { source: `(x: $F) -> $B {\n  return (bitcast<$U>(x) & $U(0x7f800000u)) != $U(0x7f800000u);\n}` },
  is_nonzero: { source: `(x: $F) -> $B {\n  return (bitcast<$U>(x) & $U(0x7fffffffu)) != $U(0u);\n}` },
  with_sign_of: {
    source: `(magnitude: $F, x: $F) -> $F {
  return bitcast<$F>((bitcast<$U>(magnitude) & $U(0x7fffffffu)) | (bitcast<$U>(x) & $U(0x80000000u)));
}`,
  },
  // NaN if either is.
  max_float: {
    source: `(x: $F, y: $F) -> $F {
  return select(select(max(x, y), y, $is_nan(y)), x, $is_nan(x));
}`,
  },
  min_float: {
    source: `(x: $F, y: $F) -> $F {
  return select(select(min(x, y), y, $is_nan(y)), x, $is_nan(x));
}`,
  },
  // The same where the second is known to be a number.
  max_with_number: { source: `(x: $F, y: $F) -> $F {\n  return select(max(x, y), x, $is_nan(x));\n}` },
  min_with_number: { source: `(x: $F, y: $F) -> $F {\n  return select(min(x, y), x, $is_nan(x));\n}` },
  // x, but 0 for −∞.
  or_zero: { source: `(x: $F) -> $F {\n  return select(x, $F(0.0), bitcast<$U>(x) == $U(0xff800000u));\n}` },
  // Tint's `!=` is false if either is NaN.
  ne_float: { source: `(x: $F, y: $F) -> $B {\n  return (x != y) | $is_nan(x) | $is_nan(y);\n}` },
  sign_float: {
    source: `(x: $F) -> $F {
  let magnitude = bitcast<$U>(x) & $U(0x7fffffffu);
  let kept = (magnitude == $U(0u)) | (magnitude > $U(0x7f800000u));
  return select($with_sign_of($F(1.0), x), x, kept);
}`,
  },
  // The exact remainder by long division on the significands; its sign is the dividend's.
  rem_float: {
    source: `(x: f32, y: f32) -> f32 {
  let a = abs(x);
  let b = abs(y);
  if (!$is_finite(x) || $is_nan(y) || !$is_nonzero(y)) {
    return $of_bits(0x7fc00000u);
  }
  let a_bits = bitcast<u32>(a);
  let b_bits = bitcast<u32>(b);
  if (a_bits < b_bits) {
    return x;
  }
  var a_exponent = max(a_bits >> 23u, 1u);
  let b_exponent = max(b_bits >> 23u, 1u);
  var rest = (a_bits & 0x007fffffu) | select(0u, 0x00800000u, a_bits >= 0x00800000u);
  let divisor = (b_bits & 0x007fffffu) | select(0u, 0x00800000u, b_bits >= 0x00800000u);
  rest = rest % max(divisor, 1u);
  while (a_exponent > b_exponent && rest != 0u) {
    rest = (rest << 1u) % max(divisor, 1u);
    a_exponent -= 1u;
  }
  let top = firstLeadingBit(rest);
  if (rest == 0u) {
    return $with_sign_of(0.0, x);
  }
  let shift = min(23u - top, b_exponent - 1u);
  let significand = rest << shift;
  let exponent = select(0u, b_exponent - shift, significand >= 0x00800000u);
  return $with_sign_of(bitcast<f32>((significand & 0x007fffffu) | (exponent << 23u)), x);
}`,
    perLane: { arity: 2, type: "f32" },
  },
  // By squaring, modulo 2³²; a negative exponent leaves 1 for 1, ±1 for −1 and 0 otherwise.
  pow_i32: {
    source: `(x: i32, y: i32) -> i32 {
  if (y < 0) {
    return select(select(0, select(1, -1, (y & 1) == 1), x == -1), 1, x == 1);
  }
  return bitcast<i32>($pow_u32(bitcast<u32>(x), bitcast<u32>(y)));
}`,
    perLane: { arity: 2, type: "i32" },
  },
  pow_u32: {
    source: `(x: u32, y: u32) -> u32 {
  var result = 1u;
  var base = x;
  var rest = y;
  while (rest != 0u) {
    result = select(result, result * base, (rest & 1u) == 1u);
    base = base * base;
    rest = rest >> 1u;
  }
  return result;
}`,
    perLane: { arity: 2, type: "u32" },
  },
  // Division by zero gives all bits set and the dividend as remainder; the least i32 over −1 wraps.
  div_i32: {
    source: `(x: $I, y: $I) -> $I {
  let wraps = (x == $I(i32(-2147483648))) & (y == $I(-1));
  let q = x / select(y, $I(1), (y == $I(0)) | wraps);
  return select(q, $I(-1), y == $I(0));
}`,
  },
  rem_i32: {
    source: `(x: $I, y: $I) -> $I {
  let r = x % select(y, $I(1), (y == $I(0)) | (y == $I(-1)));
  return select(r, x, y == $I(0));
}`,
  },
  div_u32: {
    source: `(x: $U, y: $U) -> $U {\n  return select(x / max(y, $U(1u)), $U(0xffffffffu), y == $U(0u));\n}`,
  },
  rem_u32: { source: `(x: $U, y: $U) -> $U {\n  return select(x % max(y, $U(1u)), x, y == $U(0u));\n}` },
  shift_left_u32: { source: `(x: $U, y: $U) -> $U {\n  return select(x << (y & $U(31u)), $U(0u), y > $U(31u));\n}` },
  shift_right_u32: { source: `(x: $U, y: $U) -> $U {\n  return select(x >> (y & $U(31u)), $U(0u), y > $U(31u));\n}` },
  shift_right_i32: { source: `(x: $I, y: $U) -> $I {\n  return x >> min(y, $U(31u));\n}` },
  // Towards zero, saturating, NaN to 0.
  float_to_i32: {
    source: `(x: $F) -> $I {
  let inside = (x > $F(-2147483648.0)) & (x < $F(2147483648.0)) & !$is_nan(x);
  let outside = select($I(i32(-2147483648)), $I(2147483647), x > $F(0.0));
  return select(select(outside, $I(0), $is_nan(x)), $I(select($F(0.0), x, inside)), inside);
}`,
  },
  float_to_u32: {
    source: `(x: $F) -> $U {
  let inside = (x > $F(0.0)) & (x < $F(4294967296.0)) & !$is_nan(x);
  let outside = select($U(0u), $U(4294967295u), x > $F(0.0));
  return select(select(outside, $U(0u), $is_nan(x)), $U(select($F(0.0), x, inside)), inside);
}`,
  },
  // The nearest f16, ties to even, kept in f32; from 65520 on it is infinity.
  round_to_f16: {
    source: `(x: $F) -> $F {
  let bits = bitcast<$U>(x) & $U(0x7fffffffu);
  let normal = (bits + $U(0xfffu) + ((bits >> $U(13u)) & $U(1u))) & $U(0xffffe000u);
  let subnormal = round(abs(x) * 16777216.0) * 5.9604645e-8;
  let magnitude = select(normal, bitcast<$U>(subnormal), bits < $U(0x38800000u));
  let y = bitcast<$F>(select(magnitude, $U(0x7f800000u), bits >= $U(0x477ff000u)));
  return select($with_sign_of(y, x), x, bits >= $U(0x7f800000u));
}`,
  },
};
