// $ fax inspect FAX2009.fax.ts --stage memory --memory-limit 16KiB
import { f32, grad, np, program, type NDArray } from "@fax/core";

export const slope = program({ placements: {}, args: [f32(64, 64), f32(64, 64)] }, (x, w) =>
  grad((v: NDArray) => np.sum(np.tanh(np.matmul(np.tanh(np.matmul(v, w)), w))))(x),
);

//> error[FAX2009] memoryLimit: the program takes 32,768 bytes besides its arguments and may take 16,384 bytes; computing values again brings it to 32,768 bytes, 16,384 bytes too many
//>   help: allow more, use smaller batches, or donate arguments whose place the results may take (donateArgnums)
