/** Properties of axes that are made real: vmap against a loop, groups against an axis. */
import {
  type Batched,
  batchInline,
  erasePlacements,
  fromMembers,
  type Jaxpr,
  type PlacedValue,
  range,
  server,
  toMembers,
  trace,
  type Value,
} from "@fax/compiler";
import { type Allowance, nothing } from "./compare.ts";
import { type Program, run } from "./programs.ts";
import { atServer, difference, firstOf, type Property, subsets, textFault } from "./properties.ts";
import { mapMembers, memberOf, sliced, stacked } from "./values.ts";

const batchSize = 2;

/**
 * vmap is a loop: for every subset of the inputs (at most `limit` of them), mapped along the first axis, the last, and one
 * between.
 */
export function vmapIsLoop(allow: Allowance = nothing, limit = 16): Property {
  return (program) =>
    firstOf(subsets(program.jaxpr.invars.length, limit), (mapped, k) =>
      firstOf(["first", "last", "mixed"] as const, (where) => {
        const axes = program.jaxpr.invars.map(({ aval }, i) => {
          const last = aval.shape.length;
          return !mapped[i] ? null : where === "first" ? 0 : where === "last" ? last : (i + k) % (last + 1);
        });
        const fault = vmapFault(program, axes, allow);
        return fault === null ? null : `mapped along ${axes.map((axis) => axis ?? "none").join(", ")}: ${fault}`;
      }),
    );
}

/** `jaxpr` mapped along an axis of each input, and the axis of each output that is mapped. */
export function batchedAlong(jaxpr: Jaxpr, axes: readonly (number | null)[], size: number) {
  let dims: (number | null)[] = [];
  const avals = jaxpr.invars.map(({ aval }, i) => {
    const axis = axes[i] ?? null;
    return axis === null ? aval : { ...aval, shape: [...aval.shape.slice(0, axis), size, ...aval.shape.slice(axis)] };
  });
  const { jaxpr: mapped } = trace(
    avals,
    (args) => {
      const inputs = args.map((value: Value, i): Batched => ({ value, dim: axes[i] ?? null }));
      const outputs = batchInline(jaxpr, inputs, size);
      dims = outputs.map((output) => output.dim);
      return outputs.map((output) => output.value);
    },
    { ambient: server, source: null },
  );
  return { mapped, dims };
}

function vmapFault(program: Program, axes: readonly (number | null)[], allow: Allowance): string | null {
  const { jaxpr, name } = program;
  const { mapped, dims } = batchedAlong(jaxpr, axes, batchSize);
  const text = textFault(mapped, `vmap of ${name}`);
  if (text !== null) return text;
  const drawn = jaxpr.invars.map((_, input) => range(batchSize).map((index) => program.draw(input, index)));
  const inputs = drawn.map((values, i) => {
    const axis = axes[i] ?? null;
    const [first] = values as [PlacedValue];
    if (axis === null) return first;
    const members = first.members.map((_, m) =>
      stacked(
        values.map((value) => memberOf(value, m)),
        axis,
      ),
    );
    return { placement: first.placement, members };
  });
  const results = run(mapped, inputs, `vmap of ${name}`);
  return firstOf(range(batchSize), (index) => {
    const each = drawn.map((values, i) => values[axes[i] === null ? 0 : index] as PlacedValue);
    const expected = run(jaxpr, each, name);
    const actual = results.map((result, i) => {
      const dim = dims[i] ?? null;
      return dim === null ? result : mapMembers(result, (array) => sliced(array, dim, index));
    });
    const fault = difference(actual, expected, jaxpr, allow(jaxpr, each, expected));
    return fault === null ? null : `at index ${index}, ${fault}`;
  });
}

/** With its groups as leading axes a program gives what it gives member by member. */
export function erasesToItself(allow: Allowance = nothing): Property {
  return (program) => {
    const { jaxpr, name } = program;
    const erased = erasePlacements(jaxpr);
    const text = textFault(erased, `${name}, erased`);
    if (text !== null) return text;
    const placed = [...erased.invars, ...erased.eqns.flatMap((eqn) => eqn.outputs)].some(
      ({ aval }) => aval.placement.groups.length > 0,
    );
    if (placed) return `${name}, erased, still has a value at a group`;
    const inputs = jaxpr.invars.map((_, i) => program.draw(i, 0));
    const flat = inputs.map((value, i) => {
      const { aval } = jaxpr.invars[i] as Jaxpr["invars"][number];
      const array = fromMembers(value, aval);
      return atServer([{ ...array, shape: erased.invars[i]?.aval.shape ?? [] }]);
    });
    const expected = run(jaxpr, inputs, name);
    const actual = run(erased, flat, `${name}, erased`);
    const members = jaxpr.outvars.map(({ aval }, i) => toMembers(memberOf(actual[i] as PlacedValue, 0), aval));
    return difference(members, expected, jaxpr, allow(jaxpr, inputs, expected));
  };
}
