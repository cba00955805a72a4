/** `scan`: a loop that carries state and stacks results, with full derivative rules. */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { type Aval, formatAval, sameType } from "../ir/aval.ts";
import type { Jaxpr } from "../ir/jaxpr.ts";
import { allocateHostArray, type HostArray } from "../ir/host-array.ts";
import { isServer } from "../ir/placement.ts";
import { range, sizeOf } from "../ir/shape.ts";
import type { Value } from "../trace/ndarray.ts";
import { define } from "./define.ts";
import { jvp, partialEval, transpose } from "./scan-derivatives.ts";
import { fixpoint, type ScanParams, split, withVariableCarries } from "./scan-params.ts";
import type { Lax } from "./lax-types.ts";
import { scanSamples } from "./scan-samples.ts";
import type { BatchArgs, BatchResult, ControlPrimitive, LowerControlArgs, Lowered, PlacedValue } from "./primitive.ts";

function abstractEval(inputs: readonly Aval[], params: ScanParams): readonly Aval[] {
  const { jaxpr, length, num_carry } = params;
  const { carry, xs } = split(inputs, params);
  const body = split(
    jaxpr.invars.map((variable) => variable.aval),
    params,
  );
  const carryOut = jaxpr.outvars.slice(0, num_carry);
  const show = (aval: Aval): string => formatAval(aval, !isServer(aval.placement));
  carryOut.forEach((atom, i) => {
    const before = body.carry[i] as Aval;
    if (
      !sameType(before, { ...atom.aval, placement: atom.kind === "literal" ? before.placement : atom.aval.placement })
    ) {
      throw new FaxError({
        code: "FAX1501",
        message: `scan: carry ${i} enters the body as ${show(before)} and leaves it as ${show(atom.aval)}`,
        help: "make the body return carries of the types it takes, with astype or federatedBroadcast",
      });
    }
  });
  carry.forEach((aval, i) => {
    invariant(
      sameType({ ...aval, placement: (body.carry[i] as Aval).placement }, body.carry[i] as Aval),
      "scan: a carry of another type",
    );
  });
  xs.forEach((aval, i) => {
    if (aval.shape[0] !== length) {
      throw new FaxError({
        code: "FAX1502",
        message: `scan: input ${i} has leading axis ${aval.shape[0] ?? "none"}, but the loop has length ${length}`,
      });
    }
  });
  const ys = jaxpr.outvars
    .slice(num_carry)
    .map(({ aval }) => ({ ...aval, shape: [length, ...aval.shape], weak: false }));
  return [...body.carry, ...ys];
}

function row(array: HostArray, index: number): HostArray {
  const shape = array.shape.slice(1);
  const size = sizeOf(shape);
  return { dtype: array.dtype, shape, data: array.data.slice(index * size, (index + 1) * size) };
}

function evaluateScan(
  inputs: readonly PlacedValue[],
  params: ScanParams,
  evaluate: (jaxpr: Jaxpr, inputs: readonly PlacedValue[]) => readonly PlacedValue[],
): readonly PlacedValue[] {
  const { jaxpr, length, reverse, num_carry } = params;
  const { consts, carry: initial, xs } = split(inputs, params);
  let carry: readonly PlacedValue[] = initial;
  const stacked = jaxpr.outvars.slice(num_carry).map(({ aval }): PlacedValue => {
    const members = aval.placement.groups.reduce((count, group) => count * group.size, 1);
    return {
      placement: aval.placement,
      members: range(members).map(() => allocateHostArray(aval.dtype, [length, ...aval.shape])),
    };
  });
  for (let step = 0; step < length; step++) {
    const index = reverse ? length - 1 - step : step;
    const rows = xs.map(({ placement, members }) => ({
      placement,
      members: members.map((array) => row(array, index)),
    }));
    const results = evaluate(jaxpr, [...consts, ...carry, ...rows]);
    carry = results.slice(0, num_carry);
    results.slice(num_carry).forEach((result, i) => {
      stacked[i]?.members.forEach((target, m) => {
        const source = (result.members[m] ?? result.members[0]) as HostArray;
        target.data.set(source.data, index * source.data.length);
      });
    });
  }
  return [...carry, ...stacked];
}

