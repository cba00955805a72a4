/**
 * Derivatives of functions over trees of arrays. Each works inside a trace, where it is staged, and outside, where the
 * derivative program is traced, compiled and run. They compose in any order and to any depth.
 */
import {
  type Atom,
  type Aval,
  batchInline,
  type Batched,
  constant,
  currentBuilder,
  FaxError,
  flatten,
  formatAval,
  isFloat,
  isServer,
  type Jaxpr,
  jvpInline,
  lax,
  type Leaf,
  leafCount,
  leafPaths,
  linearizeJaxpr,
  residualsOf,
  sameTreeDef,
  server,
  sizeOf,
  startsWith,
  strong,
  type Tangent,
  transposeInline,
  type Tree,
  type TreeDef,
  unflatten,
  userLocation,
  type Value,
  type Var,
  vjpInline,
  withAmbient,
  zerosOf,
  InternalError,
} from "@fax/compiler";
import { type AnyFunction, transformed } from "./jit.ts";
import { applyJaxpr, type Traced, traceFunction } from "./run.ts";
import { isTracing, traceableOf } from "./traceable.ts";
import { asValue } from "./values.ts";

/** Which arguments to differentiate by: one index, or several. */
export type Argnums = number | readonly number[];

export interface GradOptions {
  /** By which arguments; the gradient has their structure, a list if several are named. Default 0. */
  readonly argnums?: Argnums;
  /** Whether `fn` returns `[output, aux]`, where aux is passed through undifferentiated. */
  readonly hasAux?: boolean;
}

type Gradient<A extends readonly unknown[], N> = N extends readonly number[]
  ? { [K in keyof N]: N[K] extends keyof A & number ? A[N[K]] : unknown }
  : N extends number
    ? A[N]
    : A[0];

interface Diff {
  readonly traced: Traced;
  readonly inputs: readonly Value[];
  /** Of the inputs of the Jaxpr, captured values included. */
  readonly nonzero: readonly boolean[];
  readonly argTrees: readonly TreeDef[];
  readonly argnums: readonly number[];
  readonly single: boolean;
  /** How many leaves of the result belong to the output; the rest is aux. */
  readonly outputTree: TreeDef;
  readonly auxTree: TreeDef;
  readonly name: string;
}

function normalizeOptions(options: Argnums | GradOptions | undefined): GradOptions {
  if (options === undefined) return {};
  return typeof options === "number" || Array.isArray(options) ? { argnums: options } : (options as GradOptions);
}

function normalizeArgnums(name: string, argnums: Argnums, count: number): number[] {
  const list = typeof argnums === "number" ? [argnums] : [...argnums];
  return list.map((argnum) => {
    const index = argnum < 0 ? argnum + count : argnum;
    if (Number.isInteger(index) && index >= 0 && index < count) return index;
    throw new FaxError({
      code: "FAX1404",
      message: `${name}: argnums names argument ${argnum}, but the function was called with ${count}`,
      source: userLocation(),
    });
  });
}

/**
 * Inside a map a server value stands for the member's own copy of it: its derivative is the member's, and not the sum over
 * the members.
 */
function intoAmbient(value: Value): Value {
  const builder = currentBuilder();
  if (builder === null || !startsWith(builder.ambient, value.aval.placement)) return value;
  return builder.lift(value, builder.ambient);
}

/** Traces the function to differentiate, and says which inputs of the Jaxpr vary. */
function prepare(
  name: string,
  args: readonly Tree[],
  inner: (args: readonly Tree[]) => Tree,
  { argnums = 0, hasAux = false }: GradOptions,
): Diff {
  const flat = args.map((arg) => flatten<Leaf>(arg, { what: "argument" }));
  const argTrees = flat.map((part) => part.treedef);
  const leaves = flat
    .flatMap((part) => part.leaves)
    .map(asValue)
    .map(intoAmbient);
  const wanted = normalizeArgnums(name, argnums, args.length);
  const varies = flat.flatMap((part, i) => part.leaves.map(() => wanted.includes(i)));
  const paths = argTrees.flatMap((tree, i) => leafPaths(tree, `argument ${i}`));
  leaves.forEach((leaf, i) => {
    if (!varies[i] || isFloat(leaf.dtype)) return;
    throw new FaxError({
      code: "FAX1402",
      message: `${name}: ${paths[i]} is ${formatAval(leaf.aval, false)}, and only floats have derivatives`,
      source: userLocation(),
      help: "convert it with astype(np.float32), or choose other arguments with argnums",
    });
  });
  const treedef: TreeDef = { kind: "list", children: argTrees };
  const traced = traceFunction(
    inner,
    leaves.map((leaf) => leaf.aval),
    treedef,
    `result of the function under ${name}`,
  );
  let outputTree = traced.outTree;
  let auxTree: TreeDef = { kind: "null" };
  if (hasAux) {
    if (traced.outTree.kind !== "list" || traced.outTree.children.length !== 2) {
      throw new FaxError({
        code: "FAX1004",
        message: `${name}: with hasAux the function must return [output, aux]`,
        source: userLocation(),
      });
    }
    [outputTree, auxTree] = traced.outTree.children as [TreeDef, TreeDef];
  }
  return {
    traced,
    inputs: [...traced.consts, ...leaves],
    nonzero: [...traced.consts.map(() => false), ...varies],
    argTrees,
    argnums: wanted,
    single: typeof argnums === "number",
    outputTree,
    auxTree,
    name,
  };
}

