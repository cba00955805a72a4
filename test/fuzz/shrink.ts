/** Makes a failing program smaller as long as it still fails. */
import {
  type Aval,
  dce,
  type Eqn,
  freshVar,
  isJaxpr,
  type Jaxpr,
  jaxprOf,
  type Param,
  type Params,
  type PlacedValue,
  primitiveOf,
  range,
  samePlacement,
  type Var,
  type Atom,
  atPlacement,
} from "@fax/compiler";
import { allocateHostArray, evaluate, type HostArray, type Shape, sizeOf, stridesOf } from "@fax/compiler";
import { mapMembers } from "../support/values.ts";
import type { Program } from "../support/programs.ts";
import { sameType } from "./growth.ts";

/** The smallest program found that `fails`; at most `attempts` are tried. */
export async function shrink(
  program: Program,
  fails: (program: Program) => boolean | Promise<boolean>,
  attempts = 600,
): Promise<Program> {
  let smallest = program;
  let left = attempts;
  for (;;) {
    const next = await firstFailing(candidates(smallest));
    if (next === null) return smallest;
    smallest = next;
  }

  async function firstFailing(list: Iterable<Program>): Promise<Program | null> {
    for (const candidate of list) {
      if (left-- <= 0) return null;
      if (await fails(candidate)) return candidate;
    }
    return null;
  }
}

function* candidates(program: Program): Iterable<Program> {
  const { jaxpr } = program;
  if (jaxpr.outvars.length > 1) {
    for (const output of jaxpr.outvars) yield pruned({ ...program, jaxpr: { ...jaxpr, outvars: [output] } });
  }
  const needed = pruned(program);
  if (needed.jaxpr.eqns.length + needed.jaxpr.invars.length < jaxpr.eqns.length + jaxpr.invars.length) yield needed;
  for (const eqn of jaxpr.eqns) yield cut(program, eqn);
  for (const eqn of jaxpr.eqns) {
    for (const shorter of bypassed(jaxpr, eqn)) yield pruned({ ...program, jaxpr: shorter });
  }
  for (const eqn of jaxpr.eqns) {
    for (const body of smallerBodies(eqn)) yield pruned({ ...program, jaxpr: replaceEqn(jaxpr, eqn, body) });
  }
  const sizes = [...new Set(jaxpr.invars.flatMap(({ aval }) => aval.shape))].filter((size) => size > 1);
  for (const size of sizes) {
    for (const smaller of size > 2 ? [1, size - 1] : [1]) {
      const result = resized(program, size, smaller);
      if (result !== null) yield result;
    }
  }
}

/** Without what no output needs. */
function pruned({ name, jaxpr, draw }: Program): Program {
  const live = dce(jaxpr);
  const read = new Set<Atom>([...live.outvars, ...live.eqns.flatMap((eqn) => eqn.inputs)]);
  const kept = range(jaxpr.invars.length).filter((i) => read.has(jaxpr.invars[i] as Var));
  return {
    name,
    jaxpr: { ...live, invars: kept.map((i) => jaxpr.invars[i] as Var) },
    draw: (input, index) => draw(kept[input] as number, index),
  };
}

/** With the results of an equation as inputs, of the values that they had. */
function cut({ name, jaxpr, draw }: Program, eqn: Eqn): Program {
  const before = pruneTo(jaxpr, eqn);
  return pruned({
    name,
    jaxpr: jaxprOf({
      ...jaxpr,
      invars: [...jaxpr.invars, ...eqn.outputs],
      eqns: jaxpr.eqns.filter((other) => other !== eqn),
    }),
    draw: (input, index) => {
      if (input < jaxpr.invars.length) return draw(input, index);
      const values = evaluate(
        before,
        jaxpr.invars.map((_, i) => draw(i, index)),
      );
      return values[input - jaxpr.invars.length] as PlacedValue;
    },
  });
}

function pruneTo(jaxpr: Jaxpr, eqn: Eqn): Jaxpr {
  return dce({ ...jaxpr, outvars: eqn.outputs });
}

/** With an operand in the place of the result that has its type. */
function* bypassed(jaxpr: Jaxpr, eqn: Eqn): Iterable<Jaxpr> {
  for (const output of eqn.outputs) {
    const operand = eqn.inputs.find((atom) => atom.kind === "var" && sameType(atom.aval, output.aval));
    if (operand === undefined) continue;
    const rename = (atom: Atom): Atom => (atom === output ? operand : atom);
    yield {
      ...jaxpr,
      eqns: jaxpr.eqns.map((other) => (other === eqn ? other : { ...other, inputs: other.inputs.map(rename) })),
      outvars: jaxpr.outvars.map(rename),
    };
  }
}

