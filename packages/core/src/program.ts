/** Federated programs: functions that declare which groups exist and where each argument lies. */
import {
  currentBuilder,
  FaxError,
  flatten,
  isServer,
  lax,
  type Leaf,
  type Tree,
  unflatten,
  userLocation,
  type Value,
} from "@fax/compiler";
import { runTraceable } from "./run.ts";
import type { AtServer } from "./placed-types.ts";
import { bindToDeclaration, declaredTypes, type Declaration, type Placements } from "./program-arguments.ts";
import { type HasTraceable, isTracing, traceable, type Traceable } from "./traceable.ts";
import type { Given, Placed, SpecTree } from "./types.ts";
import { asValue } from "./values.ts";

/**
 * A federated program. From outside it takes and gives ordinary arrays, where a value at a group has the group as its
 * leading axis; every transform applies to it, and other programs may call it.
 */
export interface Program<A extends readonly unknown[], R, G extends string = string> extends HasTraceable {
  (...args: Given<A> extends infer Args extends readonly unknown[] ? Args : never): AtServer<R>;
  /** How many members each group has. */
  readonly placements: Readonly<Record<G, number>>;
  /** The declared types of the arguments. */
  readonly args: A;
  /**
   * The same program for other cardinalities; groups that are not named keep theirs.
   *
   * @throws FAX1305 for a group that the program does not declare, FAX1303 for a cardinality below 1
   * @example parallelLoss.withPlacements({ clients: 100 })
   */
  withPlacements(placements: { readonly [K in G]?: number }): Program<A, R, G>;
}

/** The programs whose functions are being traced, innermost last. */
const active: Placements[] = [];

/** The groups of the program that is being traced, or null outside any. */
export function currentPlacements(): Placements | null {
  return active.at(-1) ?? null;
}

/**
 * Declares a federated program.
 *
 * `placements` names the groups with the number of their members; `args` are the types of the arguments, trees of
 * `f32(…)` and its like; `fn` runs while the program is traced, on values placed as declared. `name` stands in errors and
 * printed IR.
 *
 * @throws FAX1303 for a cardinality that is not a whole number from 1, FAX1305 for an argument at a group that is not
 *   declared; when called, FAX1003 FAX1004 FAX1102 FAX1201 FAX1303 for arguments that do not fit the declaration, and
 *   FAX1307 inside another program's map
 * @example
 * const share = program({ placements: { sensors: 100 }, args: [f32().at("sensors"), f32()] }, (t, threshold) =>
 *   federatedMean(federatedMap((t, threshold) => np.greater(t, threshold), t, federatedBroadcast(threshold))),
 * );
 */
export function program<
  const G extends Placements,
  const A extends readonly SpecTree<(keyof G & string) | "server">[],
  const R,
>(
  declaration: { readonly placements: G; readonly args: A; readonly name?: string },
  fn: (...args: Placed<A> extends infer Args extends readonly unknown[] ? Args : never) => R,
): Program<A, R, keyof G & string> {
  const declared = { ...declaration, name: declaration.name ?? (fn.name || "program") };
  checkDeclaration(declared);
  const protocol = protocolOf(declared, fn as unknown as (...args: readonly Tree[]) => Tree);
  const call = (...args: readonly unknown[]): Tree =>
    isTracing() ? protocol.applyOutside(args as readonly Tree[]) : runTraceable(protocol, args);
  const { name, placements, args } = declared;
  Object.defineProperty(call, "name", { value: name, configurable: true });
  return Object.assign(call, {
    [traceable]: protocol,
    placements,
    args,
    withPlacements: (changed: { readonly [K in keyof G & string]?: number }) => {
      const unknown = Object.keys(changed).find((group) => !(group in placements));
      if (unknown !== undefined) throw undeclared("withPlacements", unknown, placements);
      return program<Placements, A, R>({ name, placements: { ...placements, ...changed }, args }, fn);
    },
  }) as unknown as Program<A, R, keyof G & string>;
}

function protocolOf(declared: Declaration, fn: (...args: readonly Tree[]) => Tree): Traceable {
  const apply = (args: readonly Tree[]): Tree => {
    requireServer(declared.name);
    active.push(declared.placements);
    try {
      return fn(...args);
    } finally {
      active.pop();
    }
  };
  const applyOutside = (args: readonly Tree[]): Tree => {
    requireServer(declared.name);
    const { leaves, avals, treedef } = bindToDeclaration(declared, args);
    const placed = leaves.map((leaf, i) => {
      const [group] = avals[i]?.placement.groups ?? [];
      return group === undefined ? leaf : lax.federated_unstack(leaf, group.name);
    });
    const result = flatten<Leaf>(apply(unflatten<Value>(treedef, placed) as readonly Tree[]), {
      what: `the result of ${declared.name}`,
    });
    return unflatten<Leaf>(
      result.treedef,
      result.leaves.map(asValue).map((leaf) => (isServer(leaf.aval.placement) ? leaf : lax.federated_stack(leaf))),
    );
  };
  return { name: declared.name, bindArguments: (args) => bindToDeclaration(declared, args), apply, applyOutside };
}

function checkDeclaration(declared: Declaration): void {
  const { name, placements } = declared;
  for (const [group, size] of Object.entries(placements)) {
    if (!Number.isInteger(size) || size < 1) {
      throw new FaxError({
        code: "FAX1303",
        message: `${name}: the group ${group} is declared with ${size} members, and a group has at least 1`,
        source: userLocation(),
        help: "the cardinality is a whole number from 1",
      });
    }
    if (group === "server" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(group)) {
      throw new FaxError({
        code: "FAX1305",
        message: `${name}: ${JSON.stringify(group)} is declared as a group, and cannot be the name of one`,
        source: userLocation(),
        help: "a group's name consists of letters, digits and underscores, and is not server",
      });
    }
  }
  for (const { place } of declaredTypes(declared).leaves) {
    if (place !== "server" && !Object.hasOwn(placements, place)) throw undeclared(name, place, placements);
  }
}

/** FAX1305, with the groups that exist. */
export function undeclared(name: string, group: string, placements: Placements): FaxError {
  const groups = Object.entries(placements).map(([known, size]) => `${known}[${size}]`);
  return new FaxError({
    code: "FAX1305",
    message: `${name}: the program does not declare the group ${group}, its groups are ${groups.join(", ") || "none"}`,
    source: currentBuilder()?.source ?? userLocation(),
    help: `legal here: ${Object.keys(placements)
      .map((known) => JSON.stringify(known))
      .join(", ")}`,
  });
}

function requireServer(name: string): void {
  const ambient = currentBuilder()?.ambient;
  if (ambient === undefined || isServer(ambient)) return;
  throw new FaxError({
    code: "FAX1307",
    message: `${name}: a program is called inside the map of another, and groups inside groups do not exist yet`,
    source: currentBuilder()?.source ?? userLocation(),
    help: "call the program at the server, outside of federatedMap",
  });
}