/** Cotangents of the varying inputs as trees of the arguments they belong to. */
function asGradients(diff: Diff, cotangents: readonly Tangent[]): Tree {
  const varying = diff.inputs.filter((_, i) => diff.nonzero[i]);
  const values = varying.map((value, i) => cotangents[i] ?? zerosOf(strong(value.aval)));
  const perArgument = new Map<number, Tree>();
  let next = 0;
  diff.argTrees.forEach((tree, i) => {
    if (!diff.argnums.includes(i)) return;
    const count = leafCount(tree);
    perArgument.set(i, unflatten<Leaf>(tree, values.slice(next, next + count)));
    next += count;
  });
  const trees = diff.argnums.map((i) => perArgument.get(i) ?? null);
  return diff.single ? (trees[0] as Tree) : trees;
}

function requireScalar(diff: Diff, output: Value | undefined): Value {
  const isScalar = diff.outputTree.kind === "leaf" && output !== undefined && output.shape.length === 0;
  // A map's code differentiates one member's scalar.
  const ambient = currentBuilder()?.ambient ?? server;
  if (isScalar && isFloat(output.dtype) && startsWith(ambient, output.aval.placement)) return output;
  const what =
    diff.outputTree.kind !== "leaf" || output === undefined
      ? "a tree"
      : formatAval(output.aval, !isServer(output.aval.placement));
  throw new FaxError({
    code: "FAX1401",
    message: `${diff.name}: the function gives ${what}, and a gradient needs a float scalar at the server`,
    source: userLocation(),
    help:
      output !== undefined && !isServer(output.aval.placement)
        ? "reduce it with federatedMean or federatedSum, or use jacrev"
        : "reduce it with np.sum or np.mean, or use jacrev",
  });
}

function gradApply(name: string, options: GradOptions, withValue: boolean) {
  return (args: readonly Tree[], inner: (args: readonly Tree[]) => Tree): Tree => {
    const diff = prepare(name, args, inner, options);
    const { outputs, pullback } = vjpInline(diff.traced.jaxpr, diff.inputs, diff.nonzero);
    const output = requireScalar(diff, outputs[0]);
    const floats = diff.traced.jaxpr.outvars.filter(({ aval }) => isFloat(aval.dtype)).length;
    const seeds: Tangent[] = [constant(1, output.dtype), ...new Array<null>(floats - 1).fill(null)];
    const gradients = asGradients(diff, pullback(seeds));
    const aux = unflatten<Leaf>(diff.auxTree, outputs.slice(1));
    const value = options.hasAux === true ? [output, aux] : output;
    if (withValue) return [value, gradients];
    return options.hasAux === true ? [gradients, aux] : gradients;
  };
}

/**
 * The gradient of a function whose result is a float scalar, by reverse mode; same structure as the argument that it is
 * taken by. With `hasAux`, `[gradient, aux]`.
 *
 * FAX1401 for results that are no scalar, FAX1402 for integer arguments, FAX1404 for an argument that isn't there.
 *
 * @example
 * const slope = grad((x) => np.sum(np.square(x)))(np.array([1, 2, 3])); // [2, 4, 6]
 */
export function grad<A extends readonly unknown[], R, const N extends Argnums = 0>(
  fn: (...args: A) => R,
  options?: N | (GradOptions & { readonly argnums?: N; readonly hasAux?: false }),
): (...args: A) => Gradient<A, N>;
export function grad<A extends readonly unknown[], R, X, const N extends Argnums = 0>(
  fn: (...args: A) => readonly [R, X],
  options: GradOptions & { readonly argnums?: N; readonly hasAux: true },
): (...args: A) => [Gradient<A, N>, X];
export function grad(fn: AnyFunction, options?: Argnums | GradOptions): AnyFunction {
  return transformed(fn, "grad", gradApply("grad", normalizeOptions(options), false));
}

