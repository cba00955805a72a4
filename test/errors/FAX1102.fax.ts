import { lax, np } from "@fax/core";

const counts = np.array([1, 2, 3], { dtype: np.int32 });
lax.add(np.array([0.5, 1.5, 2.5]), counts); // ← FAX1102

//> error[FAX1102] add: operands have the dtypes f32 and i32, which differ
//>   FAX1102.fax.ts:4:5
//>   4 │ lax.add(np.array([0.5, 1.5, 2.5]), counts); // ← FAX1102
//>     │     ^
//>   note: operand 0: f32[3], an array
//>   note: operand 1: i32[3], an array
//>   help: all f32 or all i32 is legal: change one with convert_element_type, or use the operation of np, which promotes
