/**
 * Expressions → WGSL statements. Expects canonical expressions (index-arithmetic.ts) whose axes and reductions are bound
 * to names. Guarantees: what is used twice is computed once, in the outermost block that knows its operands; a load
 * never leaves the condition that it stands under; no constant expression is left for WGSL to evaluate and reject.
 */
import { invariant } from "../diagnostics/index.ts";
import type { AdapterProfile } from "../executable.ts";
import type { DType } from "../ir/dtype.ts";
import { type Axis, type Expr, type LoopCounter, type Tensor } from "../lower/expr.ts";
import { childrenOf } from "../lower/expr-pool.ts";
import { type Binding, fromStorage, toStorage } from "./bindings.ts";
import type { Canonicalizer } from "./index-arithmetic.ts";
import { flatPosition, quadIndex } from "./positions.ts";
import { literal, registerType } from "./wgsl-literal.ts";
import type { Lanes, MathLibrary } from "./wgsl-math.ts";
import { binaryText, castText, isExactInF16, unaryText } from "./wgsl-operators.ts";
import { Scope } from "./wgsl-scope.ts";

export interface Value {
  readonly text: string;
  readonly lanes: Lanes;
}

interface Bound extends Value {
  readonly scope: Scope;
}

/** What the whole kernel shares: its buffers, functions and loop counters. */
export interface KernelContext {
  readonly canonical: Canonicalizer;
  readonly math: MathLibrary;
  readonly profile: AdapterProfile;
  readonly bindings: readonly Binding[];
  /** Loops around the dispatch, outermost first. */
  readonly loops: readonly LoopCounter[];
  /** Bindings declared as arrays of vec4. */
  readonly vectorBindings: ReadonlySet<Binding>;
  readonly usedCounters: Set<LoopCounter>;
  /** Begins the names of workgroup variables, where several kernels are in one module. */
  readonly prefix?: string;
}

const longText = 72;

export class ExprWriter {
  readonly context: KernelContext;
  readonly root: Scope;
  private current: Scope;
  private nextName = 0;
  private readonly axes = new Map<Axis, Bound>();
  private readonly reductions = new Map<number, Bound>();
  private readonly names = new Map<Scope, Map<Expr, Value>>();
  private readonly uses = new Map<Expr, number>();
  private homes = new Map<Expr, Scope>();
  private readonly loads = new Map<Expr, boolean>();

  constructor(context: KernelContext, root = new Scope(null, false)) {
    this.context = context;
    this.root = root;
    this.current = root;
  }

  /** From here on the axis is `text`, in the present block and those inside it. */
  bindAxis(axis: Axis, text: string, lanes: Lanes = 1): void {
    this.axes.set(axis, { text, lanes, scope: this.current });
    this.homes = new Map();
  }

  bindReduction(id: number, text: string, lanes: Lanes): void {
    this.reductions.set(id, { text, lanes, scope: this.current });
    this.homes = new Map();
  }

  /** Counts uses, so that `emit` knows what is shared. Call it once for each root, before emitting. */
  countUses(root: Expr): void {
    const before = this.uses.get(root) ?? 0;
    this.uses.set(root, before + 1);
    if (before === 0) for (const part of this.partsOf(root)) this.countUses(part);
  }

  /** What the text of an expression is made of: the terms of a sum, after the sum without its constant. */
  private partsOf(e: Expr): readonly Expr[] {
    const { canonical } = this.context;
    const form = e.op === "binary" && e.dtype === "i32" ? canonical.linearOf(e) : null;
    if (!form || form.terms.has(e)) return childrenOf(e);
    return form.constant === 0 ? [...form.terms.keys()] : [canonical.fromLinear({ terms: form.terms, constant: 0 })];
  }

  statement(line: string): void {
    this.current.add(line);
  }

  fresh(prefix = "v"): string {
    return `${prefix}${this.nextName++}`;
  }

  block(header: string, body: () => void, { conditional = false } = {}): void {
    const inner = this.inside(body, conditional);
    this.current.addBlock(header, inner);
  }

  private ifElse(condition: string, onTrue: () => void, onFalse: () => void): void {
    // Both sides first: what they move out must land before the whole statement.
    const first = this.inside(onTrue, true);
    const second = this.inside(onFalse, true);
    this.current.addBlock(`if (${bare(condition)}) {`, first, "} else {");
    this.current.addContinuation(second);
  }

  private inside(body: () => void, conditional: boolean): Scope {
    const outer = this.current;
    const inner = new Scope(outer, conditional);
    this.current = inner;
    body();
    this.current = outer;
    this.homes = new Map();
    return inner;
  }

