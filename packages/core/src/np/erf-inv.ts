/** The inverse of the error function, with the coefficients that XLA uses. */
import { constant, lax, type Value } from "@fax/compiler";

const central = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
] as const;
const tail = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
] as const;

/**
 * `erf⁻¹(x)` on [-1, 1]: polynomials in `w = -log(1 - x²)`, one below w = 5 and one above (M. Giles, "Approximating the erfinv
 * function", GPU Computing Gems Jade Edition, 2011). f16 is computed in f32.
 */
export function erfInv(x: Value): Value {
  if (x.dtype === "f16") return lax.convert_element_type(erfInv(lax.convert_element_type(x, "f32")), "f16");
  const number = (value: number): Value => constant(value, "f32");
  const w = lax.neg(lax.log1p(lax.neg(lax.mul(x, x))));
  const isCentral = lax.lt(w, number(5));
  const pick = (i: number): Value => lax.select(isCentral, number(central[i] as number), number(tail[i] as number));
  const t = lax.select(isCentral, lax.sub(w, number(2.5)), lax.sub(lax.sqrt(w), number(3)));
  let polynomial = pick(0);
  for (let i = 1; i < central.length; i++) polynomial = lax.add(pick(i), lax.mul(polynomial, t));
  const inside = lax.mul(polynomial, x);
  return lax.select(lax.eq(lax.abs(x), number(1)), lax.mul(x, number(Infinity)), inside);
}
