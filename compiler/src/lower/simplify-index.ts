/**
 * Index arithmetic made simple. Expects nodes whose children are simplified; gives an expression of equal value wherever
 * the given one is evaluated. Only i32 and bool nodes change, and selects with a known condition: data of other types is
 * kept as written. i32 arithmetic wraps, so sums of multiples may always be collected; whatever divides or compares
 * needs a range that proves that nothing wraps.
 */
import { binaryExpr, constExpr, type BinaryFn, type Expr } from "./expr.ts";

/** Both ends are included. */
export interface Range {
  readonly lo: number;
  readonly hi: number;
}

const minI32 = -(2 ** 31);
const maxI32 = 2 ** 31 - 1;
const anyI32: Range = { lo: minI32, hi: maxI32 };
const ranges = new WeakMap<Expr, Range>();

/** The values that an i32 or bool expression can take. */
export function rangeOf(expr: Expr): Range {
  let range = ranges.get(expr);
  if (range === undefined) {
    range = computeRange(expr);
    ranges.set(expr, range);
  }
  return range;
}

function computeRange(expr: Expr): Range {
  if (expr.dtype === "bool") {
    return expr.op === "const" ? { lo: expr.value, hi: expr.value } : { lo: 0, hi: 1 };
  }
  if (expr.dtype !== "i32") return { lo: -Infinity, hi: Infinity };
  switch (expr.op) {
    case "const":
      return { lo: expr.value, hi: expr.value };
    case "axis":
      return { lo: 0, hi: Math.max(0, expr.axis.size - 1) };
    case "counter":
      return { lo: 0, hi: Math.max(0, expr.loop.length - 1) };
    case "cast":
      return expr.x.dtype === "bool" ? { lo: 0, hi: 1 } : anyI32;
    case "select": {
      const [a, b] = [rangeOf(expr.onTrue), rangeOf(expr.onFalse)];
      return { lo: Math.min(a.lo, b.lo), hi: Math.max(a.hi, b.hi) };
    }
    case "binary":
      return binaryRange(expr.fn, expr.x, expr.y);
    case "load":
    case "unary":
    case "bitcast":
    case "reduced":
      return anyI32;
    default:
      return expr satisfies never;
  }
}

function binaryRange(fn: BinaryFn, x: Expr, y: Expr): Range {
  const a = rangeOf(x);
  const b = rangeOf(y);
  switch (fn) {
    case "add":
      return unlessWrapped(a.lo + b.lo, a.hi + b.hi);
    case "sub":
      return unlessWrapped(a.lo - b.hi, a.hi - b.lo);
    case "mul": {
      const products = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi];
      return unlessWrapped(Math.min(...products), Math.max(...products));
    }
    case "min":
      return { lo: Math.min(a.lo, b.lo), hi: Math.min(a.hi, b.hi) };
    case "max":
      return { lo: Math.max(a.lo, b.lo), hi: Math.max(a.hi, b.hi) };
    case "div":
      return b.lo === b.hi && b.lo > 0 ? { lo: Math.trunc(a.lo / b.lo), hi: Math.trunc(a.hi / b.lo) } : anyI32;
    case "rem":
      if (b.lo !== b.hi || b.lo <= 0) return anyI32;
      return { lo: a.lo >= 0 ? 0 : Math.max(a.lo, 1 - b.lo), hi: a.hi <= 0 ? 0 : Math.min(a.hi, b.lo - 1) };
    default:
      return anyI32;
  }
}

function unlessWrapped(lo: number, hi: number): Range {
  return lo < minI32 || hi > maxI32 ? anyI32 : { lo, hi };
}

/** One node over simplified children. */
export function simplifyIndex(expr: Expr): Expr {
  if (expr.op === "select") {
    if (expr.condition.op === "const") return expr.condition.value ? expr.onTrue : expr.onFalse;
    return expr.onTrue === expr.onFalse ? expr.onTrue : expr;
  }
  if (expr.op === "unary" && expr.fn === "not" && expr.dtype === "bool" && expr.x.op === "const") {
    return constExpr(!expr.x.value, "bool");
  }
  if (expr.op !== "binary") return expr;
  if (expr.x.dtype === "i32") return expr.dtype === "bool" ? simplifyCompare(expr) : simplifyArithmetic(expr);
  return expr.dtype === "bool" && expr.x.dtype === "bool" ? simplifyLogic(expr) : expr;
}

type Binary = Extract<Expr, { op: "binary" }>;

function simplifyArithmetic(expr: Binary): Expr {
  const { fn, x, y } = expr;
  switch (fn) {
    case "add":
    case "sub":
      return rebuild(linearOf(expr), expr);
    case "mul":
      return x.op === "const" || y.op === "const" ? rebuild(linearOf(expr), expr) : expr;
    case "div":
    case "rem":
      return y.op === "const" && y.value > 0 ? simplifyDivision(expr, fn, x, y.value) : expr;
    case "min":
    case "max": {
      const [a, b] = [rangeOf(x), rangeOf(y)];
      const [small, large] = fn === "min" ? [x, y] : [y, x];
      if (a.hi <= b.lo) return small;
      if (b.hi <= a.lo) return large;
      return expr;
    }
    default:
      return expr;
  }
}