  /** The innermost block that knows everything that the expression depends on. */
  private homeOf(e: Expr): Scope {
    const known = this.homes.get(e);
    if (known) return known;
    let home = this.root;
    if (e.op === "axis" || e.op === "reduced") {
      const bound = e.op === "axis" ? this.axes.get(e.axis) : this.reductions.get(e.reduction);
      invariant(bound, `${e.op} is used outside of its loop`);
      home = bound.scope;
    }
    for (const operand of childrenOf(e)) {
      const other = this.homeOf(operand);
      if (other.depth > home.depth) home = other;
    }
    this.homes.set(e, home);
    return home;
  }

  private holdsLoad(e: Expr): boolean {
    let holds = this.loads.get(e);
    if (holds === undefined) {
      holds = e.op === "load" || childrenOf(e).some((operand) => this.holdsLoad(operand));
      this.loads.set(e, holds);
    }
    return holds;
  }

  private targetOf(e: Expr): Scope {
    const home = this.homeOf(e);
    if (!this.holdsLoad(e)) return home;
    for (let scope: Scope | null = this.current; scope && scope.depth > home.depth; scope = scope.parent) {
      if (scope.conditional) return scope;
    }
    return home;
  }

  private known(e: Expr): Value | undefined {
    for (let scope: Scope | null = this.current; scope; scope = scope.parent) {
      const value = this.names.get(scope)?.get(e);
      if (value) return value;
    }
    return undefined;
  }

  private remember(e: Expr, value: Value): void {
    const names = this.names.get(this.current) ?? new Map<Expr, Value>();
    names.set(e, value);
    this.names.set(this.current, names);
  }

  /** The expression's text at the present place; what it needs is written before. */
  emit(e: Expr): Value {
    switch (e.op) {
      case "const":
        return { text: literal(e.value, e.dtype, this.context.math), lanes: 1 };
      case "axis": {
        const bound = this.axes.get(e.axis);
        invariant(bound, "an axis is used outside of its loop");
        return bound;
      }
      case "counter":
        return this.counter(e.loop);
      case "reduced":
        return this.reduced(e.reduction, e.dtype);
      default:
        break;
    }
    const known = this.known(e);
    if (known) return known;
    const target = this.targetOf(e);
    const place = this.current;
    this.current = target;
    let value = this.compute(e);
    const shared = (this.uses.get(e) ?? 0) > 1 || e.op === "load" || target !== place;
    if (shared || value.text.length > longText) {
      value = this.named(value);
      this.remember(e, value);
    }
    this.current = place;
    return value;
  }

  /** The same as a name, for text that uses it several times. */
  emitNamed(e: Expr): Value {
    return this.named(this.emit(e));
  }

  /** As four lanes, whether or not the value differs between them. */
  emitWide(e: Expr, lanes: Lanes): string {
    return this.widen(this.emit(e), e.dtype, lanes);
  }

  widen(value: Value, dtype: DType, lanes: Lanes): string {
    return value.lanes === lanes ? value.text : `${registerType(dtype, lanes)}(${value.text})`;
  }

  private named(value: Value): Value {
    if (/^\w+$/.test(value.text)) return value;
    const name = this.fresh();
    this.statement(`let ${name} = ${bare(value.text)};`);
    return { text: name, lanes: value.lanes };
  }

  /** A constant as an operand of an operation that WGSL would otherwise evaluate itself. */
  private runtime(e: Expr): Value {
    const value = this.emit(e);
    return e.op === "const" ? this.named({ text: value.text, lanes: 1 }) : value;
  }

  private counter(loop: LoopCounter): Value {
    const position = this.context.loops.indexOf(loop);
    invariant(position >= 0, "a loop counter outside of its loop");
    this.context.usedCounters.add(loop);
    return { text: `i32(counter${position})`, lanes: 1 };
  }

  private reduced(id: number, dtype: DType): Value {
    const bound = this.reductions.get(id);
    invariant(bound, "a reduction is used before it is finished");
    return dtype === "f16" ? { text: this.roundToF16(bound.text, bound.lanes), lanes: bound.lanes } : bound;
  }

  roundToF16(text: string, lanes: Lanes): string {
    if (!this.context.profile.features.includes("shader-f16")) {
      return `${this.context.math.use("round_to_f16", lanes)}(${text})`;
    }
    return lanes === 4 ? `vec4<f32>(vec4<f16>(${text}))` : `f32(f16(${text}))`;
  }

