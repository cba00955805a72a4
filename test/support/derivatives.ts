/** Properties of derivatives: against finite differences, between the two modes, and as programs of their own. */
import {
  freshVar,
  isFloat,
  type Jaxpr,
  jaxprOf,
  jvpJaxpr,
  linearizeJaxpr,
  optimize,
  type PlacedValue,
  transposeJaxpr,
} from "@fax/compiler";
import { relative, valueDifference } from "./compare.ts";
import { inputsOf, type Program, run, wellFormed } from "./programs.ts";
import { difference, firstOf, floatFlags, type Property, textFault } from "./properties.ts";
import { Random, seedOf } from "./random.ts";
import { combined, drawDirection, innerProduct, memberOf } from "./values.ts";

/** A program with a tangent for each of its float inputs. */
interface Pushed {
  readonly jaxpr: Jaxpr;
  readonly inputs: readonly PlacedValue[];
  readonly nonzero: readonly boolean[];
  /** Per input, null where there is none. */
  readonly tangents: readonly (PlacedValue | null)[];
  readonly outputs: readonly PlacedValue[];
  /** Per float output, as pushed by the jvp rules. */
  readonly pushed: readonly PlacedValue[];
  readonly floatOutputs: readonly number[];
}

function push(program: Program, nonzero: readonly boolean[]): Pushed {
  const { jaxpr, name } = program;
  const floatOutputs = jaxpr.outvars.flatMap(({ aval }, i) => (isFloat(aval.dtype) ? [i] : []));
  const forced = jaxpr.outvars.map(({ aval }) => isFloat(aval.dtype));
  const derived = wellFormed(jvpJaxpr(jaxpr, nonzero, forced).jaxpr, `jvp of ${name}`);
  const inputs = inputsOf(program);
  const random = new Random(seedOf(`${name} tangents`));
  const tangents = jaxpr.invars.map(({ aval }, i) => (nonzero[i] ? drawDirection(aval, random) : null));
  const results = run(derived, [...inputs, ...present(tangents)], `jvp of ${name}`);
  const count = jaxpr.outvars.length;
  return {
    jaxpr,
    inputs,
    nonzero,
    tangents,
    outputs: results.slice(0, count),
    pushed: results.slice(count),
    floatOutputs,
  };
}

function present<T>(list: readonly (T | null)[]): T[] {
  return list.filter((item): item is T => item !== null);
}

/** jvp gives the outputs themselves, and its own text is sound. */
export const jvpKeepsOutputs: Property = (program) => {
  const nonzero = floatFlags(program.jaxpr);
  if (!nonzero.includes(true)) return null;
  const { outputs } = push(program, nonzero);
  const expected = run(program.jaxpr, inputsOf(program), program.name);
  return (
    difference(outputs, expected, program.jaxpr) ??
    textFault(jvpJaxpr(program.jaxpr, nonzero).jaxpr, `jvp of ${program.name}`)
  );
};

const steps = [1 / 16, 1 / 64, 1 / 256, 1 / 1024];

/**
 * Tangents are central differences, of fourth order. Numbers are f32: a short step drowns in rounding and a long one
 * leaves the Taylor series, so the best of several steps counts, for each element; a wrong rule fits at none.
 */
export function jvpIsFiniteDifference(tolerance: number): Property {
  return (program) => {
    const nonzero = floatFlags(program.jaxpr);
    if (!nonzero.includes(true)) return null;
    const { jaxpr, inputs, tangents, pushed, outputs, floatOutputs } = push(program, nonzero);
    const at = (distance: number): PlacedValue[] =>
      run(
        jaxpr,
        inputs.map((input, i) => {
          const tangent = tangents[i];
          return tangent ? combined(input, tangent, (x, t) => x + distance * t) : input;
        }),
        program.name,
      );
    const estimates = steps.map((h) => {
      const [far, near, nearBelow, farBelow] = [at(2 * h), at(h), at(-h), at(-2 * h)];
      return (output: number, member: number, k: number): number => {
        const read = (values: readonly PlacedValue[]): number =>
          memberOf(values[output] as PlacedValue, member).data[k] as number;
        return (8 * (read(near) - read(nearBelow)) - (read(far) - read(farBelow))) / (12 * h);
      };
    });
    return firstOf(floatOutputs, (output, position) => {
      const tangent = pushed[position] as PlacedValue;
      return firstOf((outputs[output] as PlacedValue).members, (values, member) => {
        const size = Math.max(...values.data.map(Math.abs).filter(Number.isFinite), 0);
        const found = memberOf(tangent, member).data;
        return firstOf([...values.data.keys()], (k) => {
          // An infinite value has no differences: that of a maximum over nothing.
          if (!Number.isFinite(values.data[k])) return null;
          const expected = estimates.map((estimate) => estimate(output, member, k));
          const value = found[k] as number;
          const fits = expected.some((e) => Math.abs(e - value) <= tolerance * (1 + size + Math.abs(value)));
          return fits
            ? null
            : `the tangent of result ${output} at element ${k} is ${value}, finite differences give ${expected.join(", ")}`;
        });
      });
    });
  };
}