/**
 * The value and the gradient, computed together: `[value, gradient]`; with `hasAux`, `[[value, aux], gradient]`. See `grad`.
 *
 * @example
 * const [loss, g] = valueAndGrad((x) => np.sum(np.square(x)))(np.array([1, 2, 3]));
 */
export function valueAndGrad<A extends readonly unknown[], R, const N extends Argnums = 0>(
  fn: (...args: A) => R,
  options?: N | (GradOptions & { readonly argnums?: N }),
): (...args: A) => [R, Gradient<A, N>];
export function valueAndGrad(fn: AnyFunction, options?: Argnums | GradOptions): AnyFunction {
  return transformed(fn, "valueAndGrad", gradApply("valueAndGrad", normalizeOptions(options), true));
}

/**
 * Runs a body that stages equations: in the trace in progress, or in one of its own, where the values enter as `avals`
 * say (placed).
 */
function staged(
  values: readonly Value[],
  avals: readonly Aval[],
  body: (values: readonly Value[]) => { leaves: Value[]; treedef: TreeDef },
): Tree {
  if (isTracing()) {
    const { leaves, treedef } = body(values);
    return unflatten<Leaf>(treedef, leaves);
  }
  let treedef: TreeDef = { kind: "null" };
  const traced = traceFunction(
    (args) => {
      const result = body(args as readonly Value[]);
      treedef = result.treedef;
      return result.leaves;
    },
    avals,
    listOfLeaves(avals.length),
  );
  return unflatten<Leaf>(treedef, applyJaxpr(traced.jaxpr, [...traced.consts, ...values]));
}

function listOfLeaves(length: number): TreeDef {
  return { kind: "list", children: new Array<TreeDef>(length).fill({ kind: "leaf" }) };
}

function plainOrBound(fn: AnyFunction, args: readonly unknown[]) {
  const protocol = traceableOf(fn);
  if (!isTracing())
    return { ...protocol.bindArguments(args), apply: (inner: readonly Tree[]) => protocol.apply(inner) };
  const { leaves, treedef } = flatten<Leaf>(args, { what: "arguments" });
  const values = leaves.map(asValue).map(intoAmbient);
  return {
    leaves: values,
    avals: values.map((value) => value.aval),
    treedef,
    apply: (inner: readonly Tree[]): Tree => protocol.applyOutside(inner),
  };
}

/**
 * Forward mode: the output and its tangent, `[out, tangentOut]`, for arguments and tangents of the same structure.
 *
 * @example
 * const [y, dy] = jvp(np.sin, [np.array(0)], [np.array(1)]); // 0, 1
 */
export function jvp<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  primals: NoInfer<A> | readonly unknown[],
  tangents: readonly unknown[],
): [R, R];
export function jvp(fn: AnyFunction, primals: readonly unknown[], tangents: readonly unknown[]): unknown {
  const bound = plainOrBound(fn, primals);
  const boundTangents = plainOrBound(fn, tangents);
  if (!sameTreeDef(bound.treedef, boundTangents.treedef)) {
    throw new FaxError({
      code: "FAX1004",
      message: "jvp: primals and tangents differ in structure",
      source: userLocation(),
    });
  }
  const count = bound.leaves.length;
  bound.avals.forEach((aval, i) => {
    const tangent = boundTangents.leaves[i] as Value;
    const fits =
      tangent.shape.join() === (bound.leaves[i] as Value).shape.join() &&
      (isFloat(tangent.dtype) || !isFloat(aval.dtype));
    if (fits) return;
    throw new FaxError({
      code: "FAX1201",
      message: `jvp: tangent ${i} is ${formatAval(tangent.aval, false)} for a primal ${formatAval((bound.leaves[i] as Value).aval, false)}`,
      source: userLocation(),
    });
  });
  return staged([...bound.leaves, ...boundTangents.leaves], [...bound.avals, ...bound.avals], (values) => {
    const traced = traceFunction(bound.apply, bound.avals, bound.treedef, "result of the function under jvp");
    const tangentsIn = [
      ...traced.consts.map(() => null),
      ...values.slice(count).map((tangent, i) => (isFloat((bound.avals[i] as Aval).dtype) ? tangent : null)),
    ];
    const result = jvpInline(traced.jaxpr, [...traced.consts, ...values.slice(0, count)], tangentsIn);
    const tangentsOut = result.tangents.map(
      (tangent, i) => tangent ?? zerosOf(strong((result.outputs[i] as Value).aval)),
    );
    return {
      leaves: [...result.outputs, ...tangentsOut],
      treedef: { kind: "list", children: [traced.outTree, traced.outTree] },
    };
  });
}