/** A sum Σ coefficient · term + constant, modulo 2³². */
interface Linear {
  readonly terms: Map<Expr, number>;
  constant: number;
}

function linearOf(expr: Expr): Linear {
  const sum: Linear = { terms: new Map(), constant: 0 };
  addTo(sum, expr, 1);
  // (x / n)·(c·n) + (x % n)·c = x·c, as long as there is such a pair.
  for (let again = true; again;) {
    again = false;
    for (const [term, coefficient] of sum.terms) {
      if (term.op !== "binary" || term.fn !== "rem" || term.y.op !== "const") continue;
      const quotient = findQuotient(sum, term.x, term.y.value);
      if (quotient === undefined || sum.terms.get(quotient) !== Math.imul(coefficient, term.y.value)) continue;
      sum.terms.delete(term);
      sum.terms.delete(quotient);
      addTo(sum, term.x, coefficient);
      again = true;
      break;
    }
  }
  return sum;
}

function findQuotient(sum: Linear, x: Expr, n: number): Expr | undefined {
  for (const term of sum.terms.keys()) {
    if (term.op !== "binary" || term.fn !== "div" || term.y.op !== "const") continue;
    if (term.x === x && term.y.value === n) return term;
    // (z / m) / n is kept as z / (m·n).
    const inner = x.op === "binary" && x.fn === "div" && x.y.op === "const" ? x : null;
    if (inner && inner.y.op === "const" && term.x === inner.x && term.y.value === inner.y.value * n) return term;
  }
  return undefined;
}

function addTo(sum: Linear, expr: Expr, factor: number): void {
  if (expr.op === "const") {
    sum.constant = (sum.constant + Math.imul(expr.value, factor)) | 0;
    return;
  }
  if (expr.op === "binary") {
    if (expr.fn === "add" || expr.fn === "sub") {
      addTo(sum, expr.x, factor);
      addTo(sum, expr.y, expr.fn === "add" ? factor : -factor | 0);
      return;
    }
    if (expr.fn === "mul" && expr.y.op === "const") return addTo(sum, expr.x, Math.imul(factor, expr.y.value));
    if (expr.fn === "mul" && expr.x.op === "const") return addTo(sum, expr.y, Math.imul(factor, expr.x.value));
  }
  const coefficient = ((sum.terms.get(expr) ?? 0) + factor) | 0;
  if (coefficient === 0) sum.terms.delete(expr);
  else sum.terms.set(expr, coefficient);
}

/** The sum as an expression: added terms first, in order of appearance; `original` if that says the same already. */
function rebuild(sum: Linear, original?: Expr): Expr {
  let result: Expr | null = null;
  const terms = [...sum.terms].sort(([, a], [, b]) => Number(a < 0) - Number(b < 0));
  for (const [term, coefficient] of terms) {
    const negative: boolean = coefficient < 0 && result !== null;
    const magnitude: number = negative ? -coefficient : coefficient;
    const product: Expr = magnitude === 1 ? term : binaryExpr("mul", term, constExpr(magnitude));
    result = result === null ? product : binaryExpr(negative ? "sub" : "add", result, product);
  }
  if (result === null) return constExpr(sum.constant);
  if (sum.constant !== 0) result = binaryExpr("add", result, constExpr(sum.constant));
  return original !== undefined && sameSum(original, result) ? original : result;
}

/** Equality of the spine of adds and muls over identical terms. */
function sameSum(a: Expr, b: Expr): boolean {
  if (a === b) return true;
  if (a.op === "const" && b.op === "const") return a.value === b.value && a.dtype === b.dtype;
  return a.op === "binary" && b.op === "binary" && a.fn === b.fn && sameSum(a.x, b.x) && sameSum(a.y, b.y);
}

/**
 * For a, b ≥ 0 where nothing wraps: (n·a + b) / n = a + b / n and (n·a + b) % n = b % n; for g that divides n and b < g,
 * (g·a + b) / n = a / (n/g) and (g·a + b) % n = g·(a % (n/g)) + b. For z ≥ 0, (z / m) / n = z / (m·n).
 */