/** The tangent for all inputs is the sum of those for each alone: symbolic zeros change nothing. */
export function tangentsAdd(tolerance: (program: Program) => number): Property {
  return (program) => {
    const nonzero = floatFlags(program.jaxpr);
    if (nonzero.filter(Boolean).length < 2) return null;
    const { jaxpr, inputs, tangents, pushed, floatOutputs } = push(program, nonzero);
    if (!pushed.every(isFinite)) return null;
    const forced = jaxpr.outvars.map(({ aval }) => isFloat(aval.dtype));
    const alone = tangents.flatMap((tangent, i) => {
      if (tangent === null) return [];
      const single = jvpJaxpr(
        jaxpr,
        nonzero.map((_, k) => k === i),
        forced,
      ).jaxpr;
      wellFormed(single, `jvp of ${program.name} in input ${i}`);
      return [run(single, [...inputs, tangent], `jvp of ${program.name} in input ${i}`).slice(jaxpr.outvars.length)];
    });
    return firstOf(floatOutputs, (output, position) => {
      const whole = pushed[position] as PlacedValue;
      const members = whole.members.map((array, m) => {
        const data = array.data.slice();
        for (let k = 0; k < data.length; k++) {
          data[k] = alone.reduce(
            (sum, tangent) => sum + (memberOf(tangent[position] as PlacedValue, m).data[k] as number),
            0,
          );
        }
        return { ...array, data };
      });
      const { aval } = jaxpr.outvars[output] as Jaxpr["outvars"][number];
      const placement = whole.placement;
      const fault = valueDifference(whole, { placement, members }, placement, () => relative(tolerance(program)));
      return fault === null ? null : `the tangent of result ${output}, ${aval.dtype}, is no sum: ${fault}`;
    });
  };
}

function isFinite(value: PlacedValue): boolean {
  return value.members.every(({ data }) => data.every(Number.isFinite));
}

/** Reverse mode of a program, as two programs. */
export interface Reverse {
  /** `(residuals, tangents) → tangents of the float outputs` */
  readonly linear: Jaxpr;
  /** `(residuals, cotangents) → cotangents of the float inputs` */
  readonly transposed: Jaxpr;
  readonly outputs: readonly PlacedValue[];
  readonly residuals: readonly PlacedValue[];
}

export function reverse(program: Program, nonzero: readonly boolean[]): Reverse {
  const { jaxpr, name } = program;
  const linearized = linearizeJaxpr(jaxpr, nonzero);
  const { primal, linear, outputCount, residualInputs } = linearized;
  wellFormed(primal, `the primal part of ${name}`);
  wellFormed(linear, `the linear part of ${name}`);
  const inputs = inputsOf(program);
  const results = run(primal, inputs, `the primal part of ${name}`);
  let next = outputCount;
  const residuals = residualInputs.map(
    (position) => (position === null ? results[next++] : inputs[position]) as PlacedValue,
  );
  const transposed = transposeJaxpr(
    linear,
    linear.invars.map((_, i) => i >= residuals.length),
  );
  wellFormed(transposed, `the transpose of ${name}`);
  return { linear, transposed, outputs: results.slice(0, outputCount), residuals };
}

/**
 * Linearization gives outputs and tangents as jvp does, and ⟨ct, J t⟩ = ⟨Jᵀ ct, t⟩, for every set of inputs that have
 * tangents. `tolerance` is relative to the sum of the products' magnitudes.
 */
export function reverseIsAdjoint(tolerance: (program: Program) => number): Property {
  return (program) => {
    const floats = floatFlags(program.jaxpr);
    const sets = [floats, ...floats.map((float, i) => floats.map((_, k) => float && k === i))];
    return firstOf(
      sets.filter((set, i) => set.includes(true) && (i === 0 || set.join() !== floats.join())),
      (nonzero) => adjointFault(program, nonzero, tolerance(program)),
    );
  };
}

