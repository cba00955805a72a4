/** Element types as user code names them: NumPy's names, or the short ones of the IR. */
import { type DType, dtypes, FaxError, isDType, userLocation } from "@fax/compiler";

const numpyNames = { float32: "f32", float16: "f16", int32: "i32", uint32: "u32" } as const satisfies Record<
  string,
  DType
>;

/** A dtype by its short name (`"f32"`) or NumPy's (`"float32"`). */
export type DTypeLike = DType | keyof typeof numpyNames;

export const float32 = "f32";
export const float16 = "f16";
export const int32 = "i32";
export const uint32 = "u32";
export const bool = "bool";

/**
 * The dtype that a name stands for.
 *
 * @throws FAX1101 for a name that is no dtype here, such as `float64`
 */
export function resolveDType(name: string, spec: DTypeLike): DType {
  const given: string = spec;
  if (isDType(given)) return given;
  if (given in numpyNames) return numpyNames[given as keyof typeof numpyNames];
  throw new FaxError({
    code: "FAX1101",
    message: `${name}: there is no dtype ${describe(given)}, WebGPU has ${dtypes.join(", ")}`,
    source: userLocation(),
    help: suggestion(given),
  });
}

function describe(given: unknown): string {
  return typeof given === "string" ? `"${given}"` : String(given);
}

function suggestion(given: unknown): string {
  const asked = String(given);
  if (/^u/i.test(asked)) return "np.uint32 is the widest unsigned integer";
  if (/^i/i.test(asked)) return "np.int32 is the widest integer";
  if (/^c/i.test(asked)) return "keep real and imaginary parts as two np.float32 arrays";
  return "np.float32 is the widest float";
}
