/**
 * Canonical expressions: structurally equal ones become one object, i32 arithmetic becomes sums of `coefficient · atom`,
 * and divisions and remainders disappear where ranges prove it. Expects any `Expr`; guarantees the same value at every
 * point where the original is defined.
 */
import { invariant } from "../diagnostics/index.ts";
import { type Axis, binaryExpr, comparisons, constExpr, type BinaryFn, type Expr } from "../lower/expr.ts";

/** `constant + Σ coefficient · atom`, modulo 2³². Atoms are canonical and no sums themselves. */
export interface LinearForm {
  readonly terms: ReadonlyMap<Expr, number>;
  readonly constant: number;
}

export interface Range {
  readonly low: number;
  readonly high: number;
}

export type Substitution = ReadonlyMap<Axis, Expr>;

const int32Max = 2147483647;
const int32Min = -2147483648;

export class Canonicalizer {
  private readonly byKey = new Map<string, Expr>();
  private readonly ids = new Map<Expr, number>();
  private readonly linearForms = new Map<Expr, LinearForm>();
  private readonly ranges = new Map<Expr, Range | null>();

  /** A rewriter of expressions in which the axes of `substitution`, and results of reductions, are replaced by canonical expressions. */
  rewriter(substitution: Substitution, reductions: ReadonlyMap<number, Expr> = new Map()): (e: Expr) => Expr {
    const memo = new Map<Expr, Expr>();
    const rewrite = (e: Expr): Expr => {
      let result = memo.get(e);
      if (!result) {
        result = (e.op === "reduced" && reductions.get(e.reduction)) || this.rebuild(e, rewrite, substitution);
        memo.set(e, result);
      }
      return result;
    };
    return rewrite;
  }

  private rebuild(e: Expr, rewrite: (e: Expr) => Expr, substitution: Substitution): Expr {
    switch (e.op) {
      case "const":
      case "counter":
      case "reduced":
        return this.intern(e);
      case "axis":
        return substitution.get(e.axis) ?? (e.axis.size === 1 ? this.intern(constExpr(0)) : this.intern(e));
      case "load":
        return this.intern({ ...e, index: e.index.map(rewrite) });
      case "unary":
        return this.unary({ ...e, x: rewrite(e.x) });
      case "binary":
        return this.binary(e.fn, rewrite(e.x), rewrite(e.y));
      case "select":
        return this.select(
          rewrite(e.condition),
          () => rewrite(e.onTrue),
          () => rewrite(e.onFalse),
        );
      case "cast":
      case "bitcast":
        return this.intern({ ...e, x: rewrite(e.x) });
      default:
        return e satisfies never;
    }
  }

  /** The canonical object of an expression whose operands are canonical. */
  intern(e: Expr): Expr {
    const key = this.keyOf(e);
    const known = this.byKey.get(key);
    if (known) return known;
    this.byKey.set(key, e);
    this.ids.set(e, this.ids.size);
    return e;
  }

  /** Numbers canonical expressions in order of appearance. */
  idOf(e: Expr): number {
    const id = this.ids.get(e);
    invariant(id !== undefined, "an expression that is not canonical");
    return id;
  }

  private keyOf(e: Expr): string {
    switch (e.op) {
      case "const":
        return `const ${e.dtype} ${Object.is(e.value, -0) ? "-0" : e.value}`;
      case "axis":
        return `axis ${e.axis.id}`;
      case "counter":
        return `counter ${e.loop.id}`;
      case "reduced":
        return `reduced ${e.dtype} ${e.reduction}`;
      case "load":
        return `load ${e.tensor.id} ${e.index.map((i) => this.idOf(i)).join(" ")}`;
      case "unary":
        return `${e.fn} ${e.dtype} ${this.idOf(e.x)}`;
      case "binary":
        return `${e.fn} ${this.idOf(e.x)} ${this.idOf(e.y)}`;
      case "select":
        return `select ${this.idOf(e.condition)} ${this.idOf(e.onTrue)} ${this.idOf(e.onFalse)}`;
      case "cast":
      case "bitcast":
        return `${e.op} ${e.dtype} ${this.idOf(e.x)}`;
      default:
        return e satisfies never;
    }
  }

  private unary(e: Extract<Expr, { op: "unary" }>): Expr {
    if (e.fn === "neg" && e.dtype === "i32") return this.fromLinear(scale(this.linearOf(e.x), -1));
    if (e.fn === "not" && e.x.op === "const" && e.dtype === "bool") return this.bool(e.x.value === 0);
    return this.intern(e);
  }

