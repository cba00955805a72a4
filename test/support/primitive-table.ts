/** docs/primitives.md: every primitive of the registry, from its declaration. */
import { allPrimitives, type Primitive } from "@fax/compiler";

const kinds: Readonly<Record<Primitive["kind"], readonly [title: string, text: string]>> = {
  elementwise: ["Elementwise", "Each element by itself. A scalar literal meets an array of any shape."],
  array: ["On arrays", "Each member of a group by itself, as the elementwise ones do."],
  communication: ["Communication", "The only ones whose operands and results lie at different placements."],
  control: ["Control", "Their parameters hold Jaxprs."],
};

/** The whole page. */
export function primitivesPage(): string {
  const sections = (Object.keys(kinds) as Primitive["kind"][]).flatMap((kind) => [
    `## ${kinds[kind][0]}`,
    "",
    kinds[kind][1],
    "",
    "| name | what it computes | transpose |",
    "|---|---|---|",
    ...allPrimitives()
      .filter((primitive) => primitive.kind === kind)
      .map(primitiveRow)
      .sort(),
    "",
  ]);
  return [
    "# Primitives",
    "",
    "Written by `npx vitest run test/docs --update=all` from the declarations in `compiler/src/primitives`; every row is one",
    "declaration. Every primitive has rules for its types, reference evaluation, jvp, vmap and lowering. What is linear has a",
    "transpose, too; reverse mode needs no other, since only linear programs are transposed.",
    "",
    ...sections,
  ].join("\n");
}

export function primitiveRow({ name, doc, transpose }: Primitive): string {
  return `| \`${name}\` | ${doc.replaceAll("|", "\\|")} | ${transpose === "not linear" ? "" : "linear"} |`;
}
