/** The derivative rules of `scan`: each of its three parts is again a scan. */
import { invariant } from "../diagnostics/index.ts";
import type { Aval } from "../ir/aval.ts";
import { isFloat } from "../ir/dtype.ts";
import { type Atom, type Eqn, freshVar, type Jaxpr } from "../ir/jaxpr.ts";
import { currentBuilder, withAmbient } from "../trace/builder.ts";
import { constant, type Value } from "../trace/ndarray.ts";
import type { Lax } from "./lax-types.ts";
import type {
  ControlPrimitive,
  JvpArgs,
  JvpResult,
  Linear,
  PartialEvalArgs,
  Tangent,
  TransposeArgs,
} from "./primitive.ts";
import { isLinear } from "./linear-rules.ts";
import { fixpoint, type ScanParams, split, withVariableCarries } from "./scan-params.ts";

export function jvp({ primals, tangents, params: given, lax, jvpJaxpr }: JvpArgs<ScanParams>): JvpResult {
  const params = withVariableCarries(given);
  const { jaxpr, num_carry } = params;
  const nonzero = split(
    tangents.map((tangent) => tangent !== null),
    params,
  );
  const float = jaxpr.outvars.map(({ aval }) => isFloat(aval.dtype));
  const carryFlags = fixpoint(nonzero.carry, (carry) =>
    jvpJaxpr(jaxpr, [...nonzero.consts, ...carry, ...nonzero.xs]).nonzero.slice(0, num_carry),
  );
  const force = jaxpr.outvars.map((_, i) => i < num_carry && carryFlags[i] === true);
  const pushed = jvpJaxpr(jaxpr, [...nonzero.consts, ...carryFlags, ...nonzero.xs], force);
  const flags = [...nonzero.consts, ...carryFlags, ...nonzero.xs];

  // The body of jvp takes all primals, then the tangents; a scan takes consts, carry and xs, each with its tangents.
  const from = split(primals, params);
  const dual = split(
    primals.map((primal, i) => (flags[i] ? (tangents[i] ?? zeros(lax, primal.aval)) : null)),
    params,
  );
  const present = (list: readonly (Value | null)[]): Value[] => list.filter((value) => value !== null);
  const [dConsts, dCarry, dXs] = [present(dual.consts), present(dual.carry), present(dual.xs)];
  const bodyIn = split(pushed.jaxpr.invars.slice(0, jaxpr.invars.length), params);
  const bodyTangents = pushed.jaxpr.invars.slice(jaxpr.invars.length);
  const dConstVars = bodyTangents.slice(0, dConsts.length);
  const dCarryVars = bodyTangents.slice(dConsts.length, dConsts.length + dCarry.length);
  const dXsVars = bodyTangents.slice(dConsts.length + dCarry.length);
  const outs = pushed.jaxpr.outvars.slice(0, jaxpr.outvars.length);
  const dOuts = pushed.jaxpr.outvars.slice(jaxpr.outvars.length);
  const dCarryOuts = dOuts.slice(0, dCarry.length);
  const dYs = dOuts.slice(dCarry.length);
  const body: Jaxpr = {
    ...pushed.jaxpr,
    invars: [...bodyIn.consts, ...dConstVars, ...bodyIn.carry, ...dCarryVars, ...bodyIn.xs, ...dXsVars],
    outvars: [...outs.slice(0, num_carry), ...dCarryOuts, ...outs.slice(num_carry), ...dYs],
  };
  const results = lax.scan([...from.consts, ...dConsts, ...from.carry, ...dCarry, ...from.xs, ...dXs], {
    ...params,
    jaxpr: body,
    num_consts: from.consts.length + dConsts.length,
    num_carry: from.carry.length + dCarry.length,
  });
  const carryOut = results.slice(0, num_carry);
  const dCarryOut = results.slice(num_carry, num_carry + dCarry.length);
  const ysCount = jaxpr.outvars.length - num_carry;
  const ys = results.slice(num_carry + dCarry.length, num_carry + dCarry.length + ysCount);
  const dYsOut = results.slice(num_carry + dCarry.length + ysCount);
  const outFlags = [...carryFlags, ...pushed.nonzero.slice(num_carry)].map((flag, i) => flag && float[i] === true);
  const tangentValues = [...dCarryOut, ...dYsOut];
  let next = 0;
  return {
    outputs: [...carryOut, ...ys],
    tangents: outFlags.map((flag) => (flag ? (tangentValues[next++] ?? null) : null)),
  };
}

/** A zero of the given type at its own placement. */
function zeros(lax: Lax, aval: Aval): Value {
  const builder = currentBuilder();
  invariant(builder !== null, "rules run inside a trace");
  return withAmbient(builder, aval.placement, () => lax.broadcast_in_dim(constant(0, aval.dtype), aval.shape, []));
}

