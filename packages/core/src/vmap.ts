import {
  batchInline,
  type Batched,
  FaxError,
  flatten,
  formatAval,
  type Leaf,
  leafCount,
  materialize,
  type Tree,
  type TreeDef,
  unflatten,
  userLocation,
  type Value,
} from "@fax/compiler";
import { type AnyFunction, makeTraceable } from "./jit.ts";
import { runTraceable, traceFunction } from "./run.ts";
import { bindPlain, isTracing, type Traceable, traceableOf } from "./traceable.ts";
import { asValue } from "./values.ts";

/** Which axis of each argument is mapped: a number, null for none, or a tree of these that is a prefix of the arguments. */
export type Axes = number | null | readonly Axes[] | { readonly [key: string]: Axes };

export interface VmapOptions {
  readonly inAxes?: Axes;
  readonly outAxes?: Axes;
  /** Needed only where nothing is mapped. */
  readonly axisSize?: number;
}

/**
 * Maps `fn` over an axis of its arguments, as one program: `out[i] = fn(x[i])`. Each mapped argument loses the axis inside
 * `fn`; each result gains one at `outAxes`. Axes default to 0; `null` passes an argument whole.
 *
 * FAX1403 for axes that do not exist or sizes that differ.
 *
 * @example
 * const rowNorms = vmap((row) => np.sqrt(np.sum(np.square(row))))(np.array([[3, 4], [6, 8]])); // [5, 10]
 */
export function vmap<F extends AnyFunction>(fn: F, inAxes?: Axes | VmapOptions, outAxes?: Axes): F {
  const options = normalize(inAxes, outAxes);
  const inner = traceableOf(fn);
  const apply = (args: readonly Tree[]): Tree => applyMapped(args, (values) => inner.applyOutside(values), options);
  const protocol: Traceable = {
    name: `vmap(${inner.name})`,
    bindArguments: bindPlain,
    apply,
    applyOutside: apply,
  };
  return makeTraceable(protocol, (...args) =>
    isTracing() ? apply(args as Tree[]) : runTraceable(protocol, args),
  ) as unknown as F;
}

function normalize(
  inAxes: Axes | VmapOptions | undefined,
  outAxes: Axes | undefined,
): Required<Omit<VmapOptions, "axisSize">> & VmapOptions {
  if (typeof inAxes === "object" && inAxes !== null && !Array.isArray(inAxes)) {
    const options = inAxes as VmapOptions;
    if (["inAxes", "outAxes", "axisSize"].some((key) => key in options)) return { inAxes: 0, outAxes: 0, ...options };
  }
  return {
    inAxes: (inAxes as Axes | undefined) ?? (inAxes === null ? null : 0),
    outAxes: outAxes === undefined ? 0 : outAxes,
  };
}

function applyMapped(
  args: readonly Tree[],
  inner: (args: readonly Tree[]) => Tree,
  { inAxes, outAxes, axisSize }: Required<Omit<VmapOptions, "axisSize">> & VmapOptions,
): Tree {
  const { leaves, treedef } = flatten<Leaf>(args, { what: "arguments" });
  const values = leaves.map(asValue);
  const spec: Axes = Array.isArray(inAxes) ? inAxes : args.map(() => inAxes);
  const axes = expandAxes(spec, treedef, "inAxes").map((axis, i) => inRange(axis, values[i] as Value, i));
  const size = mappedSize(values, axes, axisSize);
  const avals = values.map((value, i) => ({
    ...value.aval,
    shape: value.shape.filter((_, axis) => axis !== axes[i]),
  }));
  const traced = traceFunction(inner, avals, treedef, "result of the function under vmap");
  const inputs: Batched[] = [
    ...traced.consts.map((value): Batched => ({ value, dim: null })),
    ...values.map((value, i): Batched => ({ value, dim: axes[i] ?? null })),
  ];
  const outputs = batchInline(traced.jaxpr, inputs, size);
  const outSpec = expandAxes(outAxes, traced.outTree, "outAxes");
  const results = outputs.map((output, i) => {
    const axis = outSpec[i] ?? null;
    const rank = output.value.shape.length + (output.dim === null ? 1 : 0);
    if (axis === null) {
      if (output.dim === null) return output.value;
      throw new FaxError({
        code: "FAX1403",
        message: `vmap: outAxes is null for result ${i}, but the result differs along the mapped axis`,
        source: userLocation(),
      });
    }
    const position = axis < 0 ? axis + rank : axis;
    if (position < 0 || position >= rank) {
      throw new FaxError({
        code: "FAX1403",
        message: `vmap: outAxes names axis ${axis}, but result ${i} has rank ${rank} with the mapped axis`,
        source: userLocation(),
      });
    }
    return materialize(output, size, position);
  });
  return unflatten<Leaf>(traced.outTree, results);
}

function inRange(axis: number | null, value: Value, i: number): number | null {
  if (axis === null) return null;
  const position = axis < 0 ? axis + value.shape.length : axis;
  if (Number.isInteger(position) && position >= 0 && position < value.shape.length) return position;
  throw new FaxError({
    code: "FAX1403",
    message: `vmap: inAxes names axis ${axis} of leaf ${i}, which is ${formatAval(value.aval, false)}`,
    source: userLocation(),
    help: "pass null for arguments that are not mapped",
  });
}

function mappedSize(values: readonly Value[], axes: readonly (number | null)[], axisSize: number | undefined): number {
  let size = axisSize;
  let first = -1;
  axes.forEach((axis, i) => {
    if (axis === null) return;
    const here = (values[i] as Value).shape[axis] as number;
    if (size !== undefined && size !== here) {
      throw new FaxError({
        code: "FAX1403",
        message:
          first < 0
            ? `vmap: leaf ${i} has ${here} along its mapped axis, but axisSize is ${size}`
            : `vmap: the mapped axes differ in size, ${size} for leaf ${first} and ${here} for leaf ${i}`,
        source: userLocation(),
      });
    }
    if (size === undefined) first = i;
    size = here;
  });
  if (size !== undefined) return size;
  throw new FaxError({
    code: "FAX1403",
    message: "vmap: no argument is mapped, so the size of the mapped axis is unknown",
    source: userLocation(),
    help: "give an axis in inAxes, or axisSize",
  });
}

/** An axis per leaf, from a tree of axes that is a prefix of the tree. */
function expandAxes(axes: Axes, treedef: TreeDef, what: string): (number | null)[] {
  if (axes === null || typeof axes === "number") return new Array<number | null>(leafCount(treedef)).fill(axes);
  if (Array.isArray(axes) && treedef.kind === "list" && axes.length === treedef.children.length) {
    return treedef.children.flatMap((child, i) => expandAxes((axes as readonly Axes[])[i] as Axes, child, what));
  }
  if (!Array.isArray(axes) && treedef.kind === "object") {
    return treedef.keys.flatMap((key, i) =>
      expandAxes((axes as { readonly [key: string]: Axes })[key] ?? null, treedef.children[i] as TreeDef, what),
    );
  }
  throw new FaxError({
    code: "FAX1403",
    message: `vmap: ${what} has another structure than the values it describes`,
    source: userLocation(),
    help: "give one axis, null, or a tree of them in the structure of the arguments",
  });
}
