/**
 * A body that reads more tensors than a kernel may bind is cut: parts of it are computed into memory first, over the
 * same points. A part may have stood in a branch that is not taken everywhere, so its loads are clamped into range; what it
 * then reads elsewhere is never looked at.
 */
import { FaxError, invariant } from "../diagnostics/index.ts";
import { type Axis, axisExpr, binaryExpr, constExpr, type Expr, loadExpr, newAxis, newTensor } from "../lower/expr.ts";
import { type ExprPool, loadsOf, nodesOf, type RewriteRules } from "../lower/expr-pool.ts";
import { rangeOf } from "../lower/simplify-index.ts";
import type { Def, MapDef } from "./definition.ts";

export function splitBody<D extends Def>(def: D, maxBindings: number, pool: ExprPool): { parts: MapDef[]; rest: D } {
  invariant(maxBindings >= 3, "a kernel binds at least three buffers");
  const parts: MapDef[] = [];
  const space = def.kind === "reduce" ? [...def.axes, ...def.over] : [...def.axes];
  let body = def.body;
  while (tensorsIn(body).size + 1 > maxBindings) {
    const piece = largestPiece(body, maxBindings, pool);
    if (piece === null) {
      throw new FaxError({
        code: "FAX2003",
        message: `${def.labels[0] ?? "kernel"}: an element depends on ${tensorsIn(body).size} arrays at once, and a kernel may bind ${maxBindings} buffers`,
      });
    }
    const axes = space.map((axis) => newAxis(axis.size));
    const tensor = newTensor(piece.dtype, sizesOf(axes));
    const at = new Map(space.map((axis, d) => [axis.id, pool.intern(axisExpr(axes[d] ?? axis))]));
    const rules: RewriteRules = {
      axis: (id) => at.get(id),
      load: (source, index) => clamped(source, index, pool),
    };
    const value = pool.rewrite(piece, rules);
    parts.push({ kind: "map", tensor, axes, body: value, labels: [`${def.labels.at(-1) ?? "value"}_part`] });
    body = replaced(body, piece, pool.intern(loadExpr(tensor, space.map(axisExpr))), pool);
  }
  return { parts, rest: { ...def, body } };
}

function sizesOf(axes: readonly Axis[]): number[] {
  return axes.map((axis) => axis.size);
}

function tensorsIn(expr: Expr): Set<number> {
  return new Set(loadsOf([expr]).map((load) => load.tensor.id));
}

/** The subexpression of most tensors that fits a kernel, of those whose removal makes the body read fewer. */
function largestPiece(body: Expr, maxBindings: number, pool: ExprPool): Expr | null {
  const total = tensorsIn(body).size;
  const candidates = nodesOf([body])
    .filter((node) => node !== body && node.op !== "load" && node.op !== "const")
    .map((node) => ({ node, size: tensorsIn(node).size }))
    .filter(({ size }) => size > 1 && size + 1 <= maxBindings)
    .sort((a, b) => b.size - a.size);
  for (const { node } of candidates) {
    const stored = pool.intern(loadExpr(newTensor(node.dtype, []), []));
    if (tensorsIn(replaced(body, node, stored, pool)).size < total) return node;
  }
  return null;
}

function clamped(tensor: Parameters<typeof loadExpr>[0], index: readonly Expr[], pool: ExprPool): Expr {
  const safe = index.map((at, d) => {
    const last = (tensor.shape[d] as number) - 1;
    const { lo, hi } = rangeOf(at);
    const above = lo >= 0 ? at : binaryExpr("max", at, constExpr(0));
    return hi <= last ? above : binaryExpr("min", above, constExpr(last));
  });
  return pool.intern(loadExpr(tensor, safe));
}

function replaced(expr: Expr, piece: Expr, by: Expr, pool: ExprPool): Expr {
  return pool.rewrite(expr, {}, new Map([[piece, by]]));
}
