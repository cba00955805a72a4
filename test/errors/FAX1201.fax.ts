import { np } from "@fax/core";

const images = np.zeros([32, 784]);
const weights = np.zeros([748, 10]);
np.matmul(images, weights); // ← FAX1201

//> error[FAX1201] matmul: the last axis of [32,784] and axis 0 of [748,10] have the sizes 784 and 748
//>   FAX1201.fax.ts:5:4
//>   5 │ np.matmul(images, weights); // ← FAX1201
//>     │    ^
//>   note: operand 0: f32[32,784]
//>   note: operand 1: f32[748,10]
