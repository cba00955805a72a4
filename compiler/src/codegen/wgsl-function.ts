/**
 * How a mathematical function is written in WGSL, once for a scalar and a vec4: `$F $I $U $B` stand for the float, i32, u32
 * and bool types of either form, and `$name(` calls another function of the same form.
 */
export interface WgslFunction {
  /** Without parameters and `fn name`: `(x: $F) -> $F { … }`. */
  readonly source: string;
  /** Only the scalar form is written; the vec4 form calls it per lane, with as many arguments. */
  readonly perLane?: { readonly arity: 1 | 2; readonly type: "f32" | "i32" | "u32" };
}
