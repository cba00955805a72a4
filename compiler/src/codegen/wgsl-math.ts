/**
 * Mathematical functions as WGSL source, with IEEE 754 results at NaN, infinities and signed zeros whatever the driver
 * assumes: values are classified by their bits. A kernel gets those that it calls.
 */
import { invariant } from "../diagnostics/index.ts";
import { elementaryFunctions } from "./wgsl-elementary-functions.ts";
import { exactFunctions } from "./wgsl-exact-functions.ts";
import type { WgslFunction } from "./wgsl-function.ts";

/** How many elements a value holds in registers. */
export type Lanes = 1 | 4;

const functions: Readonly<Record<string, WgslFunction>> = { ...exactFunctions, ...elementaryFunctions };

const scalarNames: Readonly<Record<string, string>> = { F: "f32", I: "i32", U: "u32", B: "bool" };

function nameOf(name: string, lanes: Lanes): string {
  return `fax_${name}${lanes === 4 ? "_4" : ""}`;
}

/** Collects the functions that a kernel calls, and those that they call. */
export class MathLibrary {
  private readonly emitted = new Map<string, string>();

  /** The name under which the function can be called in the kernel. */
  use(name: string, lanes: Lanes): string {
    const key = nameOf(name, lanes);
    if (!this.emitted.has(key)) {
      const found = functions[name];
      invariant(found, `no WGSL function ${name}`);
      this.emitted.set(
        key,
        lanes === 4 && found.perLane ? this.laneByLane(name, found.perLane) : this.write(name, lanes),
      );
    }
    return key;
  }

  private write(name: string, lanes: Lanes): string {
    const found = functions[name];
    invariant(found, `no WGSL function ${name}`);
    const body = found.source.replace(/\$([A-Za-z]\w*)/g, (_, word: string) => {
      const scalar = scalarNames[word];
      if (scalar !== undefined) return lanes === 4 ? `vec4<${scalar}>` : scalar;
      return this.use(word, lanes);
    });
    return `fn ${nameOf(name, lanes)}${body}`;
  }

  private laneByLane(name: string, { arity, type }: { arity: 1 | 2; type: string }): string {
    const scalar = this.use(name, 1);
    const lanes = ["x", "y", "z", "w"].map((lane) => `${scalar}(x.${lane}${arity === 2 ? `, y.${lane}` : ""})`);
    const parameters = arity === 2 ? `x: vec4<${type}>, y: vec4<${type}>` : `x: vec4<${type}>`;
    return `fn ${nameOf(name, 4)}(${parameters}) -> vec4<${type}> {\n  return vec4<${type}>(${lanes.join(", ")});\n}`;
  }

  /** In an order that does not depend on the order of calls. */
  source(): string {
    return [...this.emitted.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, source]) => source)
      .join("\n\n");
  }
}
