// $ fax check FAX3007.fax.ts
import { f32, federatedMean, program } from "@fax/core";

export const mean = program(
  { placements: { clients: 8 }, args: [f32(256)] },
  (model) => federatedMean(model), // ← FAX3007
);

//> error[FAX3007] types: Argument of type 'NDArray<"server">' is not assignable to parameter of type 'NDArray<"server"> & Misplaced<"this value is at the server: federatedBroadcast(value) brings it to the group">' (TS2345)
//>   FAX3007.fax.ts:6:28
//>   6 │   (model) => federatedMean(model), // ← FAX3007
//>     │                            ^
//>   note: Property '[misplaced]' is missing in type 'NDArray<"server">' but required in type 'Misplaced<"this value is at the server: federatedBroadcast(value) brings it to the group">'.
//>   note: '[misplaced]' is declared here at ../../packages/core/src/placed-types.ts:14:12
//>   note: The call would have succeeded against this implementation, but implementation signatures of overloads are not externally visible at ../../packages/core/src/federated.ts:128:17
//>
//> error[FAX1302] federatedMean: the operand is f32[256]@server, and only a value at a group can be reduced
//>   FAX3007.fax.ts:6:14
//>   6 │   (model) => federatedMean(model), // ← FAX3007
//>     │              ^
//>   note: operand: f32[256]@server, argument 0 of the traced function
//>   note: while tracing mean
//>   help: leave it as it is, or bring it to the group with federatedBroadcast
//>
//> 2 errors
