/** A user's fault in the array front end, with the place in the user's code and the types of the operands. */
import {
  type Code,
  Constant,
  currentBuilder,
  FaxError,
  formatAval,
  isServer,
  userLocation,
  type Value,
} from "@fax/compiler";

export function fault(code: Code, message: string, { operands = [], help }: FaultContext = {}): FaxError {
  return new FaxError({
    code,
    message,
    source: currentBuilder()?.source ?? userLocation(),
    notes: operands.map((operand, i) => ({
      text:
        operand instanceof Constant
          ? `operand ${i}: the number ${operand.value}`
          : `operand ${i}: ${formatAval(operand.aval, !isServer(operand.aval.placement))}`,
    })),
    ...(help === undefined ? {} : { help }),
  });
}

interface FaultContext {
  readonly operands?: readonly Value[];
  readonly help?: string;
}

/** `[2,3]` */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(",")}]`;
}