export function partialEval({
  inputs,
  params: given,
  lax,
  partialEvalJaxpr,
}: PartialEvalArgs<ScanParams>): ReturnType<ControlPrimitive<ScanParams>["partialEval"]> {
  const params = withVariableCarries(given);
  const { jaxpr, num_carry } = params;
  const known = split(
    inputs.map((input) => input !== null),
    params,
  );
  const unknownCarry = fixpoint(
    known.carry.map((flag) => !flag),
    (carry) =>
      partialEvalJaxpr(jaxpr, [...known.consts, ...carry.map((flag) => !flag), ...known.xs])
        .knownOutputs.slice(0, num_carry)
        .map((flag) => !flag),
  );
  const knownCarry = unknownCarry.map((flag) => !flag);
  const knownIn = [...known.consts, ...knownCarry, ...known.xs];
  const force = jaxpr.outvars.map((_, i) => i < num_carry && unknownCarry[i] === true);
  const parts = partialEvalJaxpr(jaxpr, knownIn, force);
  const pick = <T>(list: readonly T[], flags: readonly boolean[]): T[] => list.filter((_, i) => flags[i]);
  const present = (list: readonly (Value | null)[], flags: readonly boolean[]): Value[] =>
    list.filter((value, i): value is Value => flags[i] === true && value !== null);

  const values = split(inputs, params);
  const knownConsts = present(values.consts, known.consts);
  const knownCarryIn = present(values.carry, knownCarry);
  const knownXs = present(values.xs, known.xs);
  const knownCarryCount = knownCarryIn.length;
  const knownYsCount = parts.knownOutputs.slice(num_carry).filter(Boolean).length;
  // A carry that the unknown part reads has another value in each iteration: the known body stacks it.
  const isCarry = (position: number | null): position is number =>
    position !== null && position >= knownConsts.length && position < knownConsts.length + knownCarryCount;
  const carryResiduals = parts.residualInputs.filter(isCarry).map((position) => parts.known.invars[position] as Atom);
  const results = lax.scan([...knownConsts, ...knownCarryIn, ...knownXs], {
    ...params,
    jaxpr: { ...parts.known, outvars: [...parts.known.outvars, ...carryResiduals] },
    num_consts: knownConsts.length,
    num_carry: knownCarryCount,
  });
  const computedCount = parts.residualInputs.filter((position) => position === null).length;
  const computed = results.slice(knownCarryCount + knownYsCount, knownCarryCount + knownYsCount + computedCount);
  const carried = results.slice(knownCarryCount + knownYsCount + computedCount);

  // A residual that is a const of the known body stays a const; its inputs and what it computes come stacked.
  const unknownBodyIn = parts.unknown.invars;
  const residualCount = parts.residualInputs.length;
  const constResiduals: Value[] = [];
  const stacked: Value[] = [];
  const constVars: (typeof unknownBodyIn)[number][] = [];
  const stackedVars: (typeof unknownBodyIn)[number][] = [];
  let [nextComputed, nextCarried] = [0, 0];
  parts.residualInputs.forEach((position, i) => {
    const variable = unknownBodyIn[i];
    invariant(variable !== undefined, "a residual has a variable");
    if (position === null) {
      stacked.push(computed[nextComputed++] as Value);
      stackedVars.push(variable);
    } else if (position < knownConsts.length) {
      constResiduals.push(knownConsts[position] as Value);
      constVars.push(variable);
    } else if (isCarry(position)) {
      stacked.push(carried[nextCarried++] as Value);
      stackedVars.push(variable);
    } else {
      stacked.push(knownXs[position - knownConsts.length - knownCarryCount] as Value);
      stackedVars.push(variable);
    }
  });

  const unknownVars = unknownBodyIn.slice(residualCount);
  const unknownConstCount = known.consts.filter((flag) => !flag).length;
  const unknownCarryCount = unknownCarry.filter(Boolean).length;
  const unknownConstVars = unknownVars.slice(0, unknownConstCount);
  const unknownCarryVars = unknownVars.slice(unknownConstCount, unknownConstCount + unknownCarryCount);
  const unknownXsVars = unknownVars.slice(unknownConstCount + unknownCarryCount);
  const unknownBody: Jaxpr = {
    ...parts.unknown,
    invars: [...constVars, ...unknownConstVars, ...unknownCarryVars, ...stackedVars, ...unknownXsVars],
  };
  // An unknown carry may start from a known value: that value is a residual of the equation as a whole.
  const knownInits = pick(values.carry, unknownCarry).filter((value): value is Value => value !== null);
  const residuals = [...constResiduals, ...stacked, ...knownInits];
  const outputs: (Value | null)[] = [];
  let nextCarry = 0;
  let nextYs = knownCarryCount;
  parts.knownOutputs.forEach((flag, i) => {
    if (i < num_carry) outputs.push(knownCarry[i] ? (results[nextCarry++] as Value) : null);
    else outputs.push(flag ? (results[nextYs++] as Value) : null);
  });

  return {
    outputs,
    residuals,
    finish(residualValues, unknown) {
      const late = split(unknown, params);
      const consts = residualValues.slice(0, constResiduals.length);
      const xs = residualValues.slice(constResiduals.length, constResiduals.length + stacked.length);
      let nextInit = constResiduals.length + stacked.length;
      const carry = pick(late.carry, unknownCarry).map((value) => value ?? (residualValues[nextInit++] as Value));
      const finished = lax.scan(
        [
          ...consts,
          ...late.consts.filter((value): value is Value => value !== null),
          ...carry,
          ...xs,
          ...late.xs.filter((value): value is Value => value !== null),
        ],
        {
          ...params,
          jaxpr: unknownBody,
          num_consts: constVars.length + unknownConstCount,
          num_carry: unknownCarryCount,
        },
      );
      let position = 0;
      const all = parts.knownOutputs.map((flag, i) => {
        const isUnknown = i < num_carry ? unknownCarry[i] === true : !flag;
        return isUnknown ? (finished[position++] as Value) : null;
      });
      return all;
    },
  };
}

