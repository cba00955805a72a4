import { jit } from "@fax/core";

const shout = jit((text: unknown) => text);
shout({ words: ["one", "two"] }); // ← FAX1003

//> error[FAX1003] arguments[0].words[0] is the string "one", not an array, a number or a tree of them
//>   FAX1003.fax.ts:4:1
//>   4 │ shout({ words: ["one", "two"] }); // ← FAX1003
//>     │ ^
//>   help: pass data as np.array(…), and close over everything that is not data
