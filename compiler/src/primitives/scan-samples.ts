/** Samples of `scan`: loop bodies as text, since a body is a Jaxpr. */
import type { Jaxpr } from "../ir/jaxpr.ts";
import { parseJaxpr } from "../ir/parse.ts";
import type { Sample, SampleInput } from "./primitive.ts";
import type { ScanParams } from "./scan-params.ts";

const f32 = (...shape: number[]): SampleInput => ({ dtype: "f32", shape, from: -1, to: 1 });

interface Loop {
  readonly body: Jaxpr;
  readonly consts?: readonly SampleInput[];
  readonly carry?: readonly SampleInput[];
  readonly xs?: readonly SampleInput[];
  readonly length: number;
  readonly reverse?: boolean;
  readonly smooth?: boolean;
}

function sample(name: string, loop: Loop): Sample<ScanParams> {
  const { body, consts = [], carry = [], xs = [], length, reverse = false, smooth = true } = loop;
  const params = { jaxpr: body, length, reverse, num_consts: consts.length, num_carry: carry.length };
  return { name, inputs: [...consts, ...carry, ...xs], params, smooth };
}

/** c ← c · w + sin x, y = c · x */
const recurrence = parseJaxpr(`{ lambda ; w:f32[3] c:f32[3] x:f32[3]. let
    s:f32[3] = sin x
    p:f32[3] = mul c w
    d:f32[3] = add p s
    y:f32[3] = mul c x
  in (d, y) }`);

const onlyCarry = parseJaxpr(`{ lambda ; w:f32[2,2] c:f32[2]. let
    p:f32[2] = dot_general[dimension_numbers=[[[1],[0]],[[],[]]]] w c
    d:f32[2] = tanh p
  in (d) }`);

const onlyRows = parseJaxpr(`{ lambda ; x:f32[2] k:i32[2]. let
    s:f32[2] = sin x
    y:f32[2] = mul s x
    n:i32[2] = add k 1:i32
  in (y, n) }`);

/** The carries change places, and one result is a carry as it comes in. */
const exchange = parseJaxpr(`{ lambda ; a:f32[2] b:f32[2] x:f32[2]. let
    c:f32[2] = mul a x
  in (b, c, a) }`);

/** A counter picks from a table; a flag and the table's row pass through. */
const counting = parseJaxpr(`{ lambda ; t:f32[5] i:i32[] m:bool[] c:f32[] j:i32[]. let
    r:f32[1] = dynamic_slice[slice_sizes=[1]] t i
    e:f32[] = reshape[new_sizes=[]] r
    f:f32[] = mul e e
    d:f32[] = add c f
    k:i32[] = add i j
    g:bool[] = lt k 3:i32
  in (k, g, d, e, k, m) }`);

const passing = parseJaxpr(`{ lambda ; w:f32[2] c:f32[] d:f32[2] x:f32[2]. let
  in (1.5:f32, d, w, x, 2.0:f32) }`);

/** c ← Σᵢ over an inner loop of its own, with the outer carry and row as the inner loop's consts. */
const nested = parseJaxpr(`{ lambda ; w:f32[2] c:f32[] x:f32[2]. let
    p:f32[2] = mul w x
    d:f32[] e:f32[2] = scan[
      jaxpr={ lambda ; o:f32[] a:f32[] q:f32[]. let
          r:f32[] = mul a q
          s:f32[] = sin o
          t:f32[] = add r s
        in (t, a) }
      length=2
      num_carry=1
      num_consts=1
      reverse=true
    ] c c p
  in (d, e) }`);

/** A round at the server: broadcast, work of the members, mean. */
const rounds = parseJaxpr(`{ lambda ; w:f32[2]@server c:f32[2]@server. let
    b:f32[2]@clients[3] = federated_broadcast[group=clients size=3] c
    g:f32[2]@clients[3] = sin b
    m:f32[2]@server = federated_mean g
    s:f32[2]@server = federated_sum b
    p:f32[2]@server = mul m w
    d:f32[2]@server = sub c p
  in (d, s) }`);

const halves = parseJaxpr(`{ lambda ; c:f16[2] x:f16[2]. let
    d:f16[2] = mul c x
  in (d, d) }`);

const loop = { body: recurrence, consts: [f32(3)], carry: [f32(3)] };

export const scanSamples: readonly Sample<ScanParams>[] = [
  sample("carry and rows", { ...loop, xs: [f32(4, 3)], length: 4 }),
  sample("reverse", { ...loop, xs: [f32(4, 3)], length: 4, reverse: true }),
  sample("one iteration", { ...loop, xs: [f32(1, 3)], length: 1 }),
  sample("no iteration", { ...loop, xs: [f32(0, 3)], length: 0 }),
  sample("carry only", { body: onlyCarry, consts: [f32(2, 2)], carry: [f32(2)], length: 3 }),
  sample("rows only, integers beside floats", {
    body: onlyRows,
    xs: [f32(3, 2), { dtype: "i32", shape: [3, 2], from: -9, to: 9 }],
    length: 3,
  }),
  sample("rows only, reverse", {
    body: onlyRows,
    xs: [f32(3, 2), { dtype: "i32", shape: [3, 2], from: -9, to: 9 }],
    length: 3,
    reverse: true,
  }),
  sample("carries that change places", { body: exchange, carry: [f32(2), f32(2)], xs: [f32(5, 2)], length: 5 }),
  sample("carries that change places, an even number of times", {
    body: exchange,
    carry: [f32(2), f32(2)],
    xs: [f32(4, 2)],
    length: 4,
    reverse: true,
  }),
  sample("a counter and a flag beside floats", {
    body: counting,
    consts: [f32(5)],
    carry: [{ dtype: "i32", shape: [], values: [0] }, { dtype: "bool", shape: [], values: [1] }, f32()],
    xs: [{ dtype: "i32", shape: [4], values: [1, 2, 0, 1] }],
    length: 4,
  }),
  sample("what only passes through", {
    body: passing,
    consts: [f32(2)],
    carry: [f32(), f32(2)],
    xs: [f32(3, 2)],
    length: 3,
  }),
  sample("a loop in a loop", { body: nested, consts: [f32(2)], carry: [f32()], xs: [f32(3, 2)], length: 3 }),
  sample("rounds with communication", { body: rounds, consts: [f32(2)], carry: [f32(2)], length: 3 }),
  sample("f16", {
    body: halves,
    carry: [{ dtype: "f16", shape: [2] }],
    xs: [{ dtype: "f16", shape: [3, 2] }],
    length: 3,
    smooth: false,
  }),
];
