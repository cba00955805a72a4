/**
 * How far two right evaluations of one program may lie apart. Numbers on a coarse grid are computed exactly, whatever the
 * order; about the others the answer is measured: the program is run again with a little noise after each operation that
 * rounds, and what the noise grows to is what rounding may grow to.
 */
import {
  type Atom,
  type Eqn,
  evaluate,
  freshVar,
  type HostArray,
  hostArray,
  isFloat,
  type Jaxpr,
  jaxprOf,
  memberCount,
  type PlacedValue,
  primitiveOf,
  range,
  roundToF16,
  server,
  type Var,
} from "@fax/compiler";
import type { Tolerance } from "../support/compare.ts";
import { hostArrayOf, mapMembers, memberOf } from "../support/values.ts";
import { Random } from "../support/random.ts";

/** A value, and whether it is known without any rounding. */
export interface Known {
  readonly value: PlacedValue;
  readonly exact: boolean;
}

/** Float operations whose result on grid numbers is on the grid, or is left out of `exact` by its values. */
const roundless = new Set(
  (
    "neg abs sign floor ceil round add sub mul max min rem select convert_element_type stop_gradient " +
    "reduce_sum reduce_prod reduce_max reduce_min dot_general gather scatter_add dynamic_slice dynamic_update_slice " +
    "broadcast_in_dim reshape transpose squeeze expand_dims slice pad rev concatenate iota integer_pow " +
    "federated_sum federated_mean federated_max federated_min federated_broadcast federated_stack federated_unstack"
  ).split(" "),
);

/** Results of these are their operands' elements, in other places. */
const moving = new Set(
  (
    "neg abs max min select stop_gradient gather dynamic_slice dynamic_update_slice broadcast_in_dim reshape transpose " +
    "squeeze expand_dims slice pad rev concatenate reduce_max reduce_min federated_max federated_min " +
    "federated_broadcast federated_stack federated_unstack"
  ).split(" "),
);

/** Sums, whose terms may be added in any order. */
const summing = new Set("reduce_sum reduce_prod dot_general scatter_add federated_sum federated_mean".split(" "));

/** Multiples of 2⁻¹⁰ below 2¹²: sums and products of few of them need no rounding in f32. In f16, 2⁻⁵ and 2⁴. */
export function onGrid(value: PlacedValue): boolean {
  return value.members.every(({ dtype, data }) => {
    if (!isFloat(dtype)) return true;
    const [unit, limit] = dtype === "f16" ? [2 ** 5, 2 ** 4] : [2 ** 10, 2 ** 12];
    return data.every((x) => Number.isInteger(x * unit) && Math.abs(x) < limit);
  });
}

/** The results of one equation on known operands. */
export function evaluateKnown(eqn: Eqn, inputs: readonly Known[]): Known[] {
  const results = evaluateEqn(
    eqn,
    inputs.map((input) => input.value),
  );
  const exact = inputs.every((input) => input.exact);
  return results.map((value) => {
    const floats = value.members.some(({ dtype }) => isFloat(dtype));
    if (!floats) return { value, exact: true };
    return { value, exact: exact && roundless.has(eqn.primitive) && onGrid(value) };
  });
}

function evaluateEqn(eqn: Eqn, inputs: readonly PlacedValue[]): PlacedValue[] {
  const invars = eqn.inputs.map(({ aval }) => freshVar(aval));
  // Literals keep their places: an elementwise primitive spreads them.
  const atoms = eqn.inputs.map((atom, i): Atom => (atom.kind === "literal" ? atom : (invars[i] as Var)));
  const given = invars.filter((_, i) => eqn.inputs[i]?.kind === "var");
  const values = inputs.filter((_, i) => eqn.inputs[i]?.kind === "var");
  return evaluate(
    jaxprOf({ constvars: [], invars: given, eqns: [{ ...eqn, inputs: atoms }], outvars: eqn.outputs }),
    values,
  );
}

/** Distances that rounding alone explains, for each output and member of the program on these inputs. */
export function tolerances(
  jaxpr: Jaxpr,
  inputs: readonly PlacedValue[],
  expected: readonly PlacedValue[],
  trials = 3,
): (output: number, member: number) => Tolerance {
  const start = inputs.map((value): Known => ({ value, exact: onGrid(value) }));
  const runs = range(trials).map((trial) => new NoisyRun(new Random(977 + trial)).evaluate(jaxpr, start));
  return (output, member) => {
    const reference = memberOf(expected[output] as PlacedValue, member);
    const noisy = runs.map((run) => run[output] as Known);
    if (noisy.every(({ exact }) => exact)) return () => tiny;
    const unit = reference.dtype === "f16" ? 2 ** -10 : 2 ** -22;
    const scale = largestOf(reference);
    return (value, position) => {
      const spread = noisy.map((run) => Math.abs((memberOf(run.value, member).data[position] as number) - value));
      const largest = Math.max(...spread.filter(Number.isFinite), 0);
      return safety * largest + unit * (Math.abs(value) + 0.05 * scale) + tiny;
    };
  };
}

