import {
  type Aval,
  constant,
  Constant,
  currentBuilder,
  FaxError,
  flatten,
  formatAval,
  isServer,
  type JaxprBuilder,
  lax as primitives,
  type Leaf,
  sameTreeDef,
  sameType,
  strong,
  trace,
  type Tree,
  type TreeDef,
  unflatten,
  userLocation,
  type Value,
} from "@fax/compiler";
import { closeOver, runTraceable } from "./run.ts";
import { bindPlain } from "./traceable.ts";
import { asValue } from "./values.ts";

export interface ScanOptions {
  /** Needed only where `xs` is null; else it must agree with the leading axes. */
  readonly length?: number;
  /** From the last row to the first; the results keep their rows. */
  readonly reverse?: boolean;
}

/**
 * A loop on the device that carries state and stacks results: `[carry, ys]` where, row by row,
 * `[carry, y] = f(carry, x)`.
 *
 * `xs` is a tree of arrays with one leading axis, or null with `length` given. The carry keeps its structure, shapes and
 * dtypes (FAX1501). Lengths must agree (FAX1502). Differentiable in both modes. Source: JAX, `lax.scan`.
 *
 * @example
 * const [total, sums] = lax.scan((sum, x) => [np.add(sum, x), np.add(sum, x)], 0, np.array([1, 2, 3])); // 6, [1, 3, 6]
 */
export function scan<C, X, Y>(
  f: (carry: C, x: X) => readonly [C, Y],
  init: C | (C extends object ? C : number),
  xs: X | null,
  options: ScanOptions = {},
): [C, Y] {
  const body = f as unknown as (carry: Tree, x: Tree) => readonly [Tree, Tree];
  const run = ([carry, rows]: readonly Tree[]): Tree => stageScan(body, carry as Tree, rows as Tree, options);
  if (currentBuilder() !== null) return run([init as Tree, xs as Tree]) as unknown as [C, Y];
  const protocol = { name: "scan", bindArguments: bindPlain, apply: run, applyOutside: run };
  return runTraceable(protocol, [init, xs]) as unknown as [C, Y];
}

function fault(code: "FAX1004" | "FAX1501" | "FAX1502", message: string, help?: string): FaxError {
  return new FaxError({ code, message, source: userLocation(), ...(help === undefined ? {} : { help }) });
}

function stageScan(
  f: (carry: Tree, x: Tree) => readonly [Tree, Tree],
  init: Tree,
  xs: Tree,
  { length, reverse = false }: ScanOptions,
): Tree {
  const builder = currentBuilder() as JaxprBuilder;
  const { ambient } = builder;
  const carryIn = flatten<Leaf>(init, { what: "scan's init" });
  const rows = flatten<Leaf>(xs, { what: "scan's xs" });
  const place = (value: Value): Value => (isServer(ambient) ? value : builder.lift(value, ambient));
  const rowValues = rows.leaves.map(asValue).map(place);
  const count = scanLength(rowValues, length);
  let carry = carryIn.leaves.map(asValue).map((value) => place(array(value, builder)));
  const rowAvals = rowValues.map((value): Aval => ({ ...value.aval, shape: value.shape.slice(1) }));

  const traceBody = (carryAvals: readonly Aval[]) => {
    let [outCarryTree, outTree]: [TreeDef, TreeDef] = [carryIn.treedef, { kind: "null" }];
    const closed = trace([...carryAvals, ...rowAvals], (args, inner) => {
      const result: unknown = f(
        unflatten<Leaf>(carryIn.treedef, args.slice(0, carryAvals.length)),
        unflatten<Leaf>(rows.treedef, args.slice(carryAvals.length)),
      );
      if (!Array.isArray(result) || result.length !== 2) {
        throw fault(
          "FAX1004",
          "scan: the body must return [carry, y]",
          "return [carry, null] if there is nothing to stack",
        );
      }
      const nextCarry = flatten<Leaf>(result[0], { what: "scan's carry" });
      const ys = flatten<Leaf>(result[1], { what: "scan's y" });
      [outCarryTree, outTree] = [nextCarry.treedef, ys.treedef];
      return [...nextCarry.leaves, ...ys.leaves].map(asValue).map((value) => {
        const full = array(value, inner);
        return isServer(ambient) ? full : inner.lift(full, ambient);
      });
    });
    if (!sameTreeDef(outCarryTree, carryIn.treedef)) {
      throw fault("FAX1501", "scan: the body returns a carry of another structure than it takes");
    }
    return { closed: closeOver(closed), outTree };
  };

  let traced = traceBody(carry.map(({ aval }) => aval));
  // A weakly typed carry takes the type that the body gives it.
  const outAvals = traced.closed.jaxpr.outvars.slice(0, carry.length).map(({ aval }) => aval);
  const promoted = carry.map((value, i) => {
    const out = outAvals[i] as Aval;
    return value.aval.weak && !sameType(value.aval, out) && value.shape.length === 0 && out.shape.length === 0
      ? primitives.convert_element_type(value, out.dtype)
      : value;
  });
  if (promoted.some((value, i) => value !== carry[i])) {
    carry = promoted;
    traced = traceBody(carry.map(({ aval }) => aval));
  }
  const { jaxpr, consts } = traced.closed;
  jaxpr.outvars.slice(0, carry.length).forEach((atom, i) => {
    const before = (carry[i] as Value).aval;
    if (sameType(before, { ...atom.aval, placement: atom.kind === "literal" ? before.placement : atom.aval.placement }))
      return;
    const placed = !isServer(before.placement) || !isServer(atom.aval.placement);
    throw fault(
      "FAX1501",
      `scan: carry ${i} enters the body as ${formatAval(before, placed)} and leaves it as ${formatAval(atom.aval, placed)}`,
      "make the body return carries of the types it takes: start from an array of the right type, or convert with astype",
    );
  });
  const outputs = primitives.scan([...consts, ...carry, ...rowValues], {
    jaxpr,
    length: count,
    reverse,
    num_consts: consts.length,
    num_carry: carry.length,
  });
  return [
    unflatten<Leaf>(carryIn.treedef, outputs.slice(0, carry.length)),
    unflatten<Leaf>(traced.outTree, outputs.slice(carry.length)),
  ];
}

/** A constant as an array of its own, since loops carry no literals. */
function array(value: Value, builder: JaxprBuilder): Value {
  if (!(value instanceof Constant)) return value;
  const { dtype, weak } = value.aval;
  const aval = { ...value.aval, placement: builder.ambient };
  const params = isServer(builder.ambient) ? {} : { placement: builder.ambient };
  const scalar = constant(value.value, dtype, { weak });
  return builder.emit("broadcast_in_dim", [scalar], { shape: [], broadcast_dimensions: [], ...params }, [
    weak ? aval : strong(aval),
  ])[0] as Value;
}

function scanLength(rows: readonly Value[], length: number | undefined): number {
  let count = length;
  rows.forEach((row, i) => {
    const here = row.shape[0];
    if (here === undefined) {
      throw fault("FAX1502", `scan: leaf ${i} of xs is a scalar, and has no axis to go along`);
    }
    if (count !== undefined && count !== here) {
      throw fault("FAX1502", `scan: leaf ${i} of xs has ${here} rows, but the loop has ${count}`);
    }
    count = here;
  });
  if (count === undefined)
    throw fault("FAX1502", "scan: without xs the length must be given", "lax.scan(f, init, null, { length: 10 })");
  return count;
}
