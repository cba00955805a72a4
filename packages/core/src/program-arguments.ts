/**
 * What a caller passes to a program, against what the program declares. Values at a group come as arrays whose leading
 * axis is the group, or as lists with one entry per member.
 */
import {
  type Aval,
  avalOf,
  type Code,
  constant,
  currentBuilder,
  type DType,
  FaxError,
  flatten,
  formatAval,
  formatTreeDef,
  isFloat,
  isServer,
  lax,
  NDArray,
  placementOf,
  sameShape,
  type Shape,
  type TreeDef,
  userLocation,
  type Value,
} from "@fax/compiler";
import { arrayFromNested, isTypedArray, type NestedList } from "./np/from-host.ts";
import type { BoundArguments } from "./traceable.ts";
import { ArraySpec } from "./types.ts";

export type Placements = Readonly<Record<string, number>>;

export interface Declaration {
  readonly name: string;
  readonly placements: Placements;
  readonly args: readonly unknown[];
}

const isSpec = (value: unknown): boolean => value instanceof ArraySpec;

/** The array types of a declaration in order, and their structure. */
export function declaredTypes({ name, args }: Pick<Declaration, "name" | "args">): {
  leaves: ArraySpec<string>[];
  treedef: TreeDef;
} {
  return flatten<ArraySpec<string>>(args, { isLeaf: isSpec, what: `${name}: the declaration args` });
}

/** The type of a declared argument inside the program. */
export function declaredAval(spec: ArraySpec<string>, placements: Placements): Aval {
  const size = cardinality(spec, placements);
  const placement = placementOf(...(size === null ? [] : [{ name: spec.place, size }]));
  return avalOf(spec.dtype, spec.shape, { placement });
}

/** Arguments in the layout of the outside, with the types that they have inside. */
export function bindToDeclaration(declaration: Declaration, args: readonly unknown[]): BoundArguments {
  const { leaves: specs, treedef } = declaredTypes(declaration);
  const binder = new Binder(declaration);
  const leaves = binder.bindAll(args);
  return { leaves, avals: specs.map((spec) => declaredAval(spec, declaration.placements)), treedef };
}

/** How many members hold a value of this type; null at the server. */
function cardinality(spec: ArraySpec<string>, placements: Placements): number | null {
  return spec.place === "server" ? null : (placements[spec.place] ?? null);
}

class Binder {
  readonly #declaration: Declaration;
  readonly #leaves: Value[] = [];

  constructor(declaration: Declaration) {
    this.#declaration = declaration;
  }

  bindAll(args: readonly unknown[]): Value[] {
    const { args: specs } = this.#declaration;
    if (args.length !== specs.length) {
      throw this.#fault("FAX1004", `${countOf(args.length)} given, and the program declares ${specs.length}`);
    }
    specs.forEach((spec, i) => {
      this.#visit(spec, args[i], `argument ${i}`);
    });
    return this.#leaves;
  }