export function transpose({
  cotangents,
  inputs,
  params: given,
  lax,
  transposeJaxpr,
}: TransposeArgs<ScanParams>): readonly Tangent[] {
  const params = withVariableCarries(given);
  const { jaxpr, num_consts, num_carry } = params;
  const values = split(inputs, params);
  const linear = split(inputs.map(isLinear), params);
  const bodyLinear = [...linear.consts, ...linear.carry.map(() => true), ...linear.xs];
  const transposed = transposeJaxpr(jaxpr, bodyLinear);
  // transposed: (nonlinear consts, nonlinear xs, ct carry, ct ys) → (ct linear consts, ct carry, ct linear xs)
  const known = (list: readonly (Value | Linear)[]): Value[] => list.filter((item): item is Value => !isLinear(item));
  const [knownConsts, knownXs] = [known(values.consts), known(values.xs)];
  const linearConsts = values.consts.filter(isLinear);
  const bodyAvals = jaxpr.invars.map((variable) => variable.aval);
  const zero = (aval: Aval): Value => zeros(lax, aval);
  const carryCotangents = values.carry.map((_, i) => cotangents[i] ?? zero(bodyAvals[num_consts + i] as Aval));
  const ysAvals = jaxpr.outvars
    .slice(num_carry)
    .map(({ aval }) => ({ ...aval, shape: [params.length, ...aval.shape] }));
  const ysCotangents = ysAvals.map((aval, i) => cotangents[num_carry + i] ?? zero(aval));
  const accumulators = linearConsts.map(({ aval }) => zero(aval));

  const body = transposeBody(transposed, {
    knownConsts: knownConsts.length,
    knownXs: knownXs.length,
    carry: num_carry,
    accumulators: accumulators.map(({ aval }) => aval),
  });
  const results = lax.scan([...knownConsts, ...accumulators, ...carryCotangents, ...ysCotangents, ...knownXs], {
    jaxpr: body,
    length: params.length,
    reverse: !params.reverse,
    num_consts: knownConsts.length,
    num_carry: accumulators.length + num_carry,
  });
  let nextConst = 0;
  let nextXs = accumulators.length + num_carry;
  return inputs.map((input, i) => {
    if (i < num_consts) return isLinear(input) ? (results[nextConst++] ?? null) : null;
    if (i < num_consts + num_carry) return results[accumulators.length + i - num_consts] ?? null;
    return isLinear(input) ? (results[nextXs++] ?? null) : null;
  });
}

/** `(consts, (accumulators, ct carry), (ct ys, xs)) → (accumulators, ct carry, ct xs)` of the transposed body. */
function transposeBody(
  transposed: Jaxpr,
  counts: { knownConsts: number; knownXs: number; carry: number; accumulators: readonly Aval[] },
): Jaxpr {
  const { knownConsts, knownXs, carry, accumulators } = counts;
  const { invars, eqns, outvars } = transposed;
  const consts = invars.slice(0, knownConsts);
  const xs = invars.slice(knownConsts, knownConsts + knownXs);
  const carryCts = invars.slice(knownConsts + knownXs, knownConsts + knownXs + carry);
  const ysCts = invars.slice(knownConsts + knownXs + carry);
  const before = accumulators.map((aval) => freshVar(aval));
  const after = accumulators.map((aval) => freshVar(aval));
  const sums = after.map((output, i): Eqn => {
    const inputs = [before[i] as Atom, outvars[i] as Atom];
    return { primitive: "add", inputs, params: {}, outputs: [output], source: null };
  });
  return {
    ...transposed,
    invars: [...consts, ...before, ...carryCts, ...ysCts, ...xs],
    eqns: [...eqns, ...sums],
    outvars: [...after, ...outvars.slice(accumulators.length)],
  };
}
