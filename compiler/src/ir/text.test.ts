/** Printing, parsing and comparing Jaxprs. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { FaxError } from "../diagnostics/index.ts";
import { ansiStyle } from "../diagnostics/style.ts";
import { avalOf } from "./aval.ts";
import { dtypes } from "./dtype.ts";
import { equalJaxpr } from "./equal.ts";
import {
  type Atom,
  type Eqn,
  freshVar,
  type Jaxpr,
  jaxprOf,
  literal,
  type Param,
  type Params,
  type Var,
} from "./jaxpr.ts";
import { parseJaxpr } from "./parse.ts";
import { type Placement, placementOf, server } from "./placement.ts";
import { printJaxpr } from "./print.ts";

const clients = placementOf({ name: "clients", size: 3 });
const f32 = (shape: readonly number[], placement: Placement = server) => avalOf("f32", shape, { placement });

function eqn(primitive: string, inputs: readonly Atom[], outputs: readonly Var[], params: Params = {}): Eqn {
  return { primitive, inputs, params, outputs, source: { file: "/project/loss.fax.ts", line: 7, column: 9 } };
}

function loss(): Jaxpr {
  const [w, x] = [freshVar(f32([2])), freshVar(f32([2], clients))];
  const c = freshVar(f32([2], clients));
  const [d, e] = [freshVar(f32([], clients)), freshVar(f32([], clients))];
  const m = freshVar(f32([]));
  return jaxprOf({
    constvars: [],
    invars: [w, x],
    eqns: [
      eqn("federated_broadcast", [w], [c], { size: 3, group: "clients", absent: undefined }),
      eqn("dot_general", [x, c], [d], {
        dimension_numbers: [
          [[0], [0]],
          [[], []],
        ],
        preferred_element_type: null,
      }),
      eqn("sub", [d, literal(1, f32([]))], [e]),
      eqn("federated_mean", [e], [m]),
    ],
    outvars: [m],
  });
}

function loop(): Jaxpr {
  const [c, x, y] = [freshVar(f32([])), freshVar(f32([])), freshVar(f32([]))];
  const body = jaxprOf({ constvars: [], invars: [c, x], eqns: [eqn("mul", [c, x], [y])], outvars: [y, c] });
  const [k, xs, last, ys] = [freshVar(f32([])), freshVar(f32([5])), freshVar(f32([])), freshVar(f32([5]))];
  const params = { jaxpr: body, length: 5, reverse: false, num_consts: 0, num_carry: 1 };
  return jaxprOf({
    constvars: [k],
    invars: [xs],
    eqns: [eqn("scan", [k, xs], [last, ys], params)],
    outvars: [ys, last, literal(-0, avalOf("f32", [], { weak: true }))],
  });
}

test("a federated loss", () => {
  expect(printJaxpr(loss())).toMatchInlineSnapshot(`
    "{ lambda ; a:f32[2]@server b:f32[2]@clients[3]. let
        c:f32[2]@clients[3] = federated_broadcast[group=clients size=3] a
        d:f32[]@clients[3]  = dot_general[dimension_numbers=[[[0],[0]],[[],[]]] preferred_element_type=null] b c
        e:f32[]@clients[3]  = sub d 1.0:f32
        f:f32[]@server      = federated_mean e
      in (f) }"
  `);
});

test("without groups no placement is written, and inner Jaxprs are indented", () => {
  expect(printJaxpr(loop())).toMatchInlineSnapshot(`
    "{ lambda a:f32[] ; b:f32[5]. let
        c:f32[] d:f32[5] = scan[
          jaxpr={ lambda ; e:f32[] f:f32[]. let
              g:f32[] = mul e f
            in (g, e) }
          length=5
          num_carry=1
          num_consts=0
          reverse=false
        ] a b
      in (d, c, -0.0:~f32) }"
  `);
});

test("many arguments and parameters are broken over lines", () => {
  const invars = Array.from({ length: 30 }, (_, i) => freshVar(f32([i, 784])));
  const out = freshVar(f32([7]));
  const dimension_numbers = { offset_dims: [0, 1], collapsed_slice_dims: [0], start_index_map: [0, 1, 2] };
  const gather = eqn("gather", invars.slice(0, 2), [out], {
    dimension_numbers,
    mode: "fill",
    slice_sizes: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  });
  const jaxpr = jaxprOf({ constvars: [], invars, eqns: [gather], outvars: [out] });
  expect(printJaxpr(jaxpr)).toMatchInlineSnapshot(`
    "{ lambda ; a:f32[0,784] b:f32[1,784] c:f32[2,784] d:f32[3,784] e:f32[4,784] f:f32[5,784] g:f32[6,784]
             h:f32[7,784] i:f32[8,784] j:f32[9,784] k:f32[10,784] l:f32[11,784] m:f32[12,784] n:f32[13,784]
             o:f32[14,784] p:f32[15,784] q:f32[16,784] r:f32[17,784] s:f32[18,784] t:f32[19,784] u:f32[20,784]
             v:f32[21,784] w:f32[22,784] x:f32[23,784] y:f32[24,784] z:f32[25,784] aa:f32[26,784] ab:f32[27,784]
             ac:f32[28,784] ad:f32[29,784]. let
        ae:f32[7] = gather[
          dimension_numbers={collapsed_slice_dims=[0] offset_dims=[0,1] start_index_map=[0,1,2]}
          mode=fill
          slice_sizes=[1,2,3,4,5,6,7,8,9,10]
        ] a b
      in (ae) }"
  `);
  expect(equalJaxpr(parseJaxpr(printJaxpr(jaxpr)), jaxpr)).toBe(true);
});

test("sources are comments relative to the working folder", () => {
  const text = printJaxpr(loss(), { sources: true, cwd: "/project" });
  expect(text.split("\n")[1]).toMatch(/federated_broadcast.* {2}\/\/ loss\.fax\.ts:7:9$/);
  expect(equalJaxpr(parseJaxpr(text), loss())).toBe(true);
});

test("colour changes nothing but the escapes", () => {
  for (const jaxpr of [loss(), loop()]) {
    const coloured = printJaxpr(jaxpr, { style: ansiStyle, sources: true, cwd: "/" });
    expect(coloured).not.toBe(printJaxpr(jaxpr, { sources: true, cwd: "/" }));
    // oxlint-disable-next-line no-control-regex -- the escapes themselves are the subject
    expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(printJaxpr(jaxpr, { sources: true, cwd: "/" }));
  }
});

test("a style sees what each piece is", () => {
  const seen = new Map<string, Set<string>>();
  printJaxpr(loss(), {
    style: (role, text) => {
      seen.set(role, (seen.get(role) ?? new Set()).add(text));
      return text;
    },
  });
  expect([...(seen.get("primitive") ?? [])]).toEqual(["federated_broadcast", "dot_general", "sub", "federated_mean"]);
  expect([...(seen.get("placement") ?? [])]).toEqual(["@server", "@clients[3]"]);
  expect([...(seen.get("literal") ?? [])]).toEqual(["1.0:f32"]);
  expect([...(seen.get("keyword") ?? [])]).toEqual(["lambda", "let", "in"]);
});

test("names go on after z and leave out the words of the grammar", () => {
  const invars = Array.from({ length: 26 * 27 }, () => freshVar(f32([])));
  const text = printJaxpr(jaxprOf({ constvars: [], invars, eqns: [], outvars: [] }));
  expect(text).toContain(" z:f32[] aa:f32[] ");
  expect(text).not.toMatch(/ in:f32/);
  expect(parseJaxpr(text).invars).toHaveLength(invars.length);
});

// Random Jaxprs: they need not be well-typed, only well-scoped.

const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(NaN, Infinity, -Infinity, -0, 0, 1e21, 5e-324));
const size = fc.nat(20);
const placement = fc
  .array(fc.record({ name: fc.constantFrom("clients", "cohorts", "my group", "let", "server"), size }), {
    maxLength: 2,
  })
  .map((groups) => placementOf(...groups));
const aval = fc
  .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(size, { maxLength: 4 }), weak: fc.boolean(), placement })
  .map(({ dtype, shape, ...rest }) => avalOf(dtype, shape, rest));
const scalar = fc
  .record({ dtype: fc.constantFrom(...dtypes), weak: fc.boolean(), value: number })
  .map(({ dtype, weak, value }) => literal(value, avalOf(dtype, [], { weak })));

const name = fc.oneof(
  fc.constantFrom("axes", "lambda", "in", "true", "two words", "", 'a"b', "ünï", "x\ny"),
  fc.string({ maxLength: 5 }).filter((text) => text !== "kind" && text !== "__proto__"),
);

function param(depth: number): fc.Arbitrary<Param> {
  const plain = fc.oneof(number, fc.boolean(), name, fc.constant(null), placement);
  if (depth === 0) return plain;
  const inner = param(depth - 1);
  return fc.oneof(
    { weight: 3, arbitrary: plain },
    { weight: 1, arbitrary: fc.array(inner, { maxLength: 3 }) },
    { weight: 1, arbitrary: fc.dictionary(name, inner, { maxKeys: 3, noNullPrototype: true }) as fc.Arbitrary<Param> },
    { weight: 1, arbitrary: jaxprs(depth - 1) },
  );
}

function jaxprs(depth: number): fc.Arbitrary<Jaxpr> {
  const equation = fc.record({
    primitive: fc.constantFrom("add", "scan", "dot_general", "in_place", "lambda_"),
    inputs: fc.array(fc.oneof(scalar, fc.nat()), { maxLength: 3 }),
    outputs: fc.array(aval, { maxLength: 3 }),
    params: fc.dictionary(name, param(depth), { maxKeys: 3, noNullPrototype: true }),
  });
  return fc
    .record({
      constvars: fc.array(aval, { maxLength: 2 }),
      invars: fc.array(aval, { maxLength: 3 }),
      eqns: fc.array(equation, { maxLength: 4 }),
      outvars: fc.array(fc.oneof(scalar, fc.nat()), { maxLength: 3 }),
    })
    .map((parts) => {
      const bound: Var[] = [];
      const bindAll = (avals: readonly (typeof bound)[number]["aval"][]): Var[] => {
        const variables = avals.map(freshVar);
        bound.push(...variables);
        return variables;
      };
      const atoms = (picks: readonly (Atom | number)[]): Atom[] =>
        picks.flatMap((pick) => {
          if (typeof pick !== "number") return [pick];
          const variable = bound[pick % Math.max(1, bound.length)];
          return variable === undefined ? [] : [variable];
        });
      return jaxprOf({
        constvars: bindAll(parts.constvars),
        invars: bindAll(parts.invars),
        eqns: parts.eqns.map(({ primitive, inputs, outputs, params }) => {
          const operands = atoms(inputs);
          return { primitive, inputs: operands, params, outputs: bindAll(outputs), source: null };
        }),
        outvars: atoms(parts.outvars),
      });
    });
}

test("parse inverts print, and the text is canonical", () => {
  fc.assert(
    fc.property(jaxprs(2), (jaxpr) => {
      const text = printJaxpr(jaxpr);
      const parsed = parseJaxpr(text);
      expect(equalJaxpr(parsed, jaxpr)).toBe(true);
      expect(printJaxpr(parsed)).toBe(text);
    }),
    { numRuns: 300 },
  );
});

test("what prints differently is not equal", () => {
  fc.assert(
    fc.property(jaxprs(1), jaxprs(1), (a, b) => {
      expect(equalJaxpr(a, b)).toBe(printJaxpr(a) === printJaxpr(b));
    }),
    { numRuns: 100 },
  );
});

test.each([
  ["dtypes", "{ lambda ; a:f32[2]. let in (a) }", "{ lambda ; a:f16[2]. let in (a) }"],
  ["shapes", "{ lambda ; a:f32[2]. let in (a) }", "{ lambda ; a:f32[3]. let in (a) }"],
  ["weakness", "{ lambda ; a:f32[2]. let in (a) }", "{ lambda ; a:~f32[2]. let in (a) }"],
  ["placements", "{ lambda ; a:f32[2]. let in (a) }", "{ lambda ; a:f32[2]@clients[1]. let in (a) }"],
  ["which variable", "{ lambda ; a:f32[] b:f32[]. let in (a) }", "{ lambda ; a:f32[] b:f32[]. let in (b) }"],
  ["signs of zero", "{ lambda ; . let in (0:f32) }", "{ lambda ; . let in (-0:f32) }"],
  ["constants", "{ lambda a:f32[] ; . let in (a) }", "{ lambda ; a:f32[]. let in (a) }"],
  ["parameters", "{ lambda ; . let a:f32[] = f[x=1] in (a) }", "{ lambda ; . let a:f32[] = f[x=true] in (a) }"],
])("equality sees %s", (_, a, b) => {
  expect(equalJaxpr(parseJaxpr(a), parseJaxpr(a))).toBe(true);
  expect(equalJaxpr(parseJaxpr(a), parseJaxpr(b))).toBe(false);
});

test("nan equals itself, and names do not matter", () => {
  const a = parseJaxpr("{ lambda ; x:f32[]. let y:f32[] = add x nan:f32 in (y) }");
  const b = parseJaxpr("{ lambda ; foo:f32[]. let bar:f32[] = add foo nan:f32 in (bar) }");
  expect(equalJaxpr(a, b)).toBe(true);
});

test.each([
  ["", "1:1", "expected {, but found the end of the text"],
  ["{ lambda ; a:f64[2]. let in (a) }", "1:14", "f64 is no dtype: there are f32, f16, i32, u32, bool"],
  ["{ lambda ; a:f32[]. let in (b) }", "1:29", "b is not bound here"],
  ["{ lambda ; a:f32[] a:f32[]. let in (a) }", "1:20", "a is bound twice"],
  ["{ lambda ; . let\n    a:f32[] = neg a\n  in (a) }", "2:19", "a is not bound here"],
  ["{ lambda ; . let\n  a:f32[] = iota[x=1 x=2]\n  in (a) }", "2:22", "the parameter x is given twice"],
  ["{ lambda ; . let\n  a:f32[] = iota[x=let]\n  in (a) }", "2:20", "expected a parameter, but found let"],
  ["{ lambda ; . let\n  7 in () }", "2:3", "expected an equation or in, but found 7"],
  ["{ lambda ; . let in () } }", "1:26", "expected the end of the text, but found }"],
  ["{ lambda ; . let in (1:f32[]) }", "1:27", "expected ), but found ["],
  ["{ lambda ; a:f32[99999999999999999999]. let in () }", "1:18", "the size 99999999999999999999 is too large"],
  ["{ lambda ; ? . let in () }", "1:12", 'the character "?" begins nothing here'],
])("%j is refused at %s", (text, place, fact) => {
  const [line, column] = place.split(":").map(Number);
  const { code, diagnostic } = faultOf(text);
  expect(code).toBe("FAX4001");
  expect(diagnostic.message).toBe(`parse: line ${line}, column ${column}: ${fact}`);
  expect(diagnostic.source).toEqual({ file: "<jaxpr>", line, column });
  expect(diagnostic.excerpt).toBe(text.split("\n")[(line as number) - 1]);
});

function faultOf(text: string): FaxError {
  try {
    parseJaxpr(text);
  } catch (error) {
    if (error instanceof FaxError) return error;
    throw error;
  }
  throw new Error("the text parses");
}