function simplifyDivision(expr: Binary, fn: "div" | "rem", x: Expr, n: number): Expr {
  if (n === 1) return fn === "div" ? x : constExpr(0);
  const range = rangeOf(x);
  if (range.lo >= 0 && range.hi < n) return fn === "div" ? constExpr(0) : x;
  if (x.op === "const") return constExpr(fn === "div" ? Math.trunc(x.value / n) : x.value % n);
  const sum = linearOf(x);
  const [whole, rest] = multiplesOf(n, sum);
  if (!isZero(whole) && isNatural(whole, n, rest)) {
    const remainder = divide(fn, rebuild(rest), n);
    return fn === "rem" ? remainder : rebuild(linearOf(binaryExpr("add", rebuild(whole), remainder)));
  }
  for (const g of new Set([...sum.terms.values()].map((coefficient) => gcd(coefficient, n)))) {
    if (g <= 1 || g >= n) continue;
    const [factor, below] = multiplesOf(g, sum);
    if (isZero(factor) || !isNatural(factor, g, below) || linearRange(below).hi >= g) continue;
    const quotient = divide(fn, rebuild(factor), n / g);
    if (fn === "div") return quotient;
    return rebuild(linearOf(binaryExpr("add", binaryExpr("mul", quotient, constExpr(g)), rebuild(below))));
  }
  if (fn === "div" && x.op === "binary" && x.fn === "div" && x.y.op === "const" && rangeOf(x.x).lo >= 0) {
    const divisor = x.y.value * n;
    if (x.y.value > 0 && divisor <= maxI32) return divide("div", x.x, divisor);
  }
  return expr;
}

function divide(fn: "div" | "rem", x: Expr, n: number): Expr {
  const node: Expr = { op: "binary", dtype: "i32", fn, x, y: constExpr(n) };
  return simplifyIndex(node);
}

/** The sum as n · first + second. */
function multiplesOf(n: number, sum: Linear): [Linear, Linear] {
  const whole: Linear = { terms: new Map(), constant: Math.floor(sum.constant / n) };
  const rest: Linear = { terms: new Map(), constant: sum.constant - Math.floor(sum.constant / n) * n };
  for (const [term, coefficient] of sum.terms) {
    if (coefficient % n === 0) whole.terms.set(term, coefficient / n);
    else rest.terms.set(term, coefficient);
  }
  return [whole, rest];
}

function isZero(sum: Linear): boolean {
  return sum.terms.size === 0 && sum.constant === 0;
}

/** Whether n · whole + rest has no negative part and does not wrap. */
function isNatural(whole: Linear, n: number, rest: Linear): boolean {
  const [a, b] = [linearRange(whole), linearRange(rest)];
  return a.lo >= 0 && b.lo >= 0 && a.hi * n + b.hi <= maxI32;
}

function gcd(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : gcd(b, a % b);
}

function linearRange(sum: Linear): Range {
  let [lo, hi] = [sum.constant, sum.constant];
  for (const [term, coefficient] of sum.terms) {
    const range = rangeOf(term);
    const ends = [range.lo * coefficient, range.hi * coefficient];
    lo += Math.min(...ends);
    hi += Math.max(...ends);
  }
  return { lo, hi };
}

function simplifyCompare(expr: Binary): Expr {
  const { fn, x, y } = expr;
  const [a, b] = [rangeOf(x), rangeOf(y)];
  // x − y without wrapping, so that its range decides; only sound if neither side can have wrapped.
  const exact = a !== anyI32 && b !== anyI32;
  const difference = exact ? linearRange(linearOf({ op: "binary", dtype: "i32", fn: "sub", x, y })) : null;
  const lo = Math.max(a.lo - b.hi, exact && bounded(x) && bounded(y) ? (difference?.lo ?? -Infinity) : -Infinity);
  const hi = Math.min(a.hi - b.lo, exact && bounded(x) && bounded(y) ? (difference?.hi ?? Infinity) : Infinity);
  const known = decide(fn, lo, hi);
  return known === null ? expr : constExpr(known, "bool");
}

/** Whether no sum within the expression's linear form can have wrapped. */
function bounded(expr: Expr): boolean {
  if (expr.op === "binary" && (expr.fn === "add" || expr.fn === "sub" || expr.fn === "mul")) {
    return rangeOf(expr) !== anyI32 && bounded(expr.x) && bounded(expr.y);
  }
  return true;
}

function decide(fn: BinaryFn, lo: number, hi: number): boolean | null {
  switch (fn) {
    case "lt":
      return hi < 0 ? true : lo >= 0 ? false : null;
    case "le":
      return hi <= 0 ? true : lo > 0 ? false : null;
    case "gt":
      return lo > 0 ? true : hi <= 0 ? false : null;
    case "ge":
      return lo >= 0 ? true : hi < 0 ? false : null;
    case "eq":
      return lo === 0 && hi === 0 ? true : lo > 0 || hi < 0 ? false : null;
    case "ne":
      return lo === 0 && hi === 0 ? false : lo > 0 || hi < 0 ? true : null;
    default:
      return null;
  }
}

function simplifyLogic(expr: Binary): Expr {
  const { fn, x, y } = expr;
  if (fn !== "and" && fn !== "or") return expr;
  // x and false = false, x and true = x; `or` the other way round.
  const absorbing = fn === "and" ? 0 : 1;
  for (const [side, other] of [
    [x, y],
    [y, x],
  ] as const) {
    if (side.op === "const") return side.value === absorbing ? side : other;
  }
  return x === y ? x : expr;
}
