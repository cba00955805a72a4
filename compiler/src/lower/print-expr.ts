/** Names and text of loop IR for people: `exp(x0[i, k] - r0)`. */
import type { Axis, BinaryFn, Expr, LoopCounter, Tensor } from "./expr.ts";

/** Gives short names in order of appearance, so that printing does not depend on what was compiled before. */
export class Names {
  readonly #names = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  tensor(tensor: Tensor): string {
    return this.#name(`tensor ${tensor.id}`, "t");
  }

  axis(axis: Axis): string {
    return this.#name(`axis ${axis.id}`, "i");
  }

  counter(counter: LoopCounter): string {
    return this.#name(`counter ${counter.id}`, "step");
  }

  reduction(id: number): string {
    return this.#name(`reduction ${id}`, "r");
  }

  #name(key: string, prefix: string): string {
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const count = this.#counts.get(prefix) ?? 0;
    this.#counts.set(prefix, count + 1);
    const name = `${prefix}${count}`;
    this.#names.set(key, name);
    return name;
  }
}

/** Operators as WGSL writes them, too. */
export const infixSymbols: Partial<Record<BinaryFn, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  rem: "%",
  and: "&",
  or: "|",
  xor: "^",
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
};

const infix: Partial<Record<BinaryFn, string>> = {
  ...infixSymbols,
  shift_left: "<<",
  shift_right_arithmetic: ">>",
  shift_right_logical: ">>>",
};

/**
 * The lines of a body: what is used more than once gets a name of its own (`%0 = …`), so that a shared expression is
 * printed once; the last line is the value itself.
 */
export function printExpr(root: Expr, names: Names): { readonly shared: readonly string[]; readonly value: string } {
  const uses = new Map<Expr, number>();
  countUses(root, uses);
  const shared: string[] = [];
  const named = new Map<Expr, string>();
  const text = (expr: Expr): string => {
    const known = named.get(expr);
    if (known !== undefined) return known;
    const plain = node(expr);
    const worthNaming = expr.op === "unary" || expr.op === "binary" || expr.op === "select" || expr.op === "load";
    if (expr === root || !worthNaming || (uses.get(expr) ?? 0) < 2 || plain.length < 12) return plain;
    const name = `%${named.size}`;
    shared.push(`${name} = ${plain}`);
    named.set(expr, name);
    return name;
  };
  const operand = (expr: Expr): string => (expr.op === "binary" && !named.has(expr) ? wrapped(text(expr)) : text(expr));
  const node = (expr: Expr): string => {
    switch (expr.op) {
      case "const":
        return expr.dtype === "bool" ? String(Boolean(expr.value)) : constText(expr.value, expr.dtype);
      case "axis":
        return names.axis(expr.axis);
      case "counter":
        return names.counter(expr.loop);
      case "reduced":
        return names.reduction(expr.reduction);
      case "load":
        return `${names.tensor(expr.tensor)}[${expr.index.map(text).join(", ")}]`;
      case "unary":
        return `${expr.fn}(${text(expr.x)})`;
      case "binary": {
        const symbol = infix[expr.fn];
        if (symbol === undefined) return `${expr.fn}(${text(expr.x)}, ${text(expr.y)})`;
        return `${operand(expr.x)} ${symbol} ${operand(expr.y)}`;
      }
      case "select":
        return `select(${text(expr.condition)}, ${text(expr.onTrue)}, ${text(expr.onFalse)})`;
      case "cast":
        return `${expr.dtype}(${text(expr.x)})`;
      case "bitcast":
        return `bitcast<${expr.dtype}>(${text(expr.x)})`;
      default:
        return expr satisfies never;
    }
  };
  const value = text(root);
  return { shared, value };
}

function wrapped(text: string): string {
  return /^[\w%.-]+$|^\w+[[(][^()]*[\])]$/.test(text) ? text : `(${text})`;
}

function constText(value: number, dtype: string): string {
  const digits = Object.is(value, -0) ? "-0" : String(value);
  return dtype === "f32" || dtype === "f16" ? (Number.isInteger(value) ? `${digits}.0` : digits) : digits;
}

function countUses(root: Expr, uses: Map<Expr, number>): void {
  const count = (uses.get(root) ?? 0) + 1;
  uses.set(root, count);
  if (count > 1) return;
  switch (root.op) {
    case "load":
      for (const at of root.index) countUses(at, uses);
      return;
    case "unary":
    case "cast":
    case "bitcast":
      countUses(root.x, uses);
      return;
    case "binary":
      countUses(root.x, uses);
      countUses(root.y, uses);
      return;
    case "select":
      countUses(root.condition, uses);
      countUses(root.onTrue, uses);
      countUses(root.onFalse, uses);
      return;
    default:
      return;
  }
}

/** `f32[8,10]` */
export function typeText(tensor: Tensor): string {
  return `${tensor.dtype}[${tensor.shape.join(",")}]`;
}

/** `i0 < 8, i1 < 10` */
export function axesText(axes: readonly Axis[], names: Names): string {
  return axes.map((axis) => `${names.axis(axis)} < ${axis.size}`).join(", ");
}
