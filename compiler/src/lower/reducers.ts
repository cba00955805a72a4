/** What a reduction over nothing gives. */
import type { DType } from "../ir/dtype.ts";
import { isFloat } from "../ir/dtype.ts";
import { constExpr, type Expr, type Reducer } from "./expr.ts";

/** The neutral element of a reducer on a dtype; position 0 for `argmax` and `argmin`, which have none. */
export function neutralOf(reducer: Reducer, dtype: DType): Expr {
  switch (reducer) {
    case "sum":
    case "or":
    case "argmax":
    case "argmin":
      return constExpr(0, dtype);
    case "prod":
      return constExpr(1, dtype);
    case "and":
      return constExpr(dtype === "u32" ? 0xffffffff : dtype === "i32" ? -1 : 1, dtype);
    case "max":
      return constExpr(isFloat(dtype) ? -Infinity : dtype === "i32" ? -(2 ** 31) : 0, dtype);
    case "min":
      return constExpr(
        isFloat(dtype) ? Infinity : dtype === "i32" ? 2 ** 31 - 1 : dtype === "u32" ? 0xffffffff : 1,
        dtype,
      );
    default:
      return reducer satisfies never;
  }
}