function replaceEqn(jaxpr: Jaxpr, eqn: Eqn, by: Eqn): Jaxpr {
  return { ...jaxpr, eqns: jaxpr.eqns.map((other) => (other === eqn ? by : other)) };
}

/** A loop with less in its body. */
function* smallerBodies(eqn: Eqn): Iterable<Eqn> {
  for (const [name, body] of Object.entries(eqn.params)) {
    if (!isJaxpr(body)) continue;
    for (const inner of body.eqns) {
      for (const shorter of bypassed(body, inner)) yield { ...eqn, params: { ...eqn.params, [name]: dce(shorter) } };
      for (const smaller of smallerBodies(inner)) {
        yield { ...eqn, params: { ...eqn.params, [name]: replaceEqn(body, inner, smaller) } };
      }
    }
  }
}

/** Parameters that hold sizes of axes. */
const sizedParams = new Set(["shape", "new_sizes", "slice_sizes", "limit_indices", "length", "size"]);

/** With all axes of one size made smaller, if that is a program. */
function resized({ name, jaxpr, draw }: Program, from: number, to: number): Program | null {
  try {
    return {
      name,
      jaxpr: resizedJaxpr(jaxpr, from, to),
      draw: (input, index) => {
        const { shape } = (jaxpr.invars[input] as Var).aval;
        return mapMembers(draw(input, index), (array) => corner(array, resizedShape(shape, from, to)));
      },
    };
  } catch {
    // A size that something else depends on.
    return null;
  }
}

function resizedShape(shape: Shape, from: number, to: number): number[] {
  return shape.map((size) => (size === from ? to : size));
}

function resizedJaxpr(jaxpr: Jaxpr, from: number, to: number): Jaxpr {
  const renamed = new Map<Var, Var>();
  const renew = (variable: Var, aval: Aval): Var => {
    const fresh = freshVar(aval);
    renamed.set(variable, fresh);
    return fresh;
  };
  const invars = jaxpr.invars.map((v) => renew(v, { ...v.aval, shape: resizedShape(v.aval.shape, from, to) }));
  const read = (atom: Atom): Atom => (atom.kind === "var" ? (renamed.get(atom) as Var) : atom);
  const eqns = jaxpr.eqns.map((eqn): Eqn => {
    const params = resizedParams(eqn.params, from, to);
    const inputs = eqn.inputs.map(read);
    const primitive = primitiveOf(eqn.primitive);
    const uniform = primitive.kind === "elementwise" || primitive.kind === "array";
    const avals = primitive.abstractEval(
      inputs.map(({ aval }) => aval),
      params,
    );
    const outputs = eqn.outputs.map((output, i) => {
      const aval = avals[i] as Aval;
      const placed = uniform ? atPlacement(aval, output.aval.placement) : aval;
      if (!samePlacement(placed.placement, output.aval.placement)) throw new RangeError("another placement");
      return renew(output, placed);
    });
    return { ...eqn, inputs, params, outputs };
  });
  return jaxprOf({ constvars: [], invars, eqns, outvars: jaxpr.outvars.map(read) });
}

function resizedParams(params: Params, from: number, to: number): Params {
  const inParam = (param: Param | undefined, sized: boolean): Param | undefined => {
    if (param === undefined) return undefined;
    if (isJaxpr(param)) return resizedJaxpr(param, from, to);
    if (sized && param === from) return to;
    return sized && Array.isArray(param) ? param.map((item: Param) => inParam(item, sized) as Param) : param;
  };
  return Object.fromEntries(
    Object.entries(params).map(([name, param]) => [name, inParam(param, sizedParams.has(name))]),
  );
}

/** The leading part of an array. */
function corner(array: HostArray, shape: Shape): HostArray {
  const result = allocateHostArray(array.dtype, shape);
  const [from, to] = [stridesOf(array.shape), stridesOf(shape)];
  for (let i = 0; i < sizeOf(shape); i++) {
    const position = to.reduce((sum, stride, axis) => {
      const index = Math.floor(i / stride) % (shape[axis] as number);
      return sum + index * (from[axis] as number);
    }, 0);
    result.data[i] = array.data[position] as number;
  }
  return result;
}
