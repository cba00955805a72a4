/**
 * Sums of products over labelled axes: what every matrix product and `einsum` are made of. Operands are contracted two at a
 * time, each time by one `dot_general`.
 */
import { lax, range, type Value } from "@fax/compiler";
import { fault, formatShape } from "./fault.ts";
import { permute } from "./manipulation.ts";
import { promote, spread, withElements } from "./operand.ts";

/** An array whose axes have names; a name may occur once. */
interface Labelled {
  readonly value: Value;
  readonly labels: readonly string[];
}

/** `Σ over the labels that are not in output of Π operands`, with the axes in the order of `output`. */
export function contract(
  name: string,
  operands: readonly Value[],
  labels: readonly (readonly string[])[],
  output: readonly string[],
): Value {
  const promoted = promote(name, operands).map((value) => withElements(value));
  const isBool = promoted[0]?.dtype === "bool";
  const numbers = isBool ? promoted.map((value) => lax.convert_element_type(value, "i32")) : promoted;
  const sizes = sizesOf(name, numbers, labels);
  const terms = numbers.map((value, i) => prepare({ value, labels: labels[i] as readonly string[] }, sizes));
  const result = arrange(contractAll(terms, output, sizes), output, sizes);
  return isBool ? lax.convert_element_type(result, "bool") : result;
}

/** The size of each label, or FAX1201 where two operands disagree; a size of 1 is stretched. */
function sizesOf(name: string, values: readonly Value[], labels: readonly (readonly string[])[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [i, value] of values.entries()) {
    for (const [axis, label] of (labels[i] as readonly string[]).entries()) {
      const size = value.shape[axis] as number;
      const known = sizes.get(label) ?? 1;
      if (size !== known && size !== 1 && known !== 1) {
        const shapes = values.map((one) => formatShape(one.shape)).join(" and ");
        throw fault("FAX1201", `${name}: shapes ${shapes} do not fit, sizes ${known} and ${size} meet`, {
          operands: values,
        });
      }
      sizes.set(label, known === 1 ? size : known);
    }
  }
  return sizes;
}

/** Takes diagonals where a label is repeated, and drops axes of size 1 that another operand stretches. */
function prepare(term: Labelled, sizes: ReadonlyMap<string, number>): Labelled {
  let { value, labels } = term;
  const stretched = range(labels.length).filter(
    (axis) => value.shape[axis] === 1 && sizes.get(labels[axis] as string) !== 1,
  );
  if (stretched.length > 0) {
    value = lax.squeeze(value, stretched);
    labels = labels.filter((_, axis) => !stretched.includes(axis));
  }
  for (;;) {
    const second = labels.findIndex((label, axis) => labels.indexOf(label) < axis);
    if (second < 0) return { value, labels };
    const first = labels.indexOf(labels[second] as string);
    value = diagonalOf(value, first, second);
    labels = [...labels.filter((_, axis) => axis !== first && axis !== second), labels[second] as string];
  }
}

/** The diagonal of two axes of one size n, as the last axis: of n·(n+1) elements in rows of n+1, the first column. */
function diagonalOf(value: Value, axis1: number, axis2: number): Value {
  const rest = range(value.ndim).filter((axis) => axis !== axis1 && axis !== axis2);
  const moved = permute(value, [...rest, axis1, axis2]);
  const lead = rest.map((axis) => value.shape[axis] as number);
  const n = value.shape[axis1] as number;
  const flat = lax.reshape(moved, [...lead, n * n]);
  const none = lead.map(() => [0, 0, 0] as const);
  const zero = value.dtype === "bool" ? lax.full([], 0, "bool") : 0;
  const rows = lax.reshape(lax.pad(flat, zero, [...none, [0, n, 0]]), [...lead, n, n + 1]);
  const column = lax.slice(rows, [...lead.map(() => 0), 0, 0], [...lead, n, 1]);
  return lax.reshape(column, [...lead, n]);
}

/** The diagonal of the matrices in two axes, as the last axis. Positive offsets lie above the main diagonal. */
export function diagonalAt(value: Value, offset: number, axis1: number, axis2: number): Value {
  const [rows, columns] = [value.shape[axis1] as number, value.shape[axis2] as number];
  const [top, left] = [Math.max(-offset, 0), Math.max(offset, 0)];
  const length = Math.max(0, Math.min(rows - top, columns - left));
  const bounds = (axis: number): [number, number] => {
    if (axis === axis1) return [Math.min(top, rows), Math.min(top, rows) + length];
    if (axis === axis2) return [Math.min(left, columns), Math.min(left, columns) + length];
    return [0, value.shape[axis] as number];
  };
  const limits = range(value.ndim).map(bounds);
  const square = lax.slice(
    value,
    limits.map(([start]) => start),
    limits.map(([, limit]) => limit),
  );
  return diagonalOf(square, axis1, axis2);
}

