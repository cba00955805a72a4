import { describe, expect, it } from "vitest";
import { axisExpr, binaryExpr, constExpr, type Expr, loadExpr, newAxis, newTensor, selectExpr } from "./expr.ts";
import { ExprPool } from "./expr-pool.ts";
import { Names, printExpr } from "./print-expr.ts";

const [i, j] = [newAxis(5), newAxis(6)];
const [a, b] = [axisExpr(i), axisExpr(j)];
const c = (value: number): Expr => constExpr(value);
const add = (x: Expr, y: Expr): Expr => binaryExpr("add", x, y);
const sub = (x: Expr, y: Expr): Expr => binaryExpr("sub", x, y);
const mul = (x: Expr, y: number): Expr => binaryExpr("mul", x, c(y));
const div = (x: Expr, y: number): Expr => binaryExpr("div", x, c(y));
const rem = (x: Expr, y: number): Expr => binaryExpr("rem", x, c(y));

function simple(expr: Expr): string {
  const names = new Names();
  names.axis(i);
  names.axis(j);
  return printExpr(new ExprPool().intern(expr), names).value;
}

describe("simplified index arithmetic", () => {
  const linear = add(mul(a, 6), b);
  it.each<[string, Expr, string]>([
    ["(6i + j) / 6", div(linear, 6), "i0"],
    ["(6i + j) % 6", rem(linear, 6), "i1"],
    ["(6i + j) / 12", div(linear, 12), "i0 / 2"],
    ["(6i + j) % 12", rem(linear, 12), "((i0 % 2) * 6) + i1"],
    ["(6i + j) / 2", div(linear, 2), "(i0 * 3) + (i1 / 2)"],
    ["6(x / 6) + x % 6", add(mul(div(linear, 6), 6), rem(linear, 6)), "(i0 * 6) + i1"],
    ["i + j - i", sub(add(a, b), a), "i1"],
    ["min(i, 4)", binaryExpr("min", a, c(4)), "i0"],
    ["max(i, 0)", binaryExpr("max", a, c(0)), "i0"],
    ["min(i, 3)", binaryExpr("min", a, c(3)), "min(i0, 3)"],
    ["select(i < 5, j, 0)", selectExpr(binaryExpr("lt", a, c(5)), b, c(0)), "i1"],
    ["select(i < i + 1, j, 0)", selectExpr(binaryExpr("lt", a, add(a, c(1))), b, c(0)), "i1"],
  ])("%s", (_name, expr, expected) => {
    expect(simple(expr)).toBe(expected);
  });

  it("leaves alone what may wrap or be negative", () => {
    const x = loadExpr(newTensor("i32", []), []);
    expect(simple(div(mul(x, 6), 6))).toBe("(t0[] * 6) / 6");
    expect(simple(rem(sub(a, b), 6))).toBe("(i0 - i1) % 6");
    expect(simple(binaryExpr("lt", x, add(x, c(1))))).toBe("t0[] < (t0[] + 1)");
  });

  it("leaves floats as written", () => {
    const x = loadExpr(newTensor("f32", []), []);
    const zero = constExpr(0, "f32");
    expect(simple(binaryExpr("sub", binaryExpr("add", x, zero), x))).toBe("(t0[] + 0.0) - t0[]");
  });
});

it("random index expressions keep their value at every point", () => {
  let state = 12345;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const draw = (depth: number): Expr => {
    if (depth === 0) return [a, b, c(below(13))][below(3)] as Expr;
    const [x, y] = [draw(depth - 1), draw(depth - 1)];
    const n = 1 + below(12);
    const made = [
      add(x, y),
      sub(x, y),
      mul(x, n),
      div(x, n),
      rem(x, n),
      binaryExpr("min", x, y),
      binaryExpr("max", x, y),
    ];
    const chosen = [
      ...made,
      selectExpr(binaryExpr("lt", x, y), x, y),
      selectExpr(binaryExpr("le", y, x), add(x, y), y),
    ];
    return chosen[below(chosen.length)] as Expr;
  };
  const pool = new ExprPool();
  for (let round = 0; round < 3000; round++) {
    const expr = draw(1 + below(4));
    const simplified = pool.intern(expr);
    const wrong = points.filter(([p, q]) => valueOf(expr, p, q) !== valueOf(simplified, p, q));
    expect(wrong, `round ${round}: ${simple(expr)}`).toEqual([]);
  }
});

const points = Array.from({ length: 30 }, (_, n): [number, number] => [Math.floor(n / 6), n % 6]);

function valueOf(expr: Expr, p: number, q: number): number {
  switch (expr.op) {
    case "const":
      return expr.value;
    case "axis":
      return expr.axis === i ? p : q;
    case "select":
      return valueOf(expr.condition, p, q) ? valueOf(expr.onTrue, p, q) : valueOf(expr.onFalse, p, q);
    case "binary": {
      const [x, y] = [valueOf(expr.x, p, q), valueOf(expr.y, p, q)];
      const known: Record<string, number> = {
        add: (x + y) | 0,
        sub: (x - y) | 0,
        mul: Math.imul(x, y),
        div: Math.trunc(x / y) + 0,
        rem: (x % y) + 0,
        min: Math.min(x, y),
        max: Math.max(x, y),
        lt: Number(x < y),
        le: Number(x <= y),
      };
      return known[expr.fn] ?? NaN;
    }
    default:
      throw new Error(`${expr.op} is no index arithmetic`);
  }
}
