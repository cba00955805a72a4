import { type NDArray, type Value } from "@fax/compiler";
import {
  grad,
  hessian,
  jacfwd,
  jacrev,
  jit,
  jvp,
  lax,
  linearize,
  makeJaxpr,
  np,
  setDevice,
  valueAndGrad,
  vjp,
  vmap,
} from "@fax/core";
import { beforeAll, describe, expect, it } from "vitest";

beforeAll(() => setDevice("reference"));

function array(values: readonly number[], shape: readonly number[] = [values.length]): NDArray<string> {
  return np.array(Float32Array.from(values), { shape });
}

async function list(value: unknown): Promise<unknown> {
  return (value as NDArray).tolist();
}

describe("derivatives", () => {
  const f = (x: Value): Value => lax.reduce_sum(lax.mul(lax.sin(x), x), [0]);
  const x = array([0.5, -1, 2]);
  const expected = [0.5, -1, 2].map((v) => Math.cos(v) * v + Math.sin(v));

  it("grad is the derivative", async () => {
    const g = (await list(grad(f)(x))) as number[];
    g.forEach((value, i) => expect(value).toBeCloseTo(expected[i] as number, 5));
  });

  it("grad under jit, and of jit", async () => {
    for (const h of [jit(grad(f)), grad(jit(f))]) {
      const g = (await list(h(x))) as number[];
      g.forEach((value, i) => expect(value).toBeCloseTo(expected[i] as number, 5));
    }
  });

  it("jvp, vjp and linearize agree", async () => {
    const t = array([1, 2, 3]);
    const [, tangent] = jvp(f, [x], [t]);
    const [, push] = linearize(f, x);
    const [, pull] = vjp(f, x);
    const [ct] = pull(array([1], []) as Value);
    const directional = expected.reduce((sum, value, i) => sum + value * (i + 1), 0);
    expect(await tangent.item()).toBeCloseTo(directional, 4);
    expect(await push(t).item()).toBeCloseTo(directional, 4);
    const pulled = (await list(ct)) as number[];
    pulled.forEach((value, i) => expect(value).toBeCloseTo(expected[i] as number, 5));
  });

  it("jacfwd, jacrev and hessian have output + input shapes", async () => {
    const square = (v: Value): Value => lax.mul(v, v);
    expect(await list(jacfwd(square)(array([1, 2])))).toEqual([
      [2, 0],
      [0, 4],
    ]);
    expect(await list(jacrev(square)(array([1, 2])))).toEqual([
      [2, 0],
      [0, 4],
    ]);
    const cube = (v: Value): Value => lax.reduce_sum(lax.integer_pow(v, 3), [0]);
    expect(await list(hessian(cube)(array([1, 2])))).toEqual([
      [6, 0],
      [0, 12],
    ]);
  });

  it("vmap of grad maps over the leading axis, and grad of vmap works", async () => {
    const perRow = vmap(grad((v: Value) => lax.reduce_sum(lax.mul(v, v), [0])));
    expect(await list(perRow(array([1, 2, 3, 4], [2, 2])))).toEqual([
      [2, 4],
      [6, 8],
    ]);
    const total = grad((m: Value) =>
      lax.reduce_sum(vmap((row: Value) => lax.reduce_sum(lax.mul(row, row), [0]))(m), [0]),
    );
    expect(await list(total(array([1, 2, 3, 4], [2, 2])))).toEqual([
      [2, 4],
      [6, 8],
    ]);
  });

  it("a scan is differentiated in both modes and mapped", async () => {
    // y = x · w^3 by three steps; dy/dw = 3 x w², dy/dx = w³
    const power = (w: Value, v: Value): Value =>
      lax.scan((c: Value) => [lax.mul(c, w), c], v, null, { length: 3 })[0] as Value;
    const [value, [dw, dx]] = valueAndGrad(power, { argnums: [0, 1] })(array([2], []), array([5], [])) as unknown as [
      NDArray,
      [NDArray, NDArray],
    ];
    expect([await value.item(), await dw.item(), await dx.item()]).toEqual([40, 60, 8]);
    const [, tangent] = jvp(power, [array([2], []), array([5], [])], [array([1], []), array([0], [])]);
    expect(await tangent.item()).toBe(60);
    const second = grad(grad(power))(array([2], []), array([5], []));
    expect(await second.item()).toBe(60);
    const mapped = vmap(grad(power), [0, null])(array([1, 2]), array([5], []));
    expect(await list(mapped)).toEqual([15, 60]);
  });

  it("stacked rows carry gradients, in both directions of the loop", async () => {
    for (const reverse of [false, true]) {
      const f2 = (xs: Value): Value => {
        const [, ys] = lax.scan((c: Value, v: Value) => [lax.mul(c, v), lax.add(c, v)], array([1], []) as Value, xs, {
          reverse,
        });
        return lax.reduce_sum(lax.mul(ys, ys), [0]);
      };
      const xs = [1.5, -0.5, 2];
      const g = (await list(grad(f2)(array(xs)))) as number[];
      const at = (v: number[]): number => {
        let [c, sum] = [1, 0];
        for (const e of reverse ? [...v].reverse() : v) {
          sum += (c + e) ** 2;
          c *= e;
        }
        return sum;
      };
      g.forEach((value, i) => {
        const step = (d: number): number => at(xs.map((v, k) => (k === i ? v + d : v)));
        expect(value).toBeCloseTo((step(1e-5) - step(-1e-5)) / 2e-5, 3);
      });
    }
  });

  it("makeJaxpr prints", () => {
    expect(String(makeJaxpr((v: Value) => lax.mul(lax.sin(v), 2))(x))).toMatchInlineSnapshot(`
      "{ lambda ; a:f32[3]. let
          b:f32[3] = sin a
          c:f32[3] = mul b 2.0:f32
        in (c) }"
    `);
  });
});