/** Contracts pair after pair, the cheapest product first. */
function contractAll(
  terms: readonly Labelled[],
  output: readonly string[],
  sizes: ReadonlyMap<string, number>,
): Labelled {
  let rest = terms.map((term, i) =>
    sumOut(
      term,
      neededBy(
        terms.filter((_, j) => j !== i),
        output,
      ),
    ),
  );
  while (rest.length > 1) {
    const [i, j] = rest.length === 2 ? [0, 1] : cheapestPair(rest, sizes);
    const others = rest.filter((_, k) => k !== i && k !== j);
    const pair = contractPair(rest[i] as Labelled, rest[j] as Labelled, neededBy(others, output));
    rest = [...others, pair];
  }
  return rest[0] as Labelled;
}

function neededBy(others: readonly Labelled[], output: readonly string[]): ReadonlySet<string> {
  return new Set([...output, ...others.flatMap((term) => term.labels)]);
}

function sumOut({ value, labels }: Labelled, needed: ReadonlySet<string>): Labelled {
  const axes = range(labels.length).filter((axis) => !needed.has(labels[axis] as string));
  if (axes.length === 0) return { value, labels };
  return { value: lax.reduce_sum(value, axes), labels: labels.filter((_, axis) => !axes.includes(axis)) };
}

/** The pair whose product runs over the fewest elements. */
function cheapestPair(terms: readonly Labelled[], sizes: ReadonlyMap<string, number>): [number, number] {
  let best: [number, number] = [0, 1];
  let least = Infinity;
  for (let i = 0; i < terms.length; i++) {
    for (let j = i + 1; j < terms.length; j++) {
      const labels = new Set([...(terms[i] as Labelled).labels, ...(terms[j] as Labelled).labels]);
      const cost = [...labels].reduce((product, label) => product * (sizes.get(label) as number), 1);
      if (cost < least) [best, least] = [[i, j], cost];
    }
  }
  return best;
}

/** One product: shared labels are summed unless needed later, and else stay as batch dimensions. */
function contractPair(lhs: Labelled, rhs: Labelled, needed: ReadonlySet<string>): Labelled {
  const shared = lhs.labels.filter((label) => rhs.labels.includes(label));
  const summed = shared.filter((label) => !needed.has(label));
  const batch = shared.filter((label) => needed.has(label));
  const free = [...lhs.labels, ...rhs.labels].filter((label) => !shared.includes(label));
  const labels = [...batch, ...free];
  if (summed.length === 0) return { value: product(lhs, rhs, labels), labels };
  const axesOf = (term: Labelled, chosen: readonly string[]): number[] =>
    chosen.map((label) => term.labels.indexOf(label));
  const value = lax.dot_general(lhs.value, rhs.value, [
    [axesOf(lhs, summed), axesOf(rhs, summed)],
    [axesOf(lhs, batch), axesOf(rhs, batch)],
  ]);
  return { value, labels };
}

/** The elementwise product over the union of the labels. */
function product(lhs: Labelled, rhs: Labelled, labels: readonly string[]): Value {
  const shape = labels.map((label) => {
    const holder = lhs.labels.includes(label) ? lhs : rhs;
    return holder.value.shape[holder.labels.indexOf(label)] as number;
  });
  const expand = ({ value, labels: own }: Labelled): Value => {
    if (own.length === labels.length && own.every((label, axis) => label === labels[axis])) return value;
    const order = range(own.length).sort((a, b) => labels.indexOf(own[a] as string) - labels.indexOf(own[b] as string));
    return lax.broadcast_in_dim(
      permute(value, order),
      shape,
      order.map((axis) => labels.indexOf(own[axis] as string)),
    );
  };
  return lax.mul(expand(lhs), expand(rhs));
}

/** Puts the axes into the order of the output; labels that were dropped as stretched are spread again. */
function arrange({ value, labels }: Labelled, output: readonly string[], sizes: ReadonlyMap<string, number>): Value {
  const present = output.filter((label) => labels.includes(label));
  const ordered = permute(
    value,
    present.map((label) => labels.indexOf(label)),
  );
  if (present.length === output.length) return ordered;
  const kept = lax.expand_dims(
    ordered,
    range(output.length).filter((axis) => !labels.includes(output[axis] as string)),
  );
  return spread(
    kept,
    output.map((label) => sizes.get(label) as number),
  );
}
