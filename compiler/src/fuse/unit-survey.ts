/**
 * All definitions of a program, those of loop bodies included: where each stands, and which others are of the same value. All
 * loops, too, with the units among which they stand.
 */
import type { Tensor } from "../lower/expr.ts";
import type { Def, LoopUnit, Unit } from "./definition.ts";

export class UnitSurvey {
  readonly #defs = new Map<number, Def>();
  /** Which body a definition stands in, by the loop's counter. */
  readonly #bodies = new Map<number, number>();
  /** All definitions of one value, by the tensor of the first. */
  readonly #versions = new Map<number, Tensor[]>();
  readonly loops: { readonly loop: LoopUnit; readonly level: readonly Unit[] }[] = [];

  constructor(units: readonly Unit[]) {
    this.#visit(units, null);
  }

  #visit(units: readonly Unit[], around: LoopUnit | null): void {
    for (const unit of units) {
      if (unit.kind === "loop") {
        this.loops.push({ loop: unit, level: units });
        this.#visit(unit.body, unit);
        continue;
      }
      const { tensor } = unit;
      this.#defs.set(tensor.id, unit);
      if (around) this.#bodies.set(tensor.id, around.counter.id);
      const of = unit.again?.of ?? tensor.id;
      this.#versions.set(of, [...(this.#versions.get(of) ?? []), tensor]);
    }
  }

  definitionOf({ id }: Tensor): Def | undefined {
    return this.#defs.get(id);
  }

  /** Whether two tensors are defined in the same body, or both outside of loops. */
  areBeside(a: Tensor, b: Tensor): boolean {
    return this.#bodies.get(a.id) === this.#bodies.get(b.id);
  }

  /** Tensors with the value that a tensor has; itself first. */
  versionsOf(tensor: Tensor): Tensor[] {
    const of = this.#defs.get(tensor.id)?.again?.of ?? tensor.id;
    return [tensor, ...(this.#versions.get(of) ?? [])];
  }
}