  binary(fn: BinaryFn, x: Expr, y: Expr): Expr {
    if (x.dtype === "bool") return this.logic(fn, x, y);
    if (x.dtype !== "i32") return this.intern(rawBinary(fn, x, y));
    if (comparisons.has(fn)) return this.comparison(fn, x, y);
    switch (fn) {
      case "add":
        return this.fromLinear(sum(this.linearOf(x), this.linearOf(y)));
      case "sub":
        return this.fromLinear(sum(this.linearOf(x), scale(this.linearOf(y), -1)));
      case "mul":
        if (y.op === "const") return this.fromLinear(scale(this.linearOf(x), y.value));
        if (x.op === "const") return this.fromLinear(scale(this.linearOf(y), x.value));
        return this.intern(rawBinary(fn, x, y));
      case "div":
      case "rem":
        return this.division(fn, x, y);
      case "max":
      case "min":
        return this.extreme(fn, x, y);
      default:
        return this.intern(rawBinary(fn, x, y));
    }
  }

  private logic(fn: BinaryFn, x: Expr, y: Expr): Expr {
    const [constant, other] = x.op === "const" ? [x, y] : [y, x];
    if (constant.op === "const" && fn === "and") return constant.value ? other : constant;
    if (constant.op === "const" && fn === "or") return constant.value ? constant : other;
    return this.intern(rawBinary(fn, x, y));
  }

  private select(condition: Expr, onTrue: () => Expr, onFalse: () => Expr): Expr {
    if (condition.op === "const") return condition.value ? onTrue() : onFalse();
    const t = onTrue();
    const f = onFalse();
    if (t === f) return t;
    return this.intern({ op: "select", dtype: t.dtype, condition, onTrue: t, onFalse: f });
  }

  private bool(value: boolean): Expr {
    return this.intern(constExpr(value, "bool"));
  }

  private comparison(fn: BinaryFn, x: Expr, y: Expr): Expr {
    if (x === y) return this.bool(fn === "eq" || fn === "le" || fn === "ge");
    const a = this.rangeOf(x);
    const b = this.rangeOf(y);
    if (a && b) {
      const disjoint = a.high < b.low || b.high < a.low;
      if (fn === "lt" && (a.high < b.low || a.low >= b.high)) return this.bool(a.high < b.low);
      if (fn === "le" && (a.high <= b.low || a.low > b.high)) return this.bool(a.high <= b.low);
      if (fn === "gt" && (a.low > b.high || a.high <= b.low)) return this.bool(a.low > b.high);
      if (fn === "ge" && (a.low >= b.high || a.high < b.low)) return this.bool(a.low >= b.high);
      if ((fn === "eq" || fn === "ne") && disjoint) return this.bool(fn === "ne");
    }
    if ((fn === "lt" || fn === "ge") && y.op === "const") return this.bound(fn, x, y.value);
    return this.intern(rawBinary(fn, x, y));
  }

  /** g·big + rest < g·c ⇔ big < c, if 0 ≤ rest < g. */
  private bound(fn: "lt" | "ge", x: Expr, limit: number): Expr {
    const split = this.rangeOf(x) ? this.split(this.linearOf(x), Math.abs(limit)) : null;
    if (!split || split.g === 1) return this.intern(rawBinary(fn, x, this.intern(constExpr(limit))));
    const { big, g } = split;
    return this.comparison(fn, big, this.intern(constExpr(limit / g)));
  }

  private extreme(fn: "max" | "min", x: Expr, y: Expr): Expr {
    const a = this.rangeOf(x);
    const b = this.rangeOf(y);
    if (a && b && a.low >= b.high) return fn === "max" ? x : y;
    if (a && b && b.low >= a.high) return fn === "max" ? y : x;
    return x === y ? x : this.intern(rawBinary(fn, x, y));
  }

  private division(fn: "div" | "rem", x: Expr, y: Expr): Expr {
    const range = this.rangeOf(x);
    if (y.op === "const" && y.value === 1) return fn === "div" ? x : this.intern(constExpr(0));
    if (y.op !== "const" || y.value <= 0 || !range || range.low < 0) return this.constantOr(fn, x, y);
    const d = y.value;
    // ⌊(x mod a) / d⌋ = ⌊x / d⌋ mod (a / d) and (x mod a) mod d = x mod d, if d divides a and x ≥ 0.
    if (x.op === "binary" && x.fn === "rem" && x.y.op === "const" && x.y.value % d === 0 && this.isNatural(x.x)) {
      if (fn === "rem") return this.binary("rem", x.x, y);
      return this.binary("rem", this.binary("div", x.x, y), this.intern(constExpr(x.y.value / d)));
    }
    const form = this.linearOf(x);
    const split = this.split(form, d);
    // ⌊x/d⌋ = ⌊big/(d/g)⌋, x mod d = g·(big mod (d/g)) + rest.
    if (!split || !this.isNatural(split.big)) return this.plainDivision(fn, x, y);
    const { g, big, rest } = split;
    const divisor = this.intern(constExpr(d / g));
    if (fn === "div") return g === d ? big : this.plainDivision("div", big, divisor);
    if (g === d) return this.fromLinear(rest);
    return this.fromLinear(sum(scale(this.linearOf(this.plainDivision("rem", big, divisor)), g), rest));
  }

