import { jvp, np } from "@fax/core";

const norm = ({ w, b }: { w: ReturnType<typeof np.array>; b: ReturnType<typeof np.array> }) =>
  np.add(np.sum(np.square(w)), b);

jvp(norm, [{ w: np.ones([3]), b: np.array(1) }], [{ w: np.ones([3]) }]); // ← FAX1004

//> error[FAX1004] jvp: primals and tangents differ in structure
//>   FAX1004.fax.ts:6:1
//>   6 │ jvp(norm, [{ w: np.ones([3]), b: np.array(1) }], [{ w: np.ones([3]) }]); // ← FAX1004
//>     │ ^
