/** The derivative of a function as a linear map: forward (jvp, linearize) and transposed (vjp). */
import {
  type Aval,
  constant,
  FaxError,
  flatten,
  formatAval,
  isFloat,
  jvpInline,
  type Leaf,
  leafCount,
  linearizeJaxpr,
  residualsOf,
  sameTreeDef,
  strong,
  transposeInline,
  type Tree,
  type TreeDef,
  unflatten,
  userLocation,
  type Value,
  type Var,
  zerosOf,
} from "@fax/compiler";
import { type GradientOf, intoAmbient, listOfLeaves, splitAux } from "./differentiation.ts";
import { type AnyFunction } from "./jit.ts";
import { applyJaxpr, traceFunction } from "./run.ts";
import { isTracing, traceableOf } from "./traceable.ts";
import { asValue } from "./values.ts";

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
  const [outTree, auxTree] = splitAux(name, traced.outTree, hasAux);
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
 * const [y, push] = linearize(np.sin, np.array(0));
 * push(np.array(1)); // 1
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
 * const [y, pull] = vjp((x) => np.sin(x), np.array(0));
 * const [dx] = pull(np.array(1)); // 1
 */
export function vjp<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  ...primals: A
): [R, (cotangent: R) => GradientOf<A>];
export function vjp(fn: AnyFunction, ...primals: readonly unknown[]): unknown {
  const { out, pullback } = vjpAt("vjp", fn, primals, false);
  return [out, pullback];
}

/** As `vjp` for a function that gives `[output, aux]`: `[out, pullback, aux]`. */
export function vjpWithAux<A extends readonly unknown[], R, X>(
  fn: (...args: A) => readonly [R, X],
  ...primals: A
): [R, (cotangent: R) => GradientOf<A>, X];
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
