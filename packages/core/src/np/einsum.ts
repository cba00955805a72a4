/** Einstein summation: parsing of subscripts; the work is `contract`'s. */
import { type NDArray, range, type Value } from "@fax/compiler";
import { contract } from "./contract.ts";
import { fault, formatShape } from "./fault.ts";
import { type ArrayLike, asValue, placed } from "./operand.ts";

/**
 * The sum of products over the labels that the output does not name, as NumPy's `einsum`: `"ij,jk->ik"`. Without `->` the output has
 * the labels that occur once, in alphabetical order. A label repeated in one operand takes its diagonal; `...` stands for
 * further axes, which broadcast. Several operands are contracted pair after pair, the cheapest first; products accumulate in
 * f32.
 *
 * @throws FAX1203 for subscripts that do not parse or do not fit the operands, FAX1201 for sizes that differ
 * @example np.einsum("bij,bjk->bik", np.ones([8, 2, 3]), np.ones([8, 3, 4])); // f32[8,2,4]
 */
export function einsum<P extends string = "server">(subscripts: string, ...operands: ArrayLike<P>[]): NDArray<P> {
  const values = operands.map((operand) => asValue("einsum", operand));
  const { inputs, output } = parse(subscripts, values);
  return placed(contract("einsum", values, inputs, output));
}

interface Subscripts {
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
}

function parse(subscripts: string, values: readonly Value[]): Subscripts {
  const wrong = (problem: string, help?: string): Error =>
    fault("FAX1203", `einsum: ${problem} in "${subscripts}"`, {
      operands: values,
      ...(help === undefined ? {} : { help }),
    });
  const sides = subscripts.replaceAll(/\s/g, "").split("->");
  if (sides.length > 2) throw wrong("there is more than one ->");
  const terms = (sides[0] as string).split(",");
  if (terms.length !== values.length) {
    throw wrong(
      `${terms.length} terms do not fit ${values.length} operands`,
      "write one term for each operand, with commas between",
    );
  }
  const parts = terms.map((term) => splitTerm(term, wrong));
  const extra = parts.map(({ before, after, ellipsis }, i) => {
    const { shape } = values[i] as Value;
    const rest = shape.length - before.length - after.length;
    if (rest < 0 || (rest > 0 && !ellipsis)) {
      throw wrong(
        `the term "${terms[i]}" names ${before.length + after.length} axes of an operand of shape ${formatShape(shape)}`,
      );
    }
    return rest;
  });
  // The ellipsis axes of all operands are aligned at the last one.
  const most = Math.max(0, ...extra);
  const dots = range(most).map((i) => `...${i}`);
  const inputs = parts.map(({ before, after }, i) => [...before, ...dots.slice(most - (extra[i] as number)), ...after]);
  if (sides[1] !== undefined) return { inputs, output: explicitOutput(sides[1], inputs, dots, wrong) };
  const counts = new Map<string, number>();
  for (const label of inputs.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  const once = [...counts].filter(([label, count]) => count === 1 && !label.startsWith("...")).map(([label]) => label);
  return { inputs, output: [...dots, ...once.sort()] };
}

function explicitOutput(
  text: string,
  inputs: readonly (readonly string[])[],
  dots: readonly string[],
  wrong: (problem: string, help?: string) => Error,
): string[] {
  const { before, after, ellipsis } = splitTerm(text, wrong);
  if (!ellipsis && dots.length > 0)
    throw wrong("the output leaves out the axes of ...", 'write "..." in the output too');
  const output = [...before, ...(ellipsis ? dots : []), ...after];
  const known = new Set(inputs.flat());
  const unknown = output.find((label) => !known.has(label));
  if (unknown !== undefined) throw wrong(`the output has the label ${unknown}, which no operand has,`);
  const repeated = output.find((label, i) => output.indexOf(label) < i);
  if (repeated !== undefined) throw wrong(`the output has the label ${repeated} twice`);
  return output;
}

function splitTerm(
  term: string,
  wrong: (problem: string) => Error,
): { readonly before: string[]; readonly after: string[]; readonly ellipsis: boolean } {
  const pieces = term.split("...");
  const other = pieces.join("").replaceAll(/[A-Za-z]/g, "");
  if (pieces.length > 2) throw wrong("a term has more than one ...");
  if (other !== "") throw wrong(`"${other[0]}" is not a label`);
  return { before: (pieces[0] as string).split(""), after: (pieces[1] ?? "").split(""), ellipsis: pieces.length === 2 };
}
