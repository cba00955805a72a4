import { jit } from "@fax/core";

const shout = jit((text: unknown) => text);
shout({ words: ["one", "two"] }); // ← FAX1003