  private compute(e: Exclude<Expr, { op: "const" | "axis" | "counter" | "reduced" }>): Value {
    switch (e.op) {
      case "load":
        return this.load(e.tensor, e.index);
      case "unary": {
        const x = this.runtime(e.x);
        return this.rounded(e, unaryText(e.fn, e.x.dtype, x.text, x.lanes, this.context.math), x.lanes);
      }
      case "cast": {
        const x = this.runtime(e.x);
        const text = castText(x.text, e.x.dtype, e.dtype, x.lanes, this.context.math);
        const narrowing = e.dtype === "f16" && e.x.dtype !== "bool";
        return { text: narrowing ? this.roundToF16(text, x.lanes) : text, lanes: x.lanes };
      }
      case "bitcast": {
        const x = this.runtime(e.x);
        return { text: `bitcast<${registerType(e.dtype, x.lanes)}>(${x.text})`, lanes: x.lanes };
      }
      case "binary":
        return this.binary(e);
      case "select":
        return this.select(e);
      default:
        return e satisfies never;
    }
  }

  private rounded(e: Extract<Expr, { op: "unary" | "binary" }>, text: string, lanes: Lanes): Value {
    const exact = e.dtype !== "f16" || isExactInF16(e.fn);
    return { text: exact ? text : this.roundToF16(text, lanes), lanes };
  }

  private binary(e: Extract<Expr, { op: "binary" }>): Value {
    if (e.dtype === "i32") {
      const form = this.context.canonical.linearOf(e);
      if (!form.terms.has(e)) return this.sum(e);
    }
    const x = e.y.op === "const" ? this.runtime(e.x) : this.emit(e.x);
    const y = this.emit(e.y);
    const lanes: Lanes = x.lanes === 4 || y.lanes === 4 ? 4 : 1;
    const operand = { x: this.widen(x, e.x.dtype, lanes), y: this.widen(y, e.y.dtype, lanes) };
    const same = e.x === e.y;
    const divisor = e.y.op === "const" ? e.y.value : null;
    const text = binaryText(e.fn, e.x.dtype, operand, { lanes, same, constant: divisor, math: this.context.math });
    return this.rounded(e, text, lanes);
  }

  /** A sum of products with constants: what belongs to outer blocks is added there, the constant last. */
  private sum(e: Expr): Value {
    const { canonical } = this.context;
    const form = canonical.linearOf(e);
    if (form.constant !== 0) {
      const rest = this.emit(canonical.fromLinear({ terms: form.terms, constant: 0 }));
      return { text: `(${rest.text} ${signed(form.constant)})`, lanes: rest.lanes };
    }
    const innermost = Math.max(...[...form.terms.keys()].map((atom) => this.homeOf(atom).depth));
    const outer = [...form.terms].filter(([atom]) => this.homeOf(atom).depth < innermost);
    const parts = [...form.terms]
      .filter(([atom]) => this.homeOf(atom).depth === innermost)
      .map(([atom, coefficient]) => {
        const { text, lanes } = this.emit(atom);
        return { text: coefficient === 1 ? `+ ${text}` : scaled(text, coefficient), lanes };
      });
    if (outer.length > 0) {
      const { text, lanes } = this.emit(canonical.fromLinear({ terms: new Map(outer), constant: 0 }));
      parts.unshift({ text: `+ ${text}`, lanes });
    }
    const text = parts.map((part) => part.text).join(" ");
    const lanes: Lanes = parts.some((part) => part.lanes === 4) ? 4 : 1;
    return { text: `(${text.startsWith("+ ") ? text.slice(2) : text.replace(/^- /, "-")})`, lanes };
  }

  private select(e: Extract<Expr, { op: "select" }>): Value {
    const condition = this.emit(e.condition);
    if (!this.loadsAnew(e.onTrue) && !this.loadsAnew(e.onFalse)) {
      const t = this.emit(e.onTrue);
      const f = this.emit(e.onFalse);
      const lanes: Lanes = t.lanes === 4 || f.lanes === 4 || condition.lanes === 4 ? 4 : 1;
      const sides = `${this.widen(f, e.dtype, lanes)}, ${this.widen(t, e.dtype, lanes)}`;
      return { text: `select(${sides}, ${this.widen(condition, "bool", lanes)})`, lanes };
    }
    invariant(condition.lanes === 1, "a choice between loads differs between lanes");
    const lanes: Lanes = this.dependsOnLane(e.onTrue) || this.dependsOnLane(e.onFalse) ? 4 : 1;
    const name = this.fresh();
    this.statement(`var ${name}: ${registerType(e.dtype, lanes)};`);
    const assign = (side: Expr) => (): void => this.statement(`${name} = ${bare(this.emitWide(side, lanes))};`);
    this.ifElse(condition.text, assign(e.onTrue), assign(e.onFalse));
    const value: Value = { text: name, lanes };
    this.remember(e, value);
    return value;
  }

