import { type Library, NotPossible } from "./library.ts";

export function onnxRuntime(): Library {
  throw new NotPossible("not yet");
}
