/**
 * Expressions with structural identity: within one pool, equal expressions are one object. So substitution can be
 * memoized by node, and a body that reads a value many times grows by one node, not by a copy of the value.
 */
import { type BinaryFn, binaryFns, constExpr, type Expr, type Tensor, unaryFns } from "./expr.ts";
import { sizeOf } from "../ir/shape.ts";
import { simplifyIndex } from "./simplify-index.ts";

/** What a rewrite replaces; `undefined` keeps the node. Replacements are not rewritten again. */
export interface RewriteRules {
  readonly axis?: (id: number) => Expr | undefined;
  readonly counter?: (id: number) => Expr | undefined;
  readonly load?: (tensor: Tensor, index: readonly Expr[]) => Expr | undefined;
  readonly reduced?: (reduction: number) => Expr | undefined;
}

/** More than a pool ever holds; its square times the number of operations is still exact in a double. */
const idRange = 2 ** 23;
const binaryKey = Object.fromEntries(binaryFns.map((fn, i) => [fn, unaryFns.length + i])) as Record<BinaryFn, number>;

export class ExprPool {
  readonly #byKey = new Map<string | number, Expr>();
  readonly #ids = new Map<Expr, number>();

  /** The pool's own object for a structurally equal expression, with its index arithmetic simplified. */
  intern(expr: Expr): Expr {
    return this.#ids.has(expr) ? expr : this.rewrite(expr, {});
  }

  /** Identifies an expression of the pool. */
  idOf(expr: Expr): number {
    const id = this.#ids.get(expr);
    return id ?? (this.#ids.get(this.intern(expr)) as number);
  }

  /** Names a list of expressions of the pool, for memo tables. */
  keyOf(exprs: readonly Expr[]): string {
    return exprs.map((expr) => this.idOf(expr)).join(",");
  }

  /** `memo` may be kept between calls with the same rules. */
  rewrite(expr: Expr, rules: RewriteRules, memo: Map<Expr, Expr> = new Map()): Expr {
    const known = memo.get(expr);
    if (known !== undefined) return known;
    const result = this.#rewriteNode(expr, rules, memo);
    memo.set(expr, result);
    return result;
  }

  rewriteAll(exprs: readonly Expr[], rules: RewriteRules, memo: Map<Expr, Expr> = new Map()): Expr[] {
    return exprs.map((expr) => this.rewrite(expr, rules, memo));
  }

  #rewriteNode(expr: Expr, rules: RewriteRules, memo: Map<Expr, Expr>): Expr {
    const visit = (child: Expr): Expr => this.rewrite(child, rules, memo);
    switch (expr.op) {
      case "const":
        return this.#make(expr);
      case "counter":
        return rules.counter?.(expr.loop.id) ?? this.#make(expr);
      case "axis":
        return rules.axis?.(expr.axis.id) ?? this.#make(expr);
      case "reduced":
        return rules.reduced?.(expr.reduction) ?? this.#make(expr);
      case "load": {
        const index = expr.index.map((at, d) => (expr.tensor.shape[d] === 1 ? this.#make(constExpr(0)) : visit(at)));
        // An empty tensor is never really read: the load stands in a branch that is not taken.
        if (sizeOf(expr.tensor.shape) === 0) return this.#make(constExpr(0, expr.dtype));
        const replaced = rules.load?.(expr.tensor, index);
        if (replaced !== undefined) return replaced;
        if (index.every((at, d) => at === expr.index[d])) return this.#make(expr);
        return this.#make({ op: "load", dtype: expr.dtype, tensor: expr.tensor, index });
      }
      case "unary": {
        const x = visit(expr.x);
        return this.#make(x === expr.x ? expr : { op: "unary", dtype: expr.dtype, fn: expr.fn, x });
      }
      case "cast":
      case "bitcast": {
        const x = visit(expr.x);
        return this.#make(x === expr.x ? expr : { op: expr.op, dtype: expr.dtype, x });
      }
      case "binary": {
        const [x, y] = [visit(expr.x), visit(expr.y)];
        if (x === expr.x && y === expr.y) return this.#make(expr);
        return this.#make({ op: "binary", dtype: expr.dtype, fn: expr.fn, x, y });
      }
      case "select": {
        const condition = visit(expr.condition);
        if (condition.op === "const") return visit(condition.value ? expr.onTrue : expr.onFalse);
        return this.#make({ ...expr, condition, onTrue: visit(expr.onTrue), onFalse: visit(expr.onFalse) });
      }
      default:
        return expr satisfies never;
    }
  }

  /** Interns a node over children of the pool. */
  #make(expr: Expr): Expr {
    if (this.#ids.has(expr)) return expr;
    const simple = simplifyIndex(expr);
    if (simple !== expr) return this.#internSpine(simple);
    return this.#lookup(expr);
  }

  /** Interns what a simplification built above children of the pool; it is simple already. */
  #internSpine(expr: Expr): Expr {
    if (this.#ids.has(expr)) return expr;
    if (expr.op === "binary")
      return this.#lookup({ ...expr, x: this.#internSpine(expr.x), y: this.#internSpine(expr.y) });
    return this.#lookup(expr);
  }

  #lookup(expr: Expr): Expr {
    const key = this.#keyOfNode(expr);
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    this.#byKey.set(key, expr);
    this.#ids.set(expr, this.#ids.size);
    return expr;
  }

  /** Operations on one or two operands have numbers as keys: they are most of a pool, and text is slow to make. */
  #keyOfNode(expr: Expr): string | number {
    switch (expr.op) {
      case "const":
        return `const ${expr.dtype} ${Object.is(expr.value, -0) ? "-0" : expr.value}`;
      case "axis":
        return `axis ${expr.axis.id}`;
      case "counter":
        return `counter ${expr.loop.id}`;
      case "reduced":
        return `reduced ${expr.dtype} ${expr.reduction}`;
      case "load":
        return `load ${expr.tensor.id} ${this.keyOf(expr.index)}`;
      case "unary":
        return (unaryFns.indexOf(expr.fn) * idRange + this.idOf(expr.x)) * idRange;
      case "cast":
      case "bitcast":
        return `${expr.op} ${expr.dtype} ${this.idOf(expr.x)}`;
      case "binary":
        return (binaryKey[expr.fn] * idRange + this.idOf(expr.x)) * idRange + this.idOf(expr.y);
      case "select":
        return `select ${this.keyOf([expr.condition, expr.onTrue, expr.onFalse])}`;
      default:
        return expr satisfies never;
    }
  }
}