  #visit(spec: unknown, given: unknown, path: string): void {
    if (spec instanceof ArraySpec) {
      this.#leaves.push(this.#leaf(spec, given, path));
    } else if (spec === null || spec === undefined) {
      if (given !== null && given !== undefined) throw this.#structure(spec, given, path);
    } else if (Array.isArray(spec)) {
      if (!Array.isArray(given) || given.length !== spec.length) throw this.#structure(spec, given, path);
      spec.forEach((child, i) => {
        this.#visit(child, given[i], `${path}[${i}]`);
      });
    } else {
      this.#visitObject(spec as Readonly<Record<string, unknown>>, given, path);
    }
  }

  #visitObject(spec: Readonly<Record<string, unknown>>, given: unknown, path: string): void {
    const keys = Object.keys(spec).sort();
    if (Array.isArray(given) && this.#isPerMember(spec, given)) {
      for (const key of keys) {
        this.#visit(
          spec[key],
          given.map((member: Readonly<Record<string, unknown>>) => member[key]),
          `${path}.${key}`,
        );
      }
      return;
    }
    if (!isRecord(given) || !sameKeys(keys, given)) throw this.#structure(spec, given, path);
    for (const key of keys) this.#visit(spec[key], given[key], `${path}.${key}`);
  }

  /** Whether `given` is a list of trees, one for each member of the one group that all of `spec` lies at. */
  #isPerMember(spec: Readonly<Record<string, unknown>>, given: readonly unknown[]): boolean {
    const sizes = flatten<ArraySpec<string>>(spec, { isLeaf: isSpec }).leaves.map((leaf) =>
      cardinality(leaf, this.#declaration.placements),
    );
    const keys = Object.keys(spec).sort();
    return (
      sizes.every((size) => size === given.length) && given.every((tree) => isRecord(tree) && sameKeys(keys, tree))
    );
  }

  #leaf(spec: ArraySpec<string>, given: unknown, path: string): Value {
    const size = cardinality(spec, this.#declaration.placements);
    if (given instanceof NDArray && !isServer(given.aval.placement)) throw this.#placedArgument(given, path);
    const value = this.#convert(spec.dtype, given, size !== null, path);
    if (value.dtype !== spec.dtype) {
      throw this.#fault("FAX1102", `${path} is ${typeOf(value)}, and the program declares ${describe(spec, size)}`, {
        help: `np.astype(x, "${spec.dtype}") converts it`,
      });
    }
    const expected = size === null ? spec.shape : [size, ...spec.shape];
    if (!sameShape(value.shape, expected)) throw this.#wrongShape(spec, size, value, expected, path);
    return value;
  }

  #convert(dtype: DType, given: unknown, perMember: boolean, path: string): Value {
    if (given instanceof NDArray) return asDeclared(given, dtype);
    if (typeof given === "number" || typeof given === "boolean") {
      this.#requireElements(dtype, given, path);
      return constant(given, dtype);
    }
    const what = `${this.#declaration.name}: ${path}`;
    if (isTypedArray(given)) return arrayFromNested(what, given);
    if (!Array.isArray(given)) {
      throw this.#fault("FAX1003", `${path} is ${kindOf(given)}, and the program declares an array`);
    }
    if (perMember && given.some((entry) => entry instanceof NDArray)) {
      return this.#stack(
        given.map((entry, i) => this.#convert(dtype, entry, false, `${path}[${i}]`)),
        path,
      );
    }
    const array = arrayFromNested(what, given as NestedList);
    if (array.dtype === dtype) return array;
    this.#requireElements(dtype, given, path);
    return arrayFromNested(what, given as NestedList, { dtype });
  }

  #stack(members: readonly Value[], path: string): Value {
    const [first] = members;
    const other = members.findIndex(
      (member) => first && !(sameShape(member.shape, first.shape) && member.dtype === first.dtype),
    );
    if (first && other > 0) {
      const types = `${typeOf(first)} for member 0, and ${typeOf(members[other] as Value)} for member ${other}`;
      throw this.#fault("FAX1201", `${path} has entries of different types, ${types}`);
    }
    return lax.concatenate(
      members.map((member) =>
        lax.broadcast_in_dim(
          member,
          [1, ...member.shape],
          member.shape.map((_, i) => i + 1),
        ),
      ),
      0,
    );
  }

  /** Numbers of a list take the declared dtype if it has them. */
  #requireElements(dtype: DType, given: unknown, path: string): void {
    if (Array.isArray(given)) {
      for (const entry of given) this.#requireElements(dtype, entry, path);
      return;
    }
    if (typeof given === "boolean" ? dtype === "bool" : isElement(dtype, given)) return;
    const found =
      typeof given === "number" || typeof given === "boolean" ? `the ${typeof given} ${given}` : kindOf(given);
    throw this.#fault("FAX1102", `${path} holds ${found}, and the program declares the dtype ${dtype}`, {
      help: `np.array(values, { dtype: "${dtype}" }) converts`,
    });
  }

  #wrongShape(spec: ArraySpec<string>, size: number | null, value: Value, expected: Shape, path: string): FaxError {
    const declared = `the program declares ${describe(spec, size)}`;
    if (size !== null && value.ndim === expected.length && sameShape(value.shape.slice(1), spec.shape)) {
      return this.#fault(
        "FAX1303",
        `${path} has ${value.shape[0]} entries along its leading axis, and the group ${spec.place} has ${size} members`,
        {
          help: `pass ${size} entries, or declare the cardinality: withPlacements({ ${spec.place}: ${value.shape[0]} })`,
        },
      );
    }
    return this.#fault("FAX1201", `${path} is ${typeOf(value)}, and ${declared}`, {
      help:
        size === null
          ? `pass ${spec.dtype}[${expected.join(",")}]`
          : `pass ${spec.dtype}[${expected.join(",")}], the group's axis first, or a list of ${size} entries ${spec.dtype}[${spec.shape.join(",")}]`,
    });
  }

  #placedArgument(given: NDArray<string>, path: string): FaxError {
    return this.#fault(
      "FAX1302",
      `${path} is ${formatAval(given.aval, true)}, and a program takes its arguments at the server, a group's values as one array`,
      { help: "call an ordinary function that uses federatedMap, or bring the value to the server first" },
    );
  }

  #structure(spec: unknown, given: unknown, path: string): FaxError {
    const declared = formatTreeDef(flatten(spec, { isLeaf: isSpec }).treedef);
    return this.#fault("FAX1004", `${path} is ${treeOf(given)}, and the program declares the structure ${declared}`);
  }

  #fault(code: Code, message: string, { help }: { help?: string } = {}): FaxError {
    return new FaxError({
      code,
      message: `${this.#declaration.name}: ${message}`,
      source: currentBuilder()?.source ?? userLocation(),
      ...(help === undefined ? {} : { help }),
    });
  }
}

/** A weakly typed value (a number that is traced) takes the declared dtype; every other keeps its own. */
function asDeclared(value: Value, dtype: DType): Value {
  return value.aval.weak && (isFloat(dtype) || value.dtype === dtype) ? lax.convert_element_type(value, dtype) : value;
}

function isElement(dtype: DType, value: unknown): boolean {
  if (typeof value !== "number") return false;
  switch (dtype) {
    case "f32":
    case "f16":
      return true;
    case "i32":
      return (value | 0) === value;
    case "u32":
      return value >>> 0 === value;
    case "bool":
      return value === 0 || value === 1;
    default:
      return dtype satisfies never;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof NDArray);
}

function sameKeys(sorted: readonly string[], tree: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(tree).sort();
  return keys.length === sorted.length && keys.every((key, i) => key === sorted[i]);
}

const countOf = (count: number): string => (count === 1 ? "1 argument is" : `${count} arguments are`);

const typeOf = (value: Value): string => `${value.dtype}[${value.shape.join(",")}]`;

/** `f32[2]@clients[3]` */
function describe(spec: ArraySpec<string>, size: number | null): string {
  const place = size === null ? "@server" : `@${spec.place}[${size}]`;
  return `${spec.dtype}[${spec.shape.join(",")}]${place}`;
}

function treeOf(given: unknown): string {
  if (given instanceof NDArray) return `an array ${typeOf(given)}`;
  if (Array.isArray(given)) return `a list of ${given.length}`;
  if (isRecord(given)) return `an object with the keys ${Object.keys(given).sort().join(", ") || "(none)"}`;
  return kindOf(given);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "object") return `a ${value.constructor?.name ?? "special object"}`;
  return `a ${typeof value}`;
}
