/**
 * The value that user code computes with: an immutable n-dimensional array, known (on a device, a constant) or abstract
 * (a tracer). `P` is the placement as the type checker of the user's editor sees it; inside a map a member's own value
 * counts as "server", since ordinary code applies to it.
 */
import { FaxError, InternalError } from "../diagnostics/index.ts";
import { type Aval, avalOf, formatAval } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import type { Literal, Var } from "../ir/jaxpr.ts";
import { literal } from "../ir/jaxpr.ts";
import { allocateData, type HostData, roundToF16 } from "../ir/host-array.ts";
import { isServer } from "../ir/placement.ts";
import { type Shape, sizeOf } from "../ir/shape.ts";
import type { JaxprBuilder } from "./builder.ts";
import { userLocation } from "./source.ts";

declare const placementBrand: unique symbol;

export abstract class NDArray<P extends string = "server"> {
  declare readonly [placementBrand]: P;
  abstract readonly aval: Aval;

  get shape(): Shape {
    return this.aval.shape;
  }

  get dtype(): DType {
    return this.aval.dtype;
  }

  get ndim(): number {
    return this.aval.shape.length;
  }

  get size(): number {
    return sizeOf(this.aval.shape);
  }

  /**
   * The elements, row-major: `Float32Array` (also for f16), `Int32Array`, `Uint32Array`, or `Uint8Array` of 0 and 1 for
   * bools. A value at a group gives its members one after the other. FAX1002 inside a trace.
   */
  data(): Promise<HostData> {
    return Promise.reject(
      new FaxError({
        code: "FAX1002",
        message: `the data of a traced value of type ${formatAval(this.aval, !isServer(this.aval.placement))} is not known yet`,
        source: userLocation(),
        help: "return the value from the traced function, and read it there",
      }),
    );
  }

  /** The only element: a number, or a boolean. FAX1203 if there are more. */
  async item(): Promise<number | boolean> {
    if (this.size !== 1) {
      throw new FaxError({
        code: "FAX1203",
        message: `item: an array of shape [${this.shape.join(",")}] has ${this.size} elements, not one`,
        source: userLocation(),
        help: "read all of them with await x.data() or await x.tolist()",
      });
    }
    return fromElement((await this.data())[0] as number, this.dtype);
  }

  /** The elements as nested lists; a scalar gives its number. */
  async tolist(): Promise<NestedList> {
    const data = await this.data();
    const { shape, dtype } = this;
    let next = 0;
    const build = (axis: number): NestedList =>
      axis === shape.length
        ? fromElement(data[next++] as number, dtype)
        : Array.from({ length: shape[axis] as number }, () => build(axis + 1));
    return build(0);
  }

  /** Frees the memory now rather than when the array is collected. Reading it afterwards is an error. */
  dispose(): void {}

  [Symbol.dispose](): void {
    this.dispose();
  }
}

export type NestedList = number | boolean | NestedList[];

function fromElement(value: number, dtype: DType): number | boolean {
  return dtype === "bool" ? value !== 0 : value;
}

/** Any array, whatever its placement: what the compiler's own rules work on. */
export type Value = NDArray<string>;

/** A value of a program that is being traced. */
export class Tracer extends NDArray<string> {
  readonly builder: JaxprBuilder;
  readonly variable: Var;

  constructor(builder: JaxprBuilder, variable: Var) {
    super();
    this.builder = builder;
    this.variable = variable;
  }

  override get aval(): Aval {
    return this.variable.aval;
  }
}

/** A scalar known to the tracer. It becomes a literal of the IR, which fits any placement and any shape. */
export class Constant extends NDArray<string> {
  readonly literal: Literal;

  constructor(value: Literal) {
    super();
    this.literal = value;
  }

  override get aval(): Aval {
    return this.literal.aval;
  }

  get value(): number {
    return this.literal.value;
  }

  override data(): Promise<HostData> {
    const data = allocateData(this.dtype, 1);
    data[0] = this.dtype === "f16" ? roundToF16(this.value) : this.value;
    return Promise.resolve(data);
  }
}

export function constant(value: number | boolean, dtype: DType, { weak = false } = {}): Constant {
  if (typeof value !== "number" && typeof value !== "boolean") throw new InternalError("a constant must be a scalar");
  return new Constant(literal(Number(value), avalOf(dtype, [], { weak })));
}
