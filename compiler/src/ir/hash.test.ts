import { expect, test } from "vitest";
import { equalJaxpr, hashJaxpr, parseJaxpr } from "./index.ts";

const texts = [
  "{ lambda ; a:f32[2]. let b:f32[2] = sin a in (b) }",
  "{ lambda ; a:f32[2]. let b:f32[2] = cos a in (b) }",
  "{ lambda ; a:f32[3]. let b:f32[3] = sin a in (b) }",
  "{ lambda ; a:f32[2]. let b:f32[2] = add a 1:f32 in (b) }",
  "{ lambda ; a:f32[2]. let b:f32[2] = add a -0:f32 in (b) }",
  "{ lambda ; a:f32[2]. let b:f32[2] = f[x=1 y=[2, 3]] a in (b) }",
  "{ lambda ; a:f32[2]. let b:f32[2] = f[x=1 y=[3, 2]] a in (b) }",
];

test("equal programs have one hash, and these different ones have different hashes", () => {
  for (const text of texts) {
    const [a, b] = [parseJaxpr(text), parseJaxpr(text)];
    expect(equalJaxpr(a, b)).toBe(true);
    expect(hashJaxpr(a)).toBe(hashJaxpr(b));
  }
  expect(new Set(texts.map((text) => hashJaxpr(parseJaxpr(text)))).size).toBe(texts.length);
});
