import { expect, test } from "vitest";
import { FaxError, InternalError } from "../diagnostics/index.ts";
import { type Aval, avalOf } from "./aval.ts";
import { type CheckedPrimitive, checkJaxpr } from "./check.ts";
import { type Jaxpr, jaxprOf, literal } from "./jaxpr.ts";
import { parseJaxpr } from "./parse.ts";
import { leave } from "./placement.ts";

const primitives: Record<string, CheckedPrimitive> = {
  add: {
    name: "add",
    kind: "elementwise",
    abstractEval(inputs) {
      const [x, y] = inputs as [Aval, Aval];
      if (x.dtype !== y.dtype) {
        throw new FaxError({ code: "FAX1102", message: `add: operands have dtypes ${x.dtype} and ${y.dtype}` });
      }
      return [x.shape.length >= y.shape.length ? x : y];
    },
  },
  iota: { name: "iota", kind: "array", abstractEval: () => [avalOf("i32", [3])] },
  federated_sum: {
    name: "federated_sum",
    kind: "communication",
    abstractEval: (inputs) => inputs.map((x) => ({ ...x, placement: leave(x.placement) })),
  },
  scan: { name: "scan", kind: "control", abstractEval: (inputs) => inputs },
};
const table = { find: (name: string) => primitives[name] };

function check(jaxpr: Jaxpr | string): void {
  checkJaxpr(typeof jaxpr === "string" ? parseJaxpr(jaxpr) : jaxpr, table);
}

test.each([
  "{ lambda ; a:f32[2]. let b:f32[2] = add a 1.0:f32 in (b, b) }",
  "{ lambda c:f32[2] ; a:~f32[2]. let b:f32[2] = add a c in (b) }",
  "{ lambda ; a:f32[2]@clients[3]. let b:f32[2]@clients[3] = add a 1.0:f32 c:f32[2]@server = federated_sum b in (c) }",
  "{ lambda ; . let a:i32[3]@clients[4] = iota[placement=@clients[4]] in (a) }",
  "{ lambda ; . let a:i32[3] = iota in (a) }",
  "{ lambda ; a:f32[2]. let b:f32[2] = scan[jaxpr={ lambda ; a:f32[2]. let b:f32[2] = add a a in (b) }] a in (b) }",
])("%s is well-formed", (text) => {
  expect(() => check(text)).not.toThrow();
});

test.each([
  [
    "a result of the wrong shape",
    "{ lambda ; a:f32[2]. let b:f32[3] = add a a in (b) }",
    "add: result 0 is bound as f32[3], but is f32[2]",
  ],
  [
    "the wrong number of results",
    "{ lambda ; a:f32[2]. let b:f32[2] c:f32[2] = add a a in (b) }",
    "add: binds 2 results, but gives 1",
  ],
  [
    "an unknown primitive",
    "{ lambda ; a:f32[2]. let b:f32[2] = frobnicate a in (b) }",
    "no primitive is named frobnicate",
  ],
  [
    "operands that do not fit",
    "{ lambda ; a:f32[2] b:i32[2]. let c:f32[2] = add a b in (c) }",
    "add: operands have dtypes f32 and i32",
  ],
  [
    "mixed placements",
    "{ lambda ; a:f32[2]@server b:f32[2]@clients[3]. let c:f32[2]@clients[3] = add a b in (c) }",
    "add: operands are at different placements, @server and @clients[3]",
  ],
  [
    "a parameter that contradicts the operands",
    "{ lambda ; b:f32[2]@clients[3]. let c:f32[2]@clients[3] = add[placement=@clients[4]] b b in (c) }",
    "add: operands are at different placements, @clients[3] and @clients[4]",
  ],
  [
    "a result at another placement",
    "{ lambda ; a:f32[2]@clients[3]. let b:f32[2]@clients[3] = federated_sum a in (b) }",
    "federated_sum: result 0 is bound as f32[2]@clients[3], but is f32[2]@server",
  ],
  ["an empty group", "{ lambda ; a:f32[2]@clients[0]. let in (a) }", "argument 0 has the group clients with 0 members"],
  [
    "a literal that its dtype cannot hold",
    "{ lambda ; . let in (-1:u32) }",
    "output 0, -1:u32, has a value that u32 cannot hold",
  ],
  [
    "a fault inside",
    "{ lambda ; a:f32[2]. let b:f32[2] = scan[jaxpr={ lambda ; a:f32[2]. let b:f32[] = add a a in (b) }] a in (b) }",
    "add: result 0 is bound as f32[], but is f32[2]",
  ],
  [
    "a capture inside",
    "{ lambda ; a:f32[2]. let b:f32[2] = scan[jaxpr={ lambda k:f32[] ; a:f32[2]. let in (a) }] a in (b) }",
    "scan: its Jaxpr captures constants",
  ],
])("%s is a fault", (_, text, fact) => {
  expect(() => check(text)).toThrow(InternalError);
  expect(() => check(text)).toThrow(`check: the Jaxpr is not well-formed: ${fact}\n`);
});

test("scoping is checked", () => {
  const good = parseJaxpr("{ lambda ; a:f32[2]. let b:f32[2] = add a a c:f32[2] = add b b in (c) }");
  const [first, second] = good.eqns;
  if (!first || !second) throw new Error("two equations");
  expect(() => check(jaxprOf({ ...good, eqns: [second, first] }))).toThrow("operand 0 is a variable that is not bound");
  expect(() => check(jaxprOf({ ...good, eqns: [first, first] }))).toThrow(
    "result 0 binds a variable that is bound already",
  );
  expect(() => check(jaxprOf({ ...good, eqns: [first] }))).toThrow("output 0 is a variable that is not bound before");
  expect(() => check(jaxprOf({ ...good, outvars: [literal(0, avalOf("f32", [2]))] }))).toThrow("literals are scalars");
});

test("the equations around the fault are printed, the faulty one marked", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"];
  const eqns = names.slice(1).map((name, i) => `${name}:f32[${name === "i" ? 3 : 2}] = add ${names[i]} a`);
  expect(() => check(`{ lambda ; a:f32[2]. let ${eqns.join("\n")} in (q) }`)).toThrowErrorMatchingInlineSnapshot(`
    [InternalError: check: the Jaxpr is not well-formed: add: result 0 is bound as f32[3], but is f32[2]
        …
        d:f32[2] = add c a
        e:f32[2] = add d a
        f:f32[2] = add e a
        g:f32[2] = add f a
        h:f32[2] = add g a
      ▸ i:f32[3] = add h a
        j:f32[2] = add i a
        k:f32[2] = add j a
        l:f32[2] = add k a
        m:f32[2] = add l a
        n:f32[2] = add m a
        …]
  `);
});

test("text that was parsed is its writer's fault", () => {
  const jaxpr = parseJaxpr("{ lambda ; a:f32[2]. let b:f32[3] = add a a in (b) }");
  expect(() => checkJaxpr(jaxpr, table, { origin: "text", what: "loss.jaxpr" })).toThrow(
    /^FAX4002 check: loss\.jaxpr is not well-formed: add: result 0/,
  );
});
