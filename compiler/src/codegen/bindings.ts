/** The storage buffers of a kernel: which tensors lie in which, and how their elements are read and written. */
import { invariant } from "../diagnostics/index.ts";
import { type AdapterProfile, type BufferRef, storageBytes } from "../executable.ts";
import { type Kernel, partsOf } from "../fuse/kernel.ts";
import type { DType } from "../ir/dtype.ts";
import { sizeOf } from "../ir/shape.ts";
import { childrenOf } from "../lower/expr-pool.ts";
import type { Expr, Tensor } from "../lower/expr.ts";
import { type Names, typeText } from "../lower/print-expr.ts";
import type { Lanes } from "./wgsl-math.ts";

export interface Binding {
  readonly name: string;
  readonly buffer: BufferRef;
  readonly access: "read" | "read_write";
  readonly tensors: readonly Tensor[];
  /** The WGSL type of one element. */
  readonly element: "f32" | "f16" | "i32" | "u32";
}

/** Where a tensor lies; two tensors in one buffer share a binding. */
export type Assignment = (tensor: Tensor) => BufferRef;

/** Calls `visit` once for each distinct expression below `roots`, operands first. */
export function forEachExpr(roots: readonly Expr[], visit: (e: Expr) => void): void {
  const seen = new Set<Expr>();
  const walk = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    for (const operand of childrenOf(e)) walk(operand);
    visit(e);
  };
  for (const root of roots) walk(root);
}

function stagesOf(kernel: Kernel): Kernel["stages"] {
  return partsOf(kernel).flatMap((part) => part.stages);
}

/** Everything that a kernel evaluates, in order. */
export function rootsOf(kernel: Kernel): Expr[] {
  return stagesOf(kernel).flatMap((stage) =>
    stage.kind === "reduce"
      ? [...(stage.inner ?? []), ...stage.reductions].map(({ body }) => body)
      : stage.stores.flatMap((store) => [...store.index, store.value]),
  );
}

/** Bindings in order of appearance: loads first, then what is only stored. */
export function bindingsOf(kernel: Kernel, assignment: Assignment, profile: AdapterProfile): Binding[] {
  const byBuffer = new Map<string, { buffer: BufferRef; tensors: Tensor[]; written: boolean }>();
  const add = (tensor: Tensor, written: boolean): void => {
    const buffer = assignment(tensor);
    const key = typeof buffer === "number" ? `${buffer}` : `${buffer.even}/${buffer.odd}`;
    const entry = byBuffer.get(key) ?? { buffer, tensors: [], written: false };
    if (!entry.tensors.includes(tensor)) entry.tensors.push(tensor);
    entry.written ||= written;
    byBuffer.set(key, entry);
  };
  forEachExpr(rootsOf(kernel), (e) => {
    if (e.op === "load") add(e.tensor, false);
  });
  for (const stage of stagesOf(kernel)) {
    if (stage.kind === "store") for (const store of stage.stores) add(store.tensor, true);
  }
  return [...byBuffer.values()].map(({ buffer, tensors, written }, i) => {
    const first = tensors[0];
    invariant(first, "a binding without a tensor");
    const bytes = storageBytes(first.dtype, profile);
    invariant(
      tensors.every((tensor) => storageBytes(tensor.dtype, profile) === bytes),
      "tensors of different element sizes share a buffer in one kernel",
    );
    const element = storageElement(first.dtype, profile);
    return { name: `b${i}`, buffer, access: written ? "read_write" : "read", tensors, element };
  });
}

export function storageElement(dtype: DType, profile: AdapterProfile): Binding["element"] {
  if (dtype === "bool") return "u32";
  return dtype === "f16" && storageBytes(dtype, profile) === 4 ? "f32" : dtype;
}

/** A stored element, or four, as a value in registers. */
export function fromStorage(text: string, stored: Binding["element"], dtype: DType, lanes: Lanes): string {
  const wide = (type: string): string => (lanes === 4 ? `vec4<${type}>` : type);
  switch (dtype) {
    case "bool":
      return `(${recast(text, stored, "u32", wide)} != ${wide("u32")}(0u))`;
    case "f16":
      return stored === "f16" ? `${wide("f32")}(${text})` : recast(text, stored, "f32", wide);
    default:
      return recast(text, stored, dtype, wide);
  }
}

/** A value in registers as what is stored. */
export function toStorage(text: string, stored: Binding["element"], dtype: DType, lanes: Lanes): string {
  const wide = (type: string): string => (lanes === 4 ? `vec4<${type}>` : type);
  if (stored === "f16") return `${wide("f16")}(${text})`;
  if (dtype === "bool") return recast(`${wide("u32")}(${text})`, "u32", stored, wide);
  return recast(text, dtype === "f16" ? "f32" : dtype, stored, wide);
}

function recast(text: string, from: string, to: string, wide: (type: string) => string): string {
  return from === to ? text : `bitcast<${wide(to)}>(${text})`;
}

/** `t0: f32[32,784]`, or the several that share the buffer. */
export function describe(binding: Binding, names: Names): string {
  return binding.tensors.map((tensor) => `${names.tensor(tensor)}: ${typeText(tensor)}`).join(" and ");
}

/** Whether the tensors' elements come in whole groups of four, so that the array can be declared as one of vec4s. */
export function comesInFours(binding: Binding): boolean {
  return binding.tensors.every((tensor) => sizeOf(tensor.shape) % 4 === 0 && sizeOf(tensor.shape) > 0);
}