  private dependsOnLane(e: Expr, seen: Map<Expr, boolean> = new Map()): boolean {
    if (e.op === "axis") return this.axes.get(e.axis)?.lanes === 4;
    if (e.op === "reduced") return this.reductions.get(e.reduction)?.lanes === 4;
    const known = this.known(e);
    if (known) return known.lanes === 4;
    let depends = seen.get(e);
    if (depends === undefined) {
      depends = childrenOf(e).some((operand) => this.dependsOnLane(operand, seen));
      seen.set(e, depends);
    }
    return depends;
  }

  /** Whether writing `e` here would load anything that no name holds yet. */
  private loadsAnew(e: Expr, seen: Map<Expr, boolean> = new Map()): boolean {
    if (!this.holdsLoad(e) || this.known(e)) return false;
    let loads = seen.get(e);
    if (loads === undefined) {
      loads = e.op === "load" || childrenOf(e).some((operand) => this.loadsAnew(operand, seen));
      seen.set(e, loads);
    }
    return loads;
  }

  bindingOf(tensor: Tensor): Binding {
    const binding = this.context.bindings.find((candidate) => candidate.tensors.includes(tensor));
    invariant(binding, "a tensor without a binding");
    return binding;
  }

  private load(tensor: Tensor, index: readonly Expr[]): Value {
    const binding = this.bindingOf(tensor);
    const flat = flatPosition(tensor, index, this.context.canonical);
    const read = (text: string, lanes: Lanes): Value => ({
      text: fromStorage(text, binding.element, tensor.dtype, lanes),
      lanes,
    });
    const quad = this.quadIndex(binding, flat);
    if (quad) return read(`${binding.name}[${bare(this.emit(quad).text)}]`, 4);
    const position = this.emit(flat);
    if (position.lanes === 1) return read(this.element(binding, position.text), 1);
    const name = this.named(position).text;
    const lanes = ["x", "y", "z", "w"].map((lane) => this.element(binding, `${name}.${lane}`));
    return read(`vec4<${binding.element}>(${lanes.join(", ")})`, 4);
  }

  private element(binding: Binding, position: string): string {
    if (!this.context.vectorBindings.has(binding)) return `${binding.name}[${bare(position)}]`;
    return `${binding.name}[(${position}) >> 2u][(${position}) & 3]`;
  }

  /** The index of the vec4 that the four lanes take together, if the array is one of vec4s and they do. */
  private quadIndex(binding: Binding, flat: Expr): Expr | null {
    if (!this.context.vectorBindings.has(binding)) return null;
    return quadIndex(this.context.canonical, flat, (axis) => this.axes.get(axis)?.lanes === 4);
  }

  store(tensor: Tensor, index: readonly Expr[], value: Value): void {
    const binding = this.bindingOf(tensor);
    const flat = flatPosition(tensor, index, this.context.canonical);
    const put = (place: string, text: string, lanes: Lanes): void =>
      this.statement(`${place} = ${bare(toStorage(text, binding.element, tensor.dtype, lanes))};`);
    const quad = this.quadIndex(binding, flat);
    if (quad) {
      const place = this.emit(quad).text;
      put(`${binding.name}[${bare(place)}]`, this.widen(value, tensor.dtype, 4), 4);
      return;
    }
    const position = this.emit(flat);
    if (position.lanes === 1) {
      invariant(value.lanes === 1, "four lanes stored to one place");
      put(this.element(binding, position.text), value.text, 1);
      return;
    }
    const place = this.named(position).text;
    const wide = this.named({ text: this.widen(value, tensor.dtype, 4), lanes: 4 }).text;
    for (const lane of ["x", "y", "z", "w"]) {
      put(this.element(binding, `${place}.${lane}`), `${wide}.${lane}`, 1);
    }
  }
}

function scaled(text: string, coefficient: number): string {
  const [sign, magnitude] = signed(coefficient).split(" ") as [string, string];
  return magnitude === "1" ? `${sign} ${text}` : `${sign} ${text} * ${magnitude}`;
}

/** The text without parentheses around the whole, for where nothing else stands. */
export function bare(text: string): string {
  if (!text.startsWith("(") || !text.endsWith(")")) return text;
  let depth = 0;
  for (let i = 0; i < text.length - 1; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")") depth--;
    if (depth === 0) return text;
  }
  return text.slice(1, -1);
}

/** `+ 5` or `- 5`; the least i32 has no positive counterpart to subtract. */
function signed(value: number): string {
  if (value === -2147483648) return "+ i32(-2147483648)";
  return value < 0 ? `- ${-value}` : `+ ${value}`;
}
