/** Loops in drawn programs: a body is drawn like a program, on the values of its first iteration. */
import { type Aval, hostArray, type PlacedValue, samePlacement, type Shape, sizeOf } from "@fax/compiler";
import { memberOf } from "../support/values.ts";
import type { Known } from "./exactness.ts";
import { type Entry, Growth, sameType } from "./growth.ts";

/** Adds a scan over entries of the growth, if its body keeps the types of its carries. */
export function addLoop(growth: Growth): void {
  const { random, options } = growth;
  if (growth.depth > 1) return;
  const first = growth.find(() => true);
  if (!first) return;
  const { placement } = first.variable.aval;
  const here = (aval: Aval): boolean => samePlacement(aval.placement, placement);
  const rows = growth.find((aval) => here(aval) && aval.shape.length > 0);
  const withRows = rows !== undefined && random.chance(0.7);
  const length = withRows ? (rows.variable.aval.shape[0] as number) : random.integer(1, 4);
  const xs = withRows ? [rows] : [];
  if (withRows && random.chance(0.3)) {
    const more = growth.find((aval) => here(aval) && aval.shape[0] === length);
    if (more) xs.push(more);
  }
  const carry = pickSome(growth, here, random.integer(withRows ? 0 : 1, 3));
  const consts = pickSome(growth, here, random.integer(0, 2));
  const body = new Growth(
    random,
    growth.rules,
    { ...options, equations: random.integer(1, 4), federated: false },
    growth.depth + 1,
  );
  consts.forEach((entry) => body.addInput(entry.variable.aval, entry));
  // A carry is another number in each iteration, and then it may be no exact one.
  carry.forEach((entry) => body.addInput(entry.variable.aval, { ...entry, exact: false }));
  xs.forEach((entry) => body.addInput(rowAval(entry.variable.aval), firstRow(entry)));
  body.grow();
  const carryOut = carry.map(({ variable: { aval } }, i) => {
    const fresh = body.entries.slice(body.inputs.length).filter((entry) => sameType(entry.variable.aval, aval));
    return fresh.length > 0 ? random.pick(fresh) : (body.inputs[consts.length + i] as Entry);
  });
  const ys = body.entries
    .slice(body.inputs.length)
    .filter(() => random.chance(0.4))
    .slice(0, 2);
  if (random.chance(0.15)) ys.push(random.pick(body.inputs));
  if (carryOut.length + ys.length === 0) return;
  growth.tryAdd("scan", [...consts, ...carry, ...xs], {
    jaxpr: body.finish([...carryOut, ...ys]),
    length,
    reverse: random.chance(0.3),
    num_consts: consts.length,
    num_carry: carry.length,
  });
}

function pickSome(growth: Growth, fits: (aval: Aval) => boolean, count: number): Entry[] {
  const chosen = Array.from({ length: count }, () => growth.find(fits));
  return chosen.filter((entry): entry is Entry => entry !== undefined);
}

function rowAval(aval: Aval): Aval {
  return { ...aval, shape: aval.shape.slice(1) };
}

function firstRow({ value, exact }: Known): Known {
  const count = value.members.length;
  const members = Array.from({ length: count }, (_, m) => {
    const { dtype, shape, data } = memberOf(value, m);
    const rest: Shape = shape.slice(1);
    return hostArray(dtype, rest, data.slice(0, sizeOf(rest)));
  });
  const row: PlacedValue = { placement: value.placement, members };
  return { value: row, exact };
}