/** What linearize and vjp share: outputs now, and the linear Jaxpr with its residuals for later. */
function linearizeAt(name: string, fn: AnyFunction, primals: readonly unknown[], hasAux: boolean) {
  const bound = plainOrBound(fn, primals);
  const traced = traceFunction(bound.apply, bound.avals, bound.treedef, `result of the function under ${name}`);
  let [outTree, auxTree]: [TreeDef, TreeDef] = [traced.outTree, { kind: "null" }];
  if (hasAux) {
    if (traced.outTree.kind !== "list" || traced.outTree.children.length !== 2) {
      throw new FaxError({
        code: "FAX1004",
        message: `${name}: with hasAux the function must return [output, aux]`,
        source: userLocation(),
      });
    }
    [outTree, auxTree] = traced.outTree.children as [TreeDef, TreeDef];
  }
  const inputs = [...traced.consts, ...bound.leaves];
  const nonzero = traced.jaxpr.invars.map(({ aval }, i) => i >= traced.consts.length && isFloat(aval.dtype));
  const linearized = linearizeJaxpr(traced.jaxpr, nonzero);
  const results = applyJaxpr(linearized.primal, inputs);
  const residuals = residualsOf(linearized, inputs, results.slice(linearized.outputCount));
  const outputs = results.slice(0, linearized.outputCount);
  const outCount = leafCount(outTree);
  return {
    out: unflatten<Leaf>(outTree, outputs.slice(0, outCount)),
    aux: unflatten<Leaf>(auxTree, outputs.slice(outCount)),
    outTree,
    outAvals: traced.jaxpr.outvars.map(({ aval }) => aval),
    bound,
    linear: linearized.linear,
    residuals,
  };
}

function checkCotangents(name: string, tree: unknown, expected: TreeDef, what: string): Value[] {
  const { leaves, treedef } = flatten<Leaf>(tree, { what });
  if (!sameTreeDef(treedef, expected)) {
    throw new FaxError({
      code: "FAX1004",
      message: `${name}: the ${what} has another structure than the ${what === "cotangent" ? "output" : "arguments"}`,
      source: userLocation(),
    });
  }
  return leaves.map(asValue);
}

/**
 * `[out, linear]`: the output, and the linear map from tangents of the arguments to tangents of the output, for many uses
 * of one linearization.
 *
 * @example
 * const [y, push] = linearize(np.sin, np.array(0)); // push(np.array(1)) is 1
 */
export function linearize<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  ...primals: A
): [R, (...tangents: A) => R];
export function linearize(fn: AnyFunction, ...primals: readonly unknown[]): unknown {
  const { out, outTree, bound, linear, residuals, outAvals } = linearizeAt("linearize", fn, primals, false);
  const push = (...tangents: readonly unknown[]): Tree => {
    const leaves = checkCotangents("linearize", tangents, bound.treedef, "tangent").filter((_, i) =>
      isFloat((bound.avals[i] as Aval).dtype),
    );
    const results = applyJaxpr(linear, [...residuals, ...leaves]);
    let next = 0;
    return unflatten<Leaf>(
      outTree,
      outAvals.map((aval) => (isFloat(aval.dtype) ? (results[next++] as Value) : constant(0, aval.dtype))),
    );
  };
  return [out, push];
}

/**
 * `[out, pullback]`: the output, and the map from cotangents of the output to a list with a cotangent per argument.
 *
 * @example
 * const [y, pull] = vjp((x) => np.sin(x), np.array(0)); // pull(np.array(1)) is [1]
 */
export function vjp<A extends readonly unknown[], R>(fn: (...args: A) => R, ...primals: A): [R, (cotangent: R) => A];
export function vjp(fn: AnyFunction, ...primals: readonly unknown[]): unknown {
  const { out, pullback } = vjpAt("vjp", fn, primals, false);
  return [out, pullback];
}