function batch(args: BatchArgs<ScanParams>): BatchResult {
  const { inputs, dims, batchJaxpr, sizeOf, lax } = args;
  const params = withVariableCarries(args.params);
  const { jaxpr, num_consts, num_carry } = params;
  const mapped = split(
    dims.map((dim) => dim !== null),
    params,
  );
  const noForce = jaxpr.outvars.map(() => false);
  const carryMapped = fixpoint(mapped.carry, (carry) =>
    batchJaxpr(jaxpr, [...mapped.consts, ...carry, ...mapped.xs], noForce).mapped.slice(0, num_carry),
  );
  const force = jaxpr.outvars.map((_, i) => i < num_carry && carryMapped[i] === true);
  const body = batchJaxpr(jaxpr, [...mapped.consts, ...carryMapped, ...mapped.xs], force);
  const bodyAvals = jaxpr.invars.map((variable) => variable.aval);
  const moved = inputs.map((input, i) => {
    const dim = dims[i] ?? null;
    const isXs = i >= num_consts + num_carry;
    if (dim !== null) return moveTo(lax, input, dim, isXs ? 1 : 0);
    const carry = i - num_consts;
    if (isXs || carry < 0 || !carryMapped[carry]) return input;
    const { shape } = input.aval;
    return lax.broadcast_in_dim(input, [sizeOf(bodyAvals[i] as Aval), ...shape], range(1, shape.length + 1));
  });
  const outputs = lax.scan(moved, { ...params, jaxpr: body.jaxpr });
  return {
    outputs,
    dims: outputs.map((_, i) => (body.mapped[i] ? (i < num_carry ? 0 : 1) : null)),
  };
}

function moveTo(lax: Lax, value: Value, from: number, to: number): Value {
  if (from === to) return value;
  const others = range(value.aval.shape.length).filter((axis) => axis !== from);
  return lax.transpose(value, [...others.slice(0, to), from, ...others.slice(to)]);
}

function prune(
  params: ScanParams,
  used: readonly boolean[],
): { params: ScanParams; inputs: readonly boolean[]; outputs: readonly boolean[] } {
  const { jaxpr, num_consts, num_carry } = params;
  // A carry stays if its result is used, or if what stays depends on it.
  const needs = (outputs: readonly boolean[]): boolean[] => {
    const live = new Set(jaxpr.outvars.filter((_, i) => outputs[i]));
    for (const eqn of [...jaxpr.eqns].reverse()) {
      if (eqn.outputs.some((output) => live.has(output))) for (const input of eqn.inputs) live.add(input);
    }
    return jaxpr.invars.map((variable) => live.has(variable));
  };
  const usedYs = used.slice(num_carry);
  const carry = fixpoint(used.slice(0, num_carry), (flags) =>
    needs([...flags, ...usedYs]).slice(num_consts, num_consts + num_carry),
  );
  const outputs = [...carry, ...usedYs];
  const needed = needs(outputs);
  const inputs = needed.map((flag, i) =>
    i >= num_consts && i < num_consts + num_carry ? carry[i - num_consts] === true : flag,
  );
  const pruned: Jaxpr = {
    ...jaxpr,
    invars: jaxpr.invars.filter((_, i) => inputs[i]),
    outvars: jaxpr.outvars.filter((_, i) => outputs[i]),
  };
  return {
    params: {
      ...params,
      jaxpr: pruned,
      num_consts: inputs.slice(0, num_consts).filter(Boolean).length,
      num_carry: carry.filter(Boolean).length,
    },
    inputs,
    outputs,
  };
}

function lower({ inputs, params, outputs, ctx, loop, lowerJaxpr }: LowerControlArgs<ScanParams>): readonly Lowered[] {
  const { jaxpr, length, reverse, num_carry } = params;
  const { consts, carry, xs } = split(inputs, params);
  const { binaryExpr, constExpr } = ctx.expr;
  const result = loop({
    length,
    carries: carry,
    stacked: outputs.slice(num_carry),
    position: (counter) => (reverse ? binaryExpr("sub", constExpr(length - 1), counter) : counter),
    body: (counter, carries) => {
      const position = reverse ? binaryExpr("sub", constExpr(length - 1), counter) : counter;
      const rows = xs.map((x) => ctx.map(x.dtype, x.shape.slice(1), (index) => x.at([position, ...index])));
      const results = lowerJaxpr(jaxpr, [...consts, ...carries, ...rows]);
      return { carries: results.slice(0, num_carry), elements: results.slice(num_carry) };
    },
  });
  return [...result.carries, ...result.stacked];
}

const scanPrimitive: ControlPrimitive<ScanParams> = {
  name: "scan",
  kind: "control",
  doc: "(c, y₀…yₙ₋₁) with c, yᵢ = f(c, xᵢ) in order. Source: JAX, lax.scan",
  abstractEval,
  impl: evaluateScan,
  jvp,
  partialEval,
  transpose,
  batch,
  prune,
  lower,
  samples: scanSamples,
};

/** Emits a scan; `lax.scan` of the front end traces its body and calls this. */
export const scan = define(
  scanPrimitive,
  (_, bindAll) =>
    (inputs: readonly Value[], params: ScanParams): Value[] =>
      bindAll(inputs, params),
);
