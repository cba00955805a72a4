import { np } from "@fax/core";

const wanted: string = "float64";
np.zeros([2, 2], { dtype: wanted as "float32" }); // ← FAX1101

//> error[FAX1101] zeros: there is no dtype "float64", WebGPU has f32, f16, i32, u32, bool
//>   FAX1101.fax.ts:4:4
//>   4 │ np.zeros([2, 2], { dtype: wanted as "float32" }); // ← FAX1101
//>     │    ^
//>   help: np.float32 is the widest float