  /** x = g·big + rest with 0 ≤ rest < g, for the largest g found that divides d. */
  private split(form: LinearForm, d: number): { g: number; big: Expr; rest: LinearForm } | null {
    for (const g of this.splitCandidates(form, d)) {
      const big = new Map<Expr, number>();
      const others = new Map<Expr, number>();
      for (const [atom, coefficient] of form.terms) {
        if (coefficient % g === 0) big.set(atom, coefficient / g);
        else others.set(atom, coefficient);
      }
      const rest: LinearForm = { terms: others, constant: ((form.constant % g) + g) % g };
      const range = this.rangeOfLinear(rest);
      if (!range || range.low < 0 || range.high >= g) continue;
      return { g, big: this.fromLinear({ terms: big, constant: (form.constant - rest.constant) / g }), rest };
    }
    return null;
  }

  private constantOr(fn: "div" | "rem", x: Expr, y: Expr): Expr {
    if (x.op === "const" && y.op === "const" && y.value !== 0) {
      return this.intern(constExpr((fn === "div" ? Math.trunc(x.value / y.value) : x.value % y.value) | 0));
    }
    return this.intern(rawBinary(fn, x, y));
  }

  private plainDivision(fn: "div" | "rem", x: Expr, y: Expr): Expr {
    const range = this.rangeOf(x);
    if (y.op === "const" && range && range.low >= 0 && range.high < y.value) {
      return fn === "div" ? this.intern(constExpr(0)) : x;
    }
    if (y.op === "const" && y.value === 1) return fn === "div" ? x : this.intern(constExpr(0));
    return this.constantOr(fn, x, y);
  }

  private splitCandidates(form: LinearForm, d: number): number[] {
    const candidates = new Set(d > 0 ? [d] : []);
    let common = d;
    for (const coefficient of [...form.terms.values()].sort((a, b) => Math.abs(b) - Math.abs(a))) {
      common = gcd(common, Math.abs(coefficient));
      if (common > 1) candidates.add(common);
    }
    return [...candidates];
  }

  private isNatural(e: Expr): boolean {
    const range = this.rangeOf(e);
    return range !== null && range.low >= 0;
  }

  /** The values that an i32 expression can take, or null if nothing is known. */
  rangeOf(e: Expr): Range | null {
    let range = this.ranges.get(e);
    if (range === undefined) {
      range = this.computeRange(e);
      this.ranges.set(e, range);
    }
    return range;
  }

