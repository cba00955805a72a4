import { describe, expect, it } from "vitest";
import { FaxError } from "../diagnostics/index.ts";
import { evaluate } from "../interpret/evaluate.ts";
import { avalOf } from "../ir/aval.ts";
import type { DType } from "../ir/dtype.ts";
import { hostArray } from "../ir/host-array.ts";
import { formatPlacement, type Placement, placementOf, server } from "../ir/placement.ts";
import { trace } from "../trace/builder.ts";
import type { Value } from "../trace/ndarray.ts";
import { lax } from "./lax.ts";
import type { PlacedValue } from "./primitive.ts";

const clients = placementOf({ name: "clients", size: 3 });
const nested = placementOf({ name: "cohorts", size: 2 }, { name: "clients", size: 3 });

function members(placement: Placement, ...values: readonly (readonly number[])[]): PlacedValue {
  return { placement, members: values.map((row) => hostArray("f32", [row.length], Float32Array.from(row))) };
}

/** Members' values of the result, and where it lies. */
function run(input: PlacedValue, body: (x: Value) => Value): { at: string; values: number[][] } {
  const [first] = input.members;
  const aval = avalOf("f32", first?.shape ?? [], { placement: input.placement });
  const { jaxpr } = trace([aval], ([x]) => [body(x as Value)]);
  const [output] = evaluate(jaxpr, [input]);
  const placement = jaxpr.outvars[0]?.aval.placement ?? server;
  return { at: formatPlacement(placement), values: (output?.members ?? []).map((member) => [...member.data]) };
}

function faultOf(dtype: DType, placement: Placement, body: (x: Value) => Value): FaxError {
  try {
    trace([avalOf(dtype, [2], { placement })], ([x]) => [body(x as Value)]);
  } catch (error) {
    if (error instanceof FaxError) return error;
    throw error;
  }
  throw new Error("no fault");
}

describe("communication", () => {
  it("combines the members of a group", () => {
    const x = members(clients, [1, 2], [3, -4], [-7, 5]);
    expect(run(x, lax.federated_sum)).toEqual({ at: "@server", values: [[-3, 3]] });
    expect(run(x, lax.federated_mean)).toEqual({ at: "@server", values: [[-1, 1]] });
    expect(run(x, lax.federated_max)).toEqual({ at: "@server", values: [[3, 5]] });
    expect(run(x, lax.federated_min)).toEqual({ at: "@server", values: [[-7, -4]] });
    expect(run(x, lax.federated_stack)).toEqual({ at: "@server", values: [[1, 2, 3, -4, -7, 5]] });
  });

  it("combines the innermost group of a group in a group", () => {
    const x = members(nested, [1], [2], [3], [10], [20], [30]);
    expect(run(x, lax.federated_sum)).toEqual({ at: "@cohorts[2]", values: [[6], [60]] });
  });

  it("broadcasts and cuts into rows", () => {
    const group = { name: "clients", size: 2 };
    const x = members(server, [4, 5]);
    expect(run(x, (value) => lax.federated_broadcast(value, group))).toEqual({
      at: "@clients[2]",
      values: [
        [4, 5],
        [4, 5],
      ],
    });
    expect(run(x, (value) => lax.federated_unstack(value, "clients"))).toEqual({
      at: "@clients[2]",
      values: [[4], [5]],
    });
  });

  it("means integers in f32, by an explicit conversion", () => {
    const { jaxpr } = trace([avalOf("i32", [2], { placement: clients })], ([x]) => [lax.federated_mean(x as Value)]);
    expect(jaxpr.eqns.map((eqn) => eqn.primitive)).toEqual(["convert_element_type", "federated_mean"]);
    expect(jaxpr.outvars[0]?.aval.dtype).toBe("f32");
  });

  it("names the user's fault", () => {
    const fault = faultOf("f32", server, lax.federated_mean);
    expect(fault.code).toBe("FAX1302");
    expect(fault.message).toContain("the operand f32[2]@server is at the server");
    expect(faultOf("f32", server, (x) => lax.federated_broadcast(x, { name: "clients", size: 0 })).code).toBe(
      "FAX1303",
    );
    expect(faultOf("f32", clients, (x) => lax.federated_broadcast(x, { name: "clients", size: 3 })).code).toBe(
      "FAX1302",
    );
    expect(faultOf("bool", clients, lax.federated_sum).code).toBe("FAX1102");
  });
});
