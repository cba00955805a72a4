/** Folding of constants, what leaves loops, and what a device is told before a program is whole: on programs as text. */
import { expect, it } from "vitest";
import { baselineProfile, CompiledProgram, type KernelCode, optimize, parseJaxpr, printJaxpr } from "./index.ts";

const optimized = (text: string): string => printJaxpr(optimize(parseJaxpr(text)));

it("folds arithmetic on constants, through broadcasts and movement", () => {
  const text = optimized(`{ lambda ; a:f32[4,3]@server. let
    b:f32[]@server = div 1.0:f32 10.0:f32
    c:f32[3]@server = broadcast_in_dim[broadcast_dimensions=[] shape=[3]] b
    d:f32[3]@server = neg c
    e:f32[4,3]@server = broadcast_in_dim[broadcast_dimensions=[1] shape=[4,3]] d
    f:f32[4,3]@server = mul a e
  in (f) }`);
  expect(text).toMatchInlineSnapshot(`
    "{ lambda ; a:f32[4,3]. let
        b:f32[4,3] = mul a -0.1:f32
      in (b) }"
  `);
});

it("leaves what a device may round otherwise", () => {
  const text = optimized(`{ lambda ; a:f32[]@server. let
    b:f32[]@server = exp 1.0:f32
    c:f32[]@server = mul a b
  in (c) }`);
  expect(text).toContain("exp 1.0:f32");
});

it("computes what does not change in a loop in front of it", () => {
  const text = optimized(`{ lambda ; a:f32[3]@server b:f32[3]@server. let
    c:f32[3]@server = scan[
      jaxpr={ lambda ; d:f32[3]@server e:f32[3]@server. let
          f:f32[3]@server = exp d
          g:f32[3]@server = mul f f
          h:f32[3]@server = add e g
        in (h) }
      length=5
      num_carry=1
      num_consts=1
      reverse=false
    ] a b
  in (c) }`);
  expect(text).toMatchInlineSnapshot(`
    "{ lambda ; a:f32[3] b:f32[3]. let
        c:f32[3] = exp a
        d:f32[3] = mul c c
        e:f32[3] = scan[
          jaxpr={ lambda ; f:f32[3] g:f32[3]. let
              h:f32[3] = add g f
            in (h) }
          length=5
          num_carry=1
          num_consts=1
          reverse=false
        ] d b
      in (e) }"
  `);
});

it("tells of each kernel once, before the program is whole", () => {
  const program = new CompiledProgram(
    parseJaxpr(`{ lambda ; a:f32[4,3]@server b:f32[3,4]@server. let
      c:f32[4]@server = reduce_sum[axes=[1]] a
      d:f32[4]@server = reduce_max[axes=[0]] b
    in (c, d) }`),
  );
  const told: KernelCode[] = [];
  let whole = false;
  const { kernels } = program.executable(baselineProfile, {
    onKernel: (kernel) => {
      expect(whole).toBe(false);
      told.push(kernel);
    },
  });
  whole = true;
  expect(told.length).toBeGreaterThan(0);
  expect(told).toEqual(kernels);
});