  private computeRange(e: Expr): Range | null {
    if (e.dtype !== "i32") return null;
    switch (e.op) {
      case "const":
        return { low: e.value, high: e.value };
      case "axis":
        return { low: 0, high: Math.max(0, e.axis.size - 1) };
      case "counter":
        return { low: 0, high: Math.max(0, e.loop.length - 1) };
      case "select": {
        const a = this.rangeOf(e.onTrue);
        const b = this.rangeOf(e.onFalse);
        return a && b && { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
      }
      case "binary":
        break;
      default:
        return null;
    }
    const a = this.rangeOf(e.x);
    const b = this.rangeOf(e.y);
    switch (e.fn) {
      case "add":
      case "sub":
      case "mul": {
        const form = this.linearOf(e);
        return form.terms.size === 1 && form.terms.has(e) ? null : this.rangeOfLinear(form);
      }
      case "div":
      case "rem": {
        if (!a || a.low < 0 || e.y.op !== "const" || e.y.value <= 0) return null;
        if (e.fn === "rem") return { low: 0, high: Math.min(a.high, e.y.value - 1) };
        return { low: Math.trunc(a.low / e.y.value), high: Math.trunc(a.high / e.y.value) };
      }
      case "max":
        if (a && b) return { low: Math.max(a.low, b.low), high: Math.max(a.high, b.high) };
        return clip(a ?? b, { low: (a ?? b)?.low ?? int32Min, high: int32Max });
      case "min":
        if (a && b) return { low: Math.min(a.low, b.low), high: Math.min(a.high, b.high) };
        return clip(a ?? b, { low: int32Min, high: (a ?? b)?.high ?? int32Max });
      default:
        return null;
    }
  }

  rangeOfLinear(form: LinearForm): Range | null {
    let low = form.constant;
    let high = form.constant;
    for (const [atom, coefficient] of form.terms) {
      const range = this.rangeOf(atom);
      if (!range) return null;
      low += Math.min(coefficient * range.low, coefficient * range.high);
      high += Math.max(coefficient * range.low, coefficient * range.high);
    }
    return low < int32Min || high > int32Max ? null : { low, high };
  }

  linearOf(e: Expr): LinearForm {
    const known = this.linearForms.get(e);
    if (known) return known;
    return e.op === "const" ? { terms: new Map(), constant: e.value } : { terms: new Map([[e, 1]]), constant: 0 };
  }

  /** The canonical expression of a sum; its form is remembered, so `linearOf` takes it apart again. */
  fromLinear(given: LinearForm): Expr {
    const form = this.recombine(given);
    const terms = [...form.terms].sort(([a, p], [b, q]) => Math.abs(q) - Math.abs(p) || this.idOf(a) - this.idOf(b));
    const only = terms[0];
    if (!only) return this.intern(constExpr(form.constant));
    if (terms.length === 1 && only[1] === 1 && form.constant === 0) return only[0];
    let result: Expr | null = null;
    for (const [atom, coefficient] of terms) {
      const term = coefficient === 1 ? atom : this.intern(rawBinary("mul", atom, this.intern(constExpr(coefficient))));
      result = result ? this.intern(rawBinary("add", result, term)) : term;
    }
    invariant(result, "a sum has terms");
    if (form.constant !== 0) {
      result = this.intern(rawBinary("add", result, this.intern(constExpr(form.constant))));
    }
    this.linearForms.set(result, { terms: new Map(terms), constant: form.constant });
    return result;
  }

  /** d·⌊X/d⌋ + (X mod d) = X, and C·(⌊X/C⌋ mod B) + (X mod C) = X mod (B·C) for X ≥ 0. */
  private recombine(form: LinearForm): LinearForm {
    for (const [remainder, q] of form.terms) {
      if (remainder.op !== "binary" || remainder.fn !== "rem" || remainder.y.op !== "const") continue;
      const { x, y } = remainder;
      for (const [other, p] of form.terms) {
        if (other === remainder || other.op !== "binary" || p !== q * y.value) continue;
        let joined: Expr | null = null;
        if (other.fn === "div" && other.x === x && other.y === y) joined = x;
        else if (other.fn === "rem" && other.y.op === "const" && this.isQuotient(other.x, x, y) && this.isNatural(x)) {
          joined = this.binary("rem", x, this.intern(constExpr(other.y.value * y.value)));
        }
        if (!joined) continue;
        const rest = new Map(form.terms);
        rest.delete(remainder);
        rest.delete(other);
        return this.recombine(sum({ terms: rest, constant: form.constant }, scale(this.linearOf(joined), q)));
      }
    }
    return form;
  }

  private isQuotient(e: Expr, x: Expr, y: Expr): boolean {
    return e.op === "binary" && e.fn === "div" && e.x === x && e.y === y;
  }
}

function rawBinary(fn: BinaryFn, x: Expr, y: Expr): Expr {
  if (x.dtype === "i32") {
    return { op: "binary", dtype: comparisons.has(fn) ? "bool" : "i32", fn, x, y };
  }
  return binaryExpr(fn, x, y);
}

function clip(range: Range | null, to: Range): Range | null {
  return range ? to : null;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function wrap(value: number): number {
  return Number.isSafeInteger(value) ? value | 0 : Number(BigInt.asIntN(32, BigInt(Math.trunc(value))));
}

function sum(a: LinearForm, b: LinearForm): LinearForm {
  const terms = new Map(a.terms);
  for (const [atom, coefficient] of b.terms) {
    const total = wrap((terms.get(atom) ?? 0) + coefficient);
    if (total === 0) terms.delete(atom);
    else terms.set(atom, total);
  }
  return { terms, constant: wrap(a.constant + b.constant) };
}

function scale(form: LinearForm, factor: number): LinearForm {
  if (factor === 0) return { terms: new Map(), constant: 0 };
  const terms = new Map<Expr, number>();
  for (const [atom, coefficient] of form.terms) {
    const scaled = Math.imul(coefficient, factor);
    if (scaled !== 0) terms.set(atom, scaled);
  }
  return { terms, constant: Math.imul(form.constant, factor) };
}