function adjointFault(program: Program, nonzero: readonly boolean[], tolerance: number): string | null {
  const { jaxpr, tangents, pushed, outputs, floatOutputs } = push(program, nonzero);
  if (floatOutputs.length === 0) return null;
  const back = reverse(program, nonzero);
  const kept = difference(back.outputs, outputs, jaxpr);
  if (kept !== null) return `linearized, ${kept}`;
  const given = present(tangents);
  const linear = run(back.linear, [...back.residuals, ...given], `the linear part of ${program.name}`);
  const scale = (value: number): number => tolerance * (1 + Math.abs(value));
  const forward = firstOf(linear, (value, i) => {
    const expected = pushed[i] as PlacedValue;
    return valueDifference(value, expected, expected.placement, () => scale);
  });
  if (forward !== null) return `the linear part's tangents are not jvp's: ${forward}`;
  if (!pushed.every(isFinite)) return null;
  const random = new Random(seedOf(`${program.name} cotangents`));
  const cotangents = floatOutputs.map((i) =>
    drawDirection((jaxpr.outvars[i] as Jaxpr["outvars"][number]).aval, random),
  );
  const pulled = run(back.transposed, [...back.residuals, ...cotangents], `the transpose of ${program.name}`);
  const [left, right] = [innerProduct(cotangents, pushed), innerProduct(pulled, given)];
  if (Math.abs(left.sum - right.sum) <= tolerance * (0.1 + left.scale + right.scale)) return null;
  const wrt = nonzero.flatMap((flag, i) => (flag ? [i] : [])).join(", ");
  return `⟨ct, J t⟩ is ${left.sum}, but ⟨Jᵀ ct, t⟩ is ${right.sum}, for tangents of input ${wrt}`;
}

/** The programs that differentiation makes of one: jvp, the linear part, and the transpose, each on inputs of its own. */
export function derivedPrograms(program: Program): Program[] {
  const nonzero = floatFlags(program.jaxpr);
  const { jaxpr, name } = program;
  if (!nonzero.includes(true) || !jaxpr.outvars.some(({ aval }) => isFloat(aval.dtype))) return [];
  const forced = jaxpr.outvars.map(({ aval }) => isFloat(aval.dtype));
  const pushed = jvpJaxpr(jaxpr, nonzero, forced).jaxpr;
  const pullback = gradientProgram(jaxpr, nonzero);
  const drawn = (derived: Jaxpr, what: string): Program => ({
    name: `${what} of ${name}`,
    jaxpr: optimize(derived),
    draw: (input, index) =>
      input < jaxpr.invars.length
        ? program.draw(input, index)
        : drawDirection(
            (derived.invars[input] as Jaxpr["invars"][number]).aval,
            new Random(seedOf(`${name} ${what} ${input} ${index}`)),
          ),
  });
  return [drawn(pushed, "jvp"), ...(pullback ? [drawn(pullback, "vjp")] : [])];
}

/** `(inputs, cotangents of the float outputs) → cotangents of the float inputs`, by linearization and transposition. */
export function gradientProgram(jaxpr: Jaxpr, nonzero: readonly boolean[]): Jaxpr | null {
  const { primal, linear, outputCount, residualInputs } = linearizeJaxpr(jaxpr, nonzero);
  const transposed = transposeJaxpr(
    linear,
    linear.invars.map((_, i) => i >= residualInputs.length),
  );
  let next = outputCount;
  const residuals = residualInputs.map((position) =>
    position === null ? primal.outvars[next++] : primal.invars[position],
  );
  const names = new Map(transposed.invars.slice(0, residuals.length).map((variable, i) => [variable, residuals[i]]));
  const rename = <A extends Jaxpr["outvars"][number]>(atom: A): Jaxpr["outvars"][number] =>
    atom.kind === "var" ? (names.get(atom) ?? atom) : atom;
  const cotangents = transposed.invars.slice(residuals.length).map((variable) => {
    const fresh = freshVar(variable.aval);
    names.set(variable, fresh);
    return fresh;
  });
  return jaxprOf({
    constvars: [],
    invars: [...primal.invars, ...cotangents],
    eqns: [...primal.eqns, ...transposed.eqns.map((eqn) => ({ ...eqn, inputs: eqn.inputs.map(rename) }))],
    outvars: transposed.outvars.map(rename),
  });
}