/** The direct operands, index expressions included. */
export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.op) {
    case "const":
    case "axis":
    case "counter":
    case "reduced":
      return [];
    case "load":
      return expr.index;
    case "unary":
    case "cast":
    case "bitcast":
      return [expr.x];
    case "binary":
      return [expr.x, expr.y];
    case "select":
      return [expr.condition, expr.onTrue, expr.onFalse];
    default:
      return expr satisfies never;
  }
}

/** Each node once, operands before what uses them. */
export function nodesOf(exprs: readonly Expr[]): Expr[] {
  const seen = new Set<Expr>();
  const nodes: Expr[] = [];
  const visit = (expr: Expr): void => {
    if (seen.has(expr)) return;
    seen.add(expr);
    for (const child of childrenOf(expr)) visit(child);
    nodes.push(expr);
  };
  for (const expr of exprs) visit(expr);
  return nodes;
}

export type Load = Extract<Expr, { op: "load" }>;

/** Expressions never change, so what is found in one stays true. */
const loadsByRoot = new WeakMap<Expr, readonly Load[]>();
const axesByRoot = new WeakMap<Expr, ReadonlySet<number>>();

/** Each load once, in the order of their first appearance. */
export function loadsOf(exprs: readonly Expr[]): readonly Load[] {
  const [first] = exprs;
  if (exprs.length === 1 && first) return loadsIn(first);
  return [...new Set(exprs.flatMap(loadsIn))];
}

function loadsIn(root: Expr): readonly Load[] {
  let loads = loadsByRoot.get(root);
  if (loads === undefined) {
    loads = nodesOf([root]).filter((expr): expr is Load => expr.op === "load");
    loadsByRoot.set(root, loads);
  }
  return loads;
}

/** The axes that an expression depends on. */
export function axesIn(exprs: readonly Expr[]): ReadonlySet<number> {
  const [first] = exprs;
  if (exprs.length === 1 && first) return axesOfRoot(first);
  const axes = new Set<number>();
  for (const expr of exprs) for (const axis of axesOfRoot(expr)) axes.add(axis);
  return axes;
}

function axesOfRoot(root: Expr): ReadonlySet<number> {
  let axes = axesByRoot.get(root);
  if (axes === undefined) {
    axes = new Set(nodesOf([root]).flatMap((expr) => (expr.op === "axis" ? [expr.axis.id] : [])));
    axesByRoot.set(root, axes);
  }
  return axes;
}