/** As `vjp` for a function that gives `[output, aux]`: `[out, pullback, aux]`. */
export function vjpWithAux<A extends readonly unknown[], R, X>(
  fn: (...args: A) => readonly [R, X],
  ...primals: A
): [R, (cotangent: R) => A, X];
export function vjpWithAux(fn: AnyFunction, ...primals: readonly unknown[]): unknown {
  const { out, pullback, aux } = vjpAt("vjp", fn, primals, true);
  return [out, pullback, aux];
}

function vjpAt(name: string, fn: AnyFunction, primals: readonly unknown[], hasAux: boolean) {
  const { out, aux, outTree, bound, linear, residuals, outAvals } = linearizeAt(name, fn, primals, hasAux);
  const outCount = leafCount(outTree);
  const cotangentAvals = linear.outvars.map(({ aval }) => strong(aval));
  const pullback = (cotangent: unknown): Tree => {
    const leaves = checkCotangents(name, cotangent, outTree, "cotangent");
    const floatOuts = outAvals.flatMap((aval, i) =>
      isFloat(aval.dtype) ? [i < outCount ? (leaves[i] as Value) : null] : [],
    );
    const present = floatOuts.filter((value) => value !== null);
    const transposed = staged(
      [...residuals, ...present],
      [...linear.invars.slice(0, residuals.length).map(({ aval }) => aval), ...cotangentAvals.slice(0, present.length)],
      (values) => {
        let next = residuals.length;
        const cotangents = floatOuts.map((value) => (value === null ? null : (values[next++] as Value)));
        const inputs = linear.invars.map((_, i) => (i < residuals.length ? (values[i] as Value) : null));
        const results = transposeInline(linear, inputs, cotangents).slice(residuals.length);
        const made = results.map(
          (result, i) => result ?? zerosOf(strong((linear.invars[residuals.length + i] as Var).aval)),
        );
        return { leaves: made, treedef: listOfLeaves(made.length) };
      },
    ) as readonly Value[];
    let next = 0;
    const all = bound.avals.map((aval) =>
      isFloat(aval.dtype) ? (transposed[next++] as Value) : constant(0, aval.dtype),
    );
    return unflatten<Leaf>(bound.treedef, all);
  };
  return { out, aux, pullback };
}

/** Row k of the identity over all elements of a leaf: `[size, ...shape]`. */
function basis(value: Value): Value {
  const size = sizeOf(value.shape);
  const builder = currentBuilder();
  if (builder === null) throw new InternalError("a basis is made outside a trace");
  const flat = withAmbient(builder, value.aval.placement, () => {
    const rows = lax.iota("i32", [size, size], 0);
    const columns = lax.iota("i32", [size, size], 1);
    return lax.convert_element_type(lax.eq(rows, columns), value.dtype);
  });
  return lax.reshape(flat, [size, ...value.shape]);
}

function requireServer(name: string, value: Value, what: string, help: string): void {
  if (isServer(value.aval.placement)) return;
  throw new FaxError({
    code: "FAX1401",
    message: `${name}: ${what} is ${formatAval(value.aval, true)}, and a basis of a group's values is not defined`,
    source: userLocation(),
    help,
  });
}

function jacobianApply(mode: "jacfwd" | "jacrev", options: GradOptions) {
  return (args: readonly Tree[], inner: (args: readonly Tree[]) => Tree): Tree => {
    const diff = prepare(mode, args, inner, options);
    const { jaxpr } = diff.traced;
    const linearized = linearizeJaxpr(jaxpr, diff.nonzero);
    const results = applyJaxpr(linearized.primal, diff.inputs);
    const residuals = residualsOf(linearized, diff.inputs, results.slice(linearized.outputCount));
    const outputs = results.slice(0, linearized.outputCount);
    const outCount = leafCount(diff.outputTree);
    const floatOuts = outputs.slice(0, outCount);
    floatOuts.forEach((output) => {
      if (isFloat(output.dtype)) return;
      throw new FaxError({
        code: "FAX1402",
        message: `${mode}: an output is ${formatAval(output.aval, false)}, and only floats have derivatives`,
        source: userLocation(),
      });
    });
    const varying = diff.inputs.filter((_, i) => diff.nonzero[i]);
    const { linear } = linearized;
    // blocks[o][i] has shape out.shape + in.shape
    const blocks =
      mode === "jacrev"
        ? byRows(linear, residuals, floatOuts, varying)
        : byColumns(linear, residuals, floatOuts, varying);
    const perOutput = blocks.map((row) => asGradients(diff, row));
    const jacobian = unflatten<Tree>(diff.outputTree, perOutput) as Tree;
    return options.hasAux === true ? [jacobian, unflatten<Leaf>(diff.auxTree, outputs.slice(outCount))] : jacobian;
  };
}

