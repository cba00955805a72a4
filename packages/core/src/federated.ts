/**
 * The operators of a federated program. Values change their placement here and nowhere else. All of them work on trees.
 */
import {
  type Aval,
  Constant,
  currentBuilder,
  FaxError,
  flatten,
  formatAval,
  formatPlacement,
  innermost,
  invariant,
  isFloat,
  isServer,
  type JaxprBuilder,
  lax,
  type Leaf,
  leafPaths,
  type Note,
  type Placement,
  placementOf,
  range,
  samePlacement,
  startsWith,
  type Tree,
  Tracer,
  unflatten,
  userLocation,
  type Value,
  withAmbient,
} from "@fax/compiler";
import type {
  At,
  AtServer,
  GroupOf,
  MapArguments,
  MapOperands,
  OnlyGroup,
  RequireGroup,
  RequireServer,
} from "./placed-types.ts";
import { currentPlacements, undeclared } from "./program.ts";
import type { Placements } from "./program-arguments.ts";
import { asValue } from "./values.ts";

/**
 * Gives every member of a group the server's value. The group may be left out where the program declares only one.
 *
 * Placement: server → group. Gradient: {@link federatedSum}.
 *
 * @throws FAX1304 outside a program, FAX1305 for a group that the program does not declare, FAX1306 inside a map, FAX1302
 *   if the value is not at the server
 * @example federatedMap((w, x) => np.dot(x, w), federatedBroadcast(w), x)
 */
export function federatedBroadcast<const T>(x: T & RequireServer<T>): At<T, OnlyGroup>;
export function federatedBroadcast<const T, const G extends string>(x: T & RequireServer<T>, group: G): At<T, G>;
export function federatedBroadcast(x: unknown, group?: string): unknown {
  const { placements } = enterOperator("federatedBroadcast");
  const to = groupOf("federatedBroadcast", placements, group);
  return mapLeaves("federatedBroadcast", x, (value, path) => {
    if (!isServer(value.aval.placement)) {
      throw misplaced("federatedBroadcast", value, path, "and only a server value can be broadcast", {
        help: "leave it as it is, or bring it to the server with federatedMean or federatedSum",
      });
    }
    return lax.federated_broadcast(value, to);
  });
}

/**
 * Runs `fn` once for every member of a group, on that member's values.
 *
 * The operands lie at one group; server values that `fn` captures are broadcast by themselves. Inside, code is ordinary
 * array code, transforms included. What `fn` returns lies at the group.
 *
 * Placement: group → group. Gradient: the map of `fn`'s own; that of a captured value is summed over the members.
 *
 * @throws FAX1304 outside a program, FAX1306 inside another map, FAX1302 for an operand at the server, FAX1301 for
 *   operands at different groups
 * @source the map of DrJAX (Rush et al. 2024), without its leading group axis
 * @example federatedMap((x) => np.sum(np.square(x)), x)
 */
export function federatedMap<const Args extends readonly unknown[], const R>(
  fn: (...args: MapArguments<Args>) => R,
  ...args: MapOperands<Args>
): At<R, GroupOf<Args>>;
export function federatedMap(fn: (...args: never[]) => unknown, ...args: readonly unknown[]): unknown {
  const name = "federatedMap";
  const { builder, placements } = enterOperator(name);
  const { leaves, treedef } = flatten<Leaf>(args, { what: `${name}: operands` });
  const paths = leafPaths(treedef);
  const values = leaves.map(asValue);
  const placement = mapPlacement(name, placements, values, paths);
  const results = flatten<Leaf>(
    withAmbient(builder, placement, () => fn(...(unflatten<Leaf>(treedef, leaves) as never[]))),
    { what: "the result of a mapped function" },
  );
  const resultPaths = leafPaths(results.treedef);
  const lifted = results.leaves.map((leaf, i) => liftResult(builder, asValue(leaf), placement, resultPaths[i] ?? ""));
  return unflatten<Leaf>(results.treedef, lifted);
}

/**
 * The sum over a group's members. Bools are counted, as i32.
 *
 * Placement: group → server. Gradient: {@link federatedBroadcast}.
 *
 * @throws FAX1304 outside a program, FAX1306 inside a map, FAX1302 if the value is not at a group
 * @example federatedSum(federatedMap((x) => np.sum(x), x))
 */
export function federatedSum<const T>(x: T & RequireGroup<T>): AtServer<T>;
export function federatedSum(x: unknown): unknown {
  return reduce("federatedSum", x, (value) =>
    lax.federated_sum(value.dtype === "bool" ? lax.convert_element_type(value, "i32") : value),
  );
}

/**
 * The mean over a group's members, each counting alike. Integers and bools give f32.
 *
 * Placement: group → server. Gradient: {@link federatedBroadcast} divided by the cardinality.
 *
 * @throws FAX1304 outside a program, FAX1306 inside a map, FAX1302 if the value is not at a group
 * @example federatedMean(losses)
 */
