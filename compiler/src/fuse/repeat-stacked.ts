/**
 * A loop stacks a value of each iteration for a later loop that takes one in each of its own. Where the value can be
 * computed from others that are stacked, or that are there throughout, the later loop computes it again, and nothing is
 * stacked:
 *
 *     loop t { y = f(x);  xs[t] = x;  ys[t] = y }   loop u { … ys[n − u] … }
 *     ⇒   loop t { y = f(x);  xs[t] = x }           loop u { y' = f(xs[n − u]);  … y' … }
 */
import { axisExpr, binaryExpr, type Expr, loadExpr, type Tensor } from "../lower/expr.ts";
import { axesIn, type ExprPool, loadsOf } from "../lower/expr-pool.ts";
import { type Again, type Def, definitionsIn, type LoopUnit, type Stacked, type Unit } from "./definition.ts";
import { repeated as secondOf } from "./repeat.ts";

export interface StackedRecipe {
  readonly loop: LoopUnit;
  readonly entry: Stacked;
  /** Definitions of the loop's body to repeat, in order. */
  readonly repeated: readonly Def[];
  /** By tensor of the body: the stacked output that has it. */
  readonly stacks: ReadonlyMap<number, Tensor>;
  /** Read from outside of the loop. */
  readonly outer: readonly Tensor[];
  readonly readers: readonly { readonly loop: LoopUnit; readonly row: Expr }[];
}

/** Null where a row cannot be had, or is not read one at a time. `level`: the units among which the loop is. */
export function stackedRecipe(
  loop: LoopUnit,
  entry: Stacked,
  level: readonly Unit[],
  isKept: (stack: Tensor) => boolean,
): StackedRecipe | null {
  if (iterationOf(loop, entry.index, entry.index) === null) return null;
  const readers: { loop: LoopUnit; row: Expr }[] = [];
  for (const unit of level) {
    if (unit === loop) continue;
    const row = rowReadBy(unit, entry.output);
    if (row === "otherwise" || (row !== null && unit.kind !== "loop")) return null;
    if (row !== null && unit.kind === "loop") readers.push({ loop: unit, row });
  }
  if (readers.length === 0) return null;
  const found = chainOf(loop, entry, isKept);
  return found && { loop, entry, readers, ...found };
}

/** The units with the value computed by its readers. */
export function repeatStacked(
  level: readonly Unit[],
  { loop, entry, repeated, stacks, readers }: StackedRecipe,
  again: Omit<Again, "of">,
  pool: ExprPool,
): { units: Unit[]; made: { def: Def; reader: LoopUnit }[] } {
  const made: { def: Def; reader: LoopUnit }[] = [];
  const units = level.map((unit): Unit => {
    if (unit === loop)
      return {
        ...loop,
        stacked: loop.stacked.filter((other) => other !== entry),
      };
    const reader = readers.find((other) => other.loop === unit);
    if (!reader) return unit;
    const iteration = iterationOf(loop, entry.index, reader.row);
    const named = new Map<number, Tensor>();
    const defs = repeated.map((def): Def => {
      const load = (tensor: Tensor, index: readonly Expr[]): Expr | undefined => {
        const own = named.get(tensor.id);
        if (own) return pool.intern(loadExpr(own, index));
        const stack = stacks.get(tensor.id);
        return stack && pool.intern(loadExpr(stack, [reader.row, ...index]));
      };
      const counter = (id: number): Expr | undefined =>
        id === loop.counter.id && iteration ? pool.intern(iteration) : undefined;
      const copy = secondOf(def, { load, counter }, again, pool);
      named.set(def.tensor.id, copy.tensor);
      made.push({ def: copy, reader: reader.loop });
      return copy;
    });
    const value = named.get(entry.element.id);
    const load = (tensor: Tensor, [, ...rest]: readonly Expr[]): Expr | undefined =>
      tensor === entry.output && value ? pool.intern(loadExpr(value, rest)) : undefined;
    const body = reader.loop.body.map((inner) =>
      inner.kind === "loop" ? inner : { ...inner, body: pool.rewrite(inner.body, { load }) },
    );
    return { ...reader.loop, body: [...defs, ...body] };
  });
  return { units, made };
}

