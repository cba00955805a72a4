/** docs/primitives.md is what the registry says; `npx vitest run test/docs --update=all` writes it. */
import { expect, it } from "vitest";
import { primitivesPage } from "../support/primitive-table.ts";

it("docs/primitives.md lists every primitive", async () => {
  await expect(primitivesPage()).toMatchFileSnapshot("../../docs/primitives.md");
});