function mappedResiduals(residuals: readonly Value[]): Batched[] {
  return residuals.map((value) => ({ value, dim: null }));
}

function byRows(
  linear: Jaxpr,
  residuals: readonly Value[],
  outputs: readonly Value[],
  inputs: readonly Value[],
): Value[][] {
  return outputs.map((output, o) => {
    requireServer("jacrev", output, "the output", "reduce it to the server, or use jacfwd");
    const pulled = traceClosedPullback(linear, residuals.length, o);
    const rows = batchInline(pulled, [...mappedResiduals(residuals), { value: basis(output), dim: 0 }], output.size);
    return rows.map((row, i) => {
      const input = inputs[i] as Value;
      const full = materializeRow(row, output.size);
      return lax.reshape(full, [...output.shape, ...input.shape]);
    });
  });
}

function byColumns(
  linear: Jaxpr,
  residuals: readonly Value[],
  outputs: readonly Value[],
  inputs: readonly Value[],
): Value[][] {
  const columns = inputs.map((input, i) => {
    requireServer("jacfwd", input, "the argument", "use jacrev");
    const tangents = inputs.map((other, k): Batched =>
      k === i ? { value: basis(input), dim: 0 } : { value: zerosOf(other.aval), dim: null },
    );
    return batchInline(linear, [...mappedResiduals(residuals), ...tangents], input.size);
  });
  return outputs.map((output, o) =>
    inputs.map((input, i) => {
      const full = materializeRow((columns[i] as Batched[])[o] as Batched, input.size);
      const moved = lax.transpose(full, [...output.shape.map((_, axis) => axis + 1), 0]);
      return lax.reshape(moved, [...output.shape, ...input.shape]);
    }),
  );
}

function materializeRow({ value, dim }: Batched, size: number): Value {
  if (dim === null) {
    return lax.broadcast_in_dim(
      value,
      [size, ...value.shape],
      value.shape.map((_, axis) => axis + 1),
    );
  }
  if (dim === 0) return value;
  const others = value.shape.map((_, axis) => axis).filter((axis) => axis !== dim);
  return lax.transpose(value, [dim, ...others]);
}

/** `(residuals, cotangent of output o) → cotangents of the varying inputs` as a Jaxpr. */
function traceClosedPullback(linear: Jaxpr, residualCount: number, o: number): Jaxpr {
  const avals = [
    ...linear.invars.slice(0, residualCount).map(({ aval }) => aval),
    strong((linear.outvars[o] as Atom).aval),
  ];
  const traced = traceFunction(
    (args) => {
      const values = args as readonly Value[];
      const inputs = linear.invars.map((_, i) => (i < residualCount ? (values[i] as Value) : null));
      const cotangents = linear.outvars.map((_, i) => (i === o ? (values[residualCount] as Value) : null));
      return transposeInline(linear, inputs, cotangents)
        .slice(residualCount)
        .map((result, i) => result ?? zerosOf(strong((linear.invars[residualCount + i] as Var).aval)));
    },
    avals,
    listOfLeaves(avals.length),
  );
  return traced.jaxpr;
}

/**
 * The Jacobian by forward mode, best where outputs outnumber inputs: shape `output.shape + input.shape`, in trees of the
 * output over trees of the argument.
 *
 * @example
 * const J = jacfwd((x) => np.square(x))(np.array([1, 2])); // [[2, 0], [0, 4]]
 */
export function jacfwd<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options?: Argnums | GradOptions,
): (...args: A) => R {
  return transformed(fn, "jacfwd", jacobianApply("jacfwd", normalizeOptions(options))) as (...args: A) => R;
}

/** The Jacobian by reverse mode, best where inputs outnumber outputs. See `jacfwd`. */
export function jacrev<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options?: Argnums | GradOptions,
): (...args: A) => R {
  return transformed(fn, "jacrev", jacobianApply("jacrev", normalizeOptions(options))) as (...args: A) => R;
}

/**
 * The Hessian of a function, forward over reverse: shape `output.shape + input.shape + input.shape`.
 *
 * @example
 * const H = hessian((x) => np.sum(np.power(x, 3)))(np.array([1, 2])); // [[6, 0], [0, 12]]
 */
export function hessian<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options?: Argnums | GradOptions,
): (...args: A) => R {
  return jacfwd(jacrev(fn, options), options);
}