/** The largest magnitude of what is finite. */
function largestOf({ data }: HostArray): number {
  let largest = 0;
  for (const x of data) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return largest;
}

/** What separates zeros of either sign, and subnormals that a device flushes. */
const tiny = 1.2e-38;
/** The most that a few runs with noise must be enlarged by to bound the next. */
const safety = 16;

/** What the errors of the additions in a sum are relative to: the terms' magnitudes, times the root of their number. */
function sumScales(eqn: Eqn, operands: readonly Known[]): PlacedValue[] {
  const magnitudes = operands.map(({ value, exact }): Known => ({
    value: mapMembers(value, (array) =>
      isFloat(array.dtype) ? hostArray(array.dtype, array.shape, array.data.map(Math.abs)) : array,
    ),
    exact,
  }));
  const most = Math.max(...operands.map(({ value }) => value.members.length * (value.members[0]?.data.length ?? 0)));
  return evaluateKnown(eqn, magnitudes).map(({ value }) => {
    const results = value.members.length * Math.max(1, memberOf(value, 0).data.length);
    const root = Math.sqrt(Math.max(1, most / results));
    // A mean divides in the end, which devices do to a few units in the last place.
    const units = eqn.primitive === "federated_mean" ? root + 5 : root;
    return mapMembers(value, (array) => ({
      ...array,
      data: Float32Array.from(array.data, (x) => Math.abs(x) * units),
    }));
  });
}

class NoisyRun {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  evaluate(jaxpr: Jaxpr, inputs: readonly Known[]): Known[] {
    const env = new Map<Var, Known>(jaxpr.invars.map((variable, i) => [variable, inputs[i] as Known]));
    const read = (atom: Atom): Known => {
      if (atom.kind === "var") return env.get(atom) as Known;
      const { dtype } = atom.aval;
      const array = hostArrayOf(dtype, [], [atom.value]);
      const value = { placement: server, members: [array] };
      return { value, exact: onGrid(value) };
    };
    for (const eqn of jaxpr.eqns) {
      const operands = eqn.inputs.map(read);
      const results = this.#equation(eqn, operands);
      eqn.outputs.forEach((variable, i) => env.set(variable, results[i] as Known));
    }
    return jaxpr.outvars.map(read);
  }

  #equation(eqn: Eqn, operands: readonly Known[]): Known[] {
    const primitive = primitiveOf(eqn.primitive);
    if (primitive.kind !== "control") {
      const scales = summing.has(eqn.primitive) ? sumScales(eqn, operands) : null;
      return evaluateKnown(eqn, operands).map(({ value, exact }, i) =>
        exact || moving.has(eqn.primitive)
          ? { value, exact }
          : { value: this.#noisy(value, roundless.has(eqn.primitive), scales?.[i]), exact },
      );
    }
    const results = primitive.impl(
      operands.map(({ value }) => value),
      eqn.params,
      (body, values) =>
        this.evaluate(
          body,
          values.map((value) => ({ value, exact: onGrid(value) })),
        ).map(({ value }) => value),
    );
    return results.map((value, i) => {
      const output = eqn.outputs[i] as Var;
      const count = memberCount(output.aval.placement);
      const members = range(count).map((m) => memberOf(value, m));
      const exact = !isFloat(output.aval.dtype);
      return { value: { placement: output.aval.placement, members }, exact };
    });
  }

  /** Each number moved by about the error of its operation: half a unit for arithmetic, a few for functions. */
  #noisy(value: PlacedValue, arithmetic: boolean, scales?: PlacedValue): PlacedValue {
    const members = value.members.map((array, member) => {
      if (!isFloat(array.dtype)) return array;
      const unit = array.dtype === "f16" ? 2 ** -11 : 2 ** -24;
      const scale = largestOf(array);
      const round = array.dtype === "f16" ? roundToF16 : Math.fround;
      const terms = scales && memberOf(scales, member);
      const data = Float32Array.from(array.data, (x, i) => {
        const size = terms ? (terms.data[i] as number) : arithmetic ? Math.abs(x) : 4 * Math.abs(x) + 0.1 * scale;
        return round(x + unit * size * this.#random.between(-1, 1));
      });
      return hostArray(array.dtype, array.shape, data);
    });
    return { placement: value.placement, members };
  }
}