/** In which iteration a row was stacked: `index` is the counter, or runs against it. */
function iterationOf({ counter }: LoopUnit, index: Expr, row: Expr): Expr | null {
  if (index.op === "counter" && index.loop.id === counter.id) return row;
  if (index.op !== "binary" || index.fn !== "sub" || index.x.op !== "const") return null;
  return index.y.op === "counter" && index.y.loop.id === counter.id ? binaryExpr("sub", index.x, row) : null;
}

/** The row that a loop reads in an iteration; null if it reads none. */
function rowReadBy(unit: Unit, stack: Tensor): Expr | "otherwise" | null {
  if (unit.kind !== "loop") return loadsOf([unit.body]).some(({ tensor }) => tensor === stack) ? "otherwise" : null;
  if (unit.carries.some(({ init }) => init === stack)) return "otherwise";
  let row: Expr | null = null;
  for (const inner of unit.body) {
    if (inner.kind === "loop") {
      if (rowReadBy(inner, stack) !== null) return "otherwise";
      continue;
    }
    for (const { tensor, index } of loadsOf([inner.body])) {
      if (tensor !== stack) continue;
      const [first] = index;
      if (first === undefined || axesIn([first]).size > 0 || loadsOf([first]).length > 0) return "otherwise";
      if (row !== null && row !== first) return "otherwise";
      row = first;
    }
  }
  return row;
}

function chainOf(
  loop: LoopUnit,
  entry: Stacked,
  isKept: (stack: Tensor) => boolean,
): Pick<StackedRecipe, "repeated" | "stacks" | "outer"> | null {
  const own = new Map<number, Def>();
  for (const unit of loop.body) if (unit.kind !== "loop") own.set(unit.tensor.id, unit);
  const inside = new Set([
    ...[...definitionsIn(loop.body)].map(({ tensor }) => tensor.id),
    ...innerValues(loop).map(({ id }) => id),
  ]);
  const available = new Map<number, Tensor>();
  for (const other of loop.stacked) {
    if (other === entry || other.index !== entry.index || !isKept(other.output)) continue;
    available.set(other.element.id, other.output);
    const def = own.get(other.element.id);
    const source = def && copiedBy(def);
    if (source) available.set(source.id, other.output);
  }
  const repeated: Def[] = [];
  const stacks = new Map<number, Tensor>();
  const outer = new Set<Tensor>();
  const visited = new Set<number>();
  const visit = (tensor: Tensor): boolean => {
    if (visited.has(tensor.id)) return true;
    visited.add(tensor.id);
    const stack = available.get(tensor.id);
    if (stack) {
      stacks.set(tensor.id, stack);
      return true;
    }
    if (!inside.has(tensor.id)) {
      outer.add(tensor);
      return true;
    }
    const def = own.get(tensor.id);
    if (!def || !loadsOf([def.body]).every((load) => visit(load.tensor))) return false;
    repeated.push(def);
    return true;
  };
  return visit(entry.element) ? { repeated, stacks, outer: [...outer] } : null;
}

/** What a body has besides its definitions. */
function innerValues({ carries, body }: LoopUnit): Tensor[] {
  const inner = body.flatMap((unit) =>
    unit.kind === "loop"
      ? [...unit.carries.map(({ final }) => final), ...unit.stacked.map(({ output }) => output), ...innerValues(unit)]
      : [],
  );
  return [...carries.map(({ input }) => input), ...inner];
}

/** The tensor that a definition copies element by element. */
function copiedBy({ kind, axes, body }: Def): Tensor | null {
  if (kind !== "map" || body.op !== "load" || body.index.length !== axes.length) return null;
  const isSame = axes.every((axis, d) => {
    const [at, own] = [body.index[d], axisExpr(axis)];
    if (own.op === "axis") return at?.op === "axis" && at.axis.id === axis.id;
    return at?.op === "const";
  });
  return isSame ? body.tensor : null;
}