export function federatedMean<const T>(x: T & RequireGroup<T>): AtServer<T>;
export function federatedMean(x: unknown): unknown {
  return reduce("federatedMean", x, (value) => lax.federated_mean(asFloat(value)));
}

/**
 * The mean over a group's members, weighted: Σ wᵢ xᵢ / Σ wᵢ, with one scalar weight a member. Where the weights sum to
 * zero, the mean is zero, and so is its gradient.
 *
 * Each array keeps its float dtype, integers and bools give f32; products and sums are f32.
 *
 * Placement: group → server.
 *
 * @throws FAX1304 outside a program, FAX1306 inside a map, FAX1302 if a value is not at a group, FAX1301 for weights at
 *   another group, FAX1201 for weights that are not scalars
 * @source federated averaging: McMahan et al. 2017, algorithm 1
 * @example federatedWeightedMean(losses, weights)
 */
export function federatedWeightedMean<const T, W>(x: T & RequireGroup<T>, weights: W & RequireGroup<W>): AtServer<T>;
export function federatedWeightedMean(x: unknown, weights: unknown): unknown {
  const name = "federatedWeightedMean";
  enterOperator(name);
  const given = flatten<Leaf>(weights, { what: `${name}: the weights` }).leaves.map(asValue);
  const [raw] = given;
  if (raw === undefined || given.length !== 1 || raw.ndim !== 0) {
    const found = given.length === 1 && raw ? formatAval(raw.aval, true) : `a tree of ${given.length} arrays`;
    throw new FaxError({
      code: "FAX1201",
      message: `${name}: the weights are ${found}, and a member has one scalar weight`,
      source: currentBuilder()?.source ?? userLocation(),
      help: "compute the weight of a member in federatedMap, as in federatedMap((mask) => np.sum(mask), masks)",
    });
  }
  requireGroup(name, raw, " of the weights");
  const weight = raw.dtype === "f32" ? raw : lax.convert_element_type(raw, "f32");
  const total = lax.federated_sum(weight);
  const empty = lax.eq(total, 0);
  // Both branches of the select stay finite, and so do their gradients.
  const factor = lax.select(empty, 0, lax.div(1, lax.select(empty, 1, total)));
  return reduce(name, x, (value) => {
    requireSameGroup(name, value, weight);
    const float = asFloat(value);
    const wide = float.dtype === "f32" ? float : lax.convert_element_type(float, "f32");
    const sum = lax.federated_sum(lax.mul(wide, spread(weight, wide)));
    const mean = lax.mul(sum, spread(factor, sum));
    return mean.dtype === float.dtype ? mean : lax.convert_element_type(mean, float.dtype);
  });
}

/**
 * The largest value of each element over a group's members.
 *
 * Placement: group → server. Gradient: to the members that attain it, in equal parts.
 *
 * @throws FAX1304 outside a program, FAX1306 inside a map, FAX1302 if the value is not at a group
 * @example federatedMax(losses)
 */
export function federatedMax<const T>(x: T & RequireGroup<T>): AtServer<T>;
export function federatedMax(x: unknown): unknown {
  return reduce("federatedMax", x, (value) => lax.federated_max(value));
}

/**
 * The smallest value of each element over a group's members.
 *
 * Placement: group → server. Gradient: to the members that attain it, in equal parts.
 *
 * @throws FAX1304 outside a program, FAX1306 inside a map, FAX1302 if the value is not at a group
 * @example federatedMin(losses)
 */
export function federatedMin<const T>(x: T & RequireGroup<T>): AtServer<T>;
export function federatedMin(x: unknown): unknown {
  return reduce("federatedMin", x, (value) => lax.federated_min(value));
}

function reduce(name: string, x: unknown, toServer: (value: Value) => Value): unknown {
  enterOperator(name);
  return mapLeaves(name, x, (value, path) => {
    requireGroup(name, value, path);
    return toServer(value);
  });
}

function mapLeaves(name: string, tree: unknown, fn: (value: Value, path: string) => Value): Tree {
  const { leaves, treedef } = flatten<Leaf>(tree, { what: `${name}: operand` });
  const paths = leafPaths(treedef);
  return unflatten<Leaf>(
    treedef,
    leaves.map((leaf, i) => fn(asValue(leaf), paths[i] ?? "")),
  );
}

