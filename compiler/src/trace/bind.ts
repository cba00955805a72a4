/** The one door through which every operation enters: staged into the current trace, or evaluated at once. */
import { FaxError, type Note } from "../diagnostics/index.ts";
import { type Aval, atPlacement, formatAval } from "../ir/aval.ts";
import type { Jaxpr, Params } from "../ir/jaxpr.ts";
import { formatPlacement, isServer, type Placement, samePlacement, server, startsWith } from "../ir/placement.ts";
import { sameShape } from "../ir/shape.ts";
import { currentBuilder, type JaxprBuilder, trace } from "./builder.ts";
import { Constant, Tracer, type Value } from "./ndarray.ts";
import { userLocation } from "./source.ts";

/**
 * How a primitive meets placements: `elementwise` and `array` primitives act on each member by itself, and their
 * operands must agree; `communication` moves values between placements; `control` carries Jaxprs whose avals say it.
 * Only `elementwise` primitives let a scalar literal meet an array of any shape.
 */
export type PrimitiveKind = "elementwise" | "array" | "communication" | "control";

/** What tracing needs of a primitive. */
export interface Bindable<P extends Params = Params> {
  readonly name: string;
  readonly kind: PrimitiveKind;
  /** Output types, or the user's error. `elementwise` and `array` primitives need not care for placements. */
  abstractEval(inputs: readonly Aval[], params: P): readonly Aval[];
}

/** Runs Jaxprs without a trace: wired by the package that owns a device. */
export interface Evaluator {
  /** `inputs` match the invars; a Constant is an input like others, so that its value is no part of what is compiled. */
  evaluate(jaxpr: Jaxpr, inputs: readonly Value[]): Value[];
}

let evaluator: Evaluator | null = null;

export function setEvaluator(next: Evaluator): void {
  evaluator = next;
}

export function bind<P extends Params>(primitive: Bindable<P>, inputs: readonly Value[], params: P): Value[] {
  const builder = currentBuilder();
  return builder ? stage(builder, primitive, inputs, params) : evaluateOne(primitive, inputs, params);
}

function stage<P extends Params>(
  builder: JaxprBuilder,
  primitive: Bindable<P>,
  inputs: readonly Value[],
  params: P,
): Value[] {
  if (primitive.kind === "communication" || primitive.kind === "control") {
    return builder.emit(primitive.name, inputs, params, abstractEval(primitive, inputs, params));
  }
  const placement = commonPlacement(primitive.name, inputs, builder.ambient);
  const placed = inputs.map((input) => builder.lift(input, placement));
  const outputs = abstractEval(primitive, placed, params).map((aval) => atPlacement(aval, placement));
  const anchored = placed.some((input) => !(input instanceof Constant));
  const full = anchored || isServer(placement) ? params : { ...params, placement };
  return builder.emit(primitive.name, placed, full, outputs);
}

/** Output types, with the user's fault completed by where it happened and what the operands are. */
function abstractEval<P extends Params>(primitive: Bindable<P>, inputs: readonly Value[], params: P): readonly Aval[] {
  try {
    return primitive.abstractEval(
      inputs.map((input) => input.aval),
      params,
    );
  } catch (error) {
    if (!(error instanceof FaxError)) throw error;
    throw error.with({ source: currentBuilder()?.source ?? userLocation(), notes: operandNotes(inputs) });
  }
}

/** Where an operation on `inputs` takes place: a captured value of an outer place is lifted into the ambient group. */
function commonPlacement(name: string, inputs: readonly Value[], ambient: Placement): Placement {
  const places = inputs.filter((input) => !(input instanceof Constant)).map((input) => input.aval.placement);
  const first = places[0];
  if (first === undefined) return ambient;
  if (!isServer(ambient) && places.every((place) => startsWith(ambient, place))) return ambient;
  const other = places.find((place) => !samePlacement(place, first));
  if (other === undefined) return first;
  throw new FaxError({
    code: "FAX1301",
    message: `${name}: operands are at different placements, ${formatPlacement(first)} and ${formatPlacement(other)}`,
    source: currentBuilder()?.source ?? userLocation(),
    notes: [
      ...operandNotes(inputs),
      { text: `legal here: both ${formatPlacement(first)}, or both ${formatPlacement(other)}` },
    ],
    help:
      isServer(first) || isServer(other)
        ? "bring the server's value to the group with federatedBroadcast, or the group's to the server with federatedMean"
        : "bring both to the server first, with federatedMean or federatedSum",
  });
}

function operandNotes(inputs: readonly Value[]): Note[] {
  return inputs.map((input, i) => {
    const type = formatAval(input.aval, !isServer(input.aval.placement) || input instanceof Tracer);
    if (input instanceof Constant) return { text: `operand ${i}: the number ${input.value}` };
    if (!(input instanceof Tracer)) return { text: `operand ${i}: ${type}, an array` };
    const origin = input.builder.originOf(input.variable);
    return { text: `operand ${i}: ${type}, ${origin.text}`, source: origin.source };
  });
}

function evaluateOne<P extends Params>(primitive: Bindable<P>, inputs: readonly Value[], params: P): Value[] {
  // The type check comes first, so that a fault names the operands the user passed.
  const outputs = abstractEval(primitive, inputs, params);
  const { jaxpr } = trace(
    inputs.map((input) => input.aval),
    (args, builder) => {
      const operands = args.map((arg, i) => {
        const shape = outputs[0]?.shape ?? [];
        if (primitive.kind !== "elementwise" || !(inputs[i] instanceof Constant) || sameShape(shape, [])) return arg;
        const spread = atPlacement({ ...arg.aval, shape }, server);
        return builder.emit("broadcast_in_dim", [arg], { shape, broadcast_dimensions: [] }, [spread])[0] as Tracer;
      });
      return stage(builder, primitive, operands, params);
    },
    { source: null, locates: false },
  );
  return evaluateJaxpr(jaxpr, inputs);
}

/** Runs a Jaxpr without constvars on known values. */
export function evaluateJaxpr(jaxpr: Jaxpr, inputs: readonly Value[]): Value[] {
  if (evaluator === null) {
    throw new FaxError({
      code: "FAX1002",
      message: "no evaluator is installed: operations outside a trace need the package @fax/core",
      help: 'import "@fax/core", or trace the function with makeJaxpr',
    });
  }
  return evaluator.evaluate(jaxpr, inputs);
}
