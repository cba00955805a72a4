/** Second definitions of values. */
import { axisExpr, type Expr, newAxis, newTensor } from "../lower/expr.ts";
import type { ExprPool, RewriteRules } from "../lower/expr-pool.ts";
import type { Again, Def } from "./definition.ts";
import type { Kernel } from "./kernel.ts";

/** The same under a name and axes of its own, with what `rules` replace. */
export function repeated(
  def: Def,
  rules: Pick<RewriteRules, "load" | "counter">,
  again: Omit<Again, "of">,
  pool: ExprPool,
): Def {
  const fresh = new Map(
    [...def.axes, ...(def.kind === "reduce" ? def.over : [])].map((axis) => [axis.id, newAxis(axis.size)]),
  );
  const axis = (id: number): Expr | undefined => {
    const own = fresh.get(id);
    return own && pool.intern(axisExpr(own));
  };
  const made = {
    tensor: newTensor(def.tensor.dtype, def.tensor.shape),
    axes: def.axes.map(({ id, size }) => fresh.get(id) ?? newAxis(size)),
    body: pool.rewrite(def.body, { ...rules, axis }),
    again: { ...again, of: def.again?.of ?? def.tensor.id },
  };
  if (def.kind === "map") return { ...def, ...made };
  return {
    ...def,
    ...made,
    over: def.over.map(({ id, size }) => fresh.get(id) ?? newAxis(size)),
  };
}

/** A definition as a kernel of its own, for what it costs. */
export function alone(def: Def): Kernel {
  const { tensor, axes, body, labels } = def;
  const shared = { name: labels.join("_"), rows: axes, reasons: [] };
  return def.kind === "reduce"
    ? {
        ...shared,
        stages: [
          {
            kind: "reduce",
            axes: def.over,
            reductions: [{ id: tensor.id, reducer: def.reducer, body }],
          },
        ],
      }
    : {
        ...shared,
        stages: [
          {
            kind: "store",
            axes: [],
            once: false,
            stores: [{ tensor, index: [], value: body }],
          },
        ],
      };
}