/** Where the operator runs: in a program's server code, or FAX1304 and FAX1306. */
function enterOperator(name: string): { builder: JaxprBuilder; placements: Placements } {
  const placements = currentPlacements();
  const builder = currentBuilder();
  if (placements === null) {
    throw new FaxError({
      code: "FAX1304",
      message: `${name}: a federated operator is used outside a program, so that there is no group to act on`,
      source: builder?.source ?? userLocation(),
      help: "wrap the function: program({ placements: { clients: 3 }, args: [f32(2)] }, (x) => …)",
    });
  }
  invariant(builder !== null, "a program runs outside any trace");
  const inside = innermost(builder.ambient);
  if (inside !== undefined) {
    throw new FaxError({
      code: "FAX1306",
      message: `${name}: a federated operator is used inside a map at ${formatPlacement(builder.ambient)}, where code sees one member only`,
      source: builder.source ?? userLocation(),
      help: `return the value from federatedMap, and apply ${name} to the result`,
    });
  }
  return { builder, placements };
}

/** A declared group, by name or because it is the only one. */
function groupOf(name: string, placements: Placements, group: string | undefined): { name: string; size: number } {
  const groups = Object.entries(placements);
  const [only] = groups;
  if (group === undefined) {
    if (groups.length === 1 && only) return { name: only[0], size: only[1] };
    throw new FaxError({
      code: "FAX1305",
      message: `${name}: no group is named, and the program declares ${groups.map(([key, size]) => `${key}[${size}]`).join(", ") || "none"}`,
      source: currentBuilder()?.source ?? userLocation(),
      help: groups.map(([key]) => `${name}(x, "${key}")`).join(" or ") || "declare a group: placements: { clients: 3 }",
    });
  }
  const size = Object.hasOwn(placements, group) ? placements[group] : undefined;
  if (size === undefined) throw undeclared(name, group, placements);
  return { name: group, size };
}

/** The group that a map's operands share; the program's only one where there are none. */
function mapPlacement(
  name: string,
  placements: Placements,
  values: readonly Value[],
  paths: readonly string[],
): Placement {
  let placed: Value | undefined;
  for (const [i, value] of values.entries()) {
    if (value instanceof Constant) continue;
    if (isServer(value.aval.placement)) {
      throw misplaced(name, value, ` of the operands${paths[i] ?? ""}`, "and a map takes values at a group", {
        help: "federatedBroadcast(value) brings it to the group; a captured server value needs nothing",
      });
    }
    placed ??= value;
    requireSameGroup(name, value, placed);
  }
  return placed?.aval.placement ?? placementOf(groupOf(name, placements, undefined));
}

function liftResult(builder: JaxprBuilder, value: Value, placement: Placement, path: string): Value {
  if (value instanceof Constant) {
    return withAmbient(builder, placement, () => lax.full([], value.value, value.dtype));
  }
  if (startsWith(placement, value.aval.placement)) return builder.lift(value, placement);
  throw misplaced("federatedMap", value, ` of the result${path}`, `and the map runs at ${formatPlacement(placement)}`, {
    help: "return values of the mapped members, or of the server",
  });
}

function requireGroup(name: string, value: Value, path: string): void {
  if (!isServer(value.aval.placement)) return;
  throw misplaced(name, value, path, "and only a value at a group can be reduced", {
    help: "leave it as it is, or bring it to the group with federatedBroadcast",
  });
}

function requireSameGroup(name: string, value: Value, other: Value): void {
  if (samePlacement(value.aval.placement, other.aval.placement)) return;
  const [one, two] = [other, value].map((operand) => formatPlacement(operand.aval.placement));
  throw new FaxError({
    code: "FAX1301",
    message: `${name}: operands are at different placements, ${one} and ${two}`,
    source: currentBuilder()?.source ?? userLocation(),
    notes: [originNote(other), originNote(value), { text: `legal here: both ${one}, or both ${two}` }],
    help: "bring one of them to the server first, with federatedMean or federatedSum",
  });
}

function misplaced(name: string, value: Value, path: string, rule: string, { help }: { help: string }): FaxError {
  const type = value instanceof Constant ? `the number ${value.value}` : formatAval(value.aval, true);
  const operand = path === "" ? "the operand" : `the value${path.startsWith(" ") ? path : ` at ${path}`}`;
  return new FaxError({
    code: "FAX1302",
    message: `${name}: ${operand} is ${type}, ${rule}`,
    source: currentBuilder()?.source ?? userLocation(),
    notes: [originNote(value)],
    help,
  });
}

function originNote(value: Value): Note {
  if (!(value instanceof Tracer)) return { text: `operand: ${describeKnown(value.aval)}` };
  const { text, source } = value.builder.originOf(value.variable);
  return { text: `operand: ${formatAval(value.aval, true)}, ${text}`, source };
}

const describeKnown = (aval: Aval): string => `${formatAval(aval, false)}, an array`;

function asFloat(value: Value): Value {
  return isFloat(value.dtype) ? value : lax.convert_element_type(value, "f32");
}

/** A scalar over the shape of `like`. */
function spread(scalar: Value, like: Value): Value {
  return like.ndim === 0 ? scalar : lax.broadcast_in_dim(scalar, like.shape, range(0));
}
