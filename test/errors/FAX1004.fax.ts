import { jvp, np } from "@fax/core";

const norm = ({ w, b }: { w: ReturnType<typeof np.array>; b: ReturnType<typeof np.array> }) =>
  np.add(np.sum(np.square(w)), b);

jvp(norm, [{ w: np.ones([3]), b: np.array(1) }], [{ w: np.ones([3]) }]); // ← FAX1004
