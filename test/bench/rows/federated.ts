/** Federated programs: in fax's own words, and for libraries without groups by hand, with the clients as a leading axis. */
import {
  f32,
  federatedMap,
  federatedMean,
  i32,
  lax,
  type NDArray,
  np,
  program as federatedProgram,
  tree,
  valueAndGrad,
} from "@fax/core";
import { faxOps } from "../libraries/fax.ts";
import type { Ops } from "../libraries/library.ts";
import { mlpLoss, mlpParamCount, mlpParams, mlpStepFlops } from "./networks.ts";
import { bytesOf, labels, type Row, uniform } from "./row.ts";

interface Federation {
  readonly clients: number;
  readonly steps: number;
  readonly batch: number;
  readonly sizes: readonly number[];
}

const rate = 0.1;

/** What every client has after its local steps; a client's parameters are rows of batched ones. */
function trainByHand<A>(
  ops: Ops<A>,
  start: readonly A[],
  x: A,
  y: A,
  { clients, steps, batch, sizes }: Federation,
): A[] {
  const classes = sizes.at(-1) as number;
  let local = [...start];
  // Steps lead, so that a step's data are one row.
  for (let step = 0; step < steps; step++) {
    const [images, digits] = [ops.row(x, step), ops.row(y, step)];
    const loss = (params: readonly A[]): A => {
      // A bias has an axis for the examples.
      const shaped = params.map((p, i) =>
        i % 2 === 0 ? p : ops.reshape(p, [clients, 1, sizes[(i + 1) / 2] as number]),
      );
      return ops.sum(ops.mean(mlpLoss(ops, shaped, images, ops.reshape(digits, [clients, batch]), classes), -1));
    };
    const [, gradient] = ops.valueAndGrad(loss, local);
    local = local.map((param, i) => ops.sub(param, ops.mul(gradient[i] as A, rate)));
  }
  return local;
}

/** What one client has after its local steps, by a loop on the device. */
function trainLocally(start: readonly NDArray[], x: NDArray, y: NDArray, classes: number): readonly NDArray[] {
  const step = (local: readonly NDArray[], [images, digits]: readonly [NDArray, NDArray]) => {
    const loss = (params: readonly NDArray[]): NDArray => np.mean(mlpLoss(faxOps, params, images, digits, classes));
    const [value, gradient] = valueAndGrad(loss)(local);
    const moved = tree.map((p: NDArray, g: NDArray) => np.subtract(p, np.multiply(rate, g)), local, gradient);
    return [moved, value] as [readonly NDArray[], NDArray];
  };
  const [trained] = lax.scan(step, start, [x, y] as const);
  return trained;
}

const shapesOf = (sizes: readonly number[]): number[][] =>
  sizes.slice(1).flatMap((outputs, layer) => [[sizes[layer] as number, outputs], [outputs]]);

/** Steps and clients are both leading axes of the data: `[steps, clients, …]` by hand, `[clients, steps, …]` in fax. */
const stepsFirst = (x: NDArray): NDArray => np.swapaxes(x, 0, 1);

function localSteps(federation: Federation): Row {
  const { clients, steps, batch, sizes } = federation;
  const [pixels, classes] = [sizes[0] as number, sizes.at(-1) as number];
  const declared = shapesOf(sizes).map((shape) => f32(...shape).at("clients"));
  const round = federatedProgram(
    {
      name: "local_steps",
      placements: { clients },
      args: [declared, f32(steps, batch, pixels).at("clients"), i32(steps, batch).at("clients")],
    },
    (params, x, y) => federatedMap((p, images, digits) => trainLocally(p, images, digits, classes), params, x, y),
  );
  return {
    name: `${steps} local steps of ${clients} clients, MLP ${sizes.join("-")}`,
    mode: "call",
    flops: clients * steps * mlpStepFlops(batch, sizes),
    bytes: bytesOf(clients * (2 * mlpParamCount(sizes) + steps * batch * (pixels + 1))),
    inputs: () => [
      uniform(1, [steps, clients, batch, pixels]),
      labels(2, [steps, clients, batch], classes),
      ...mlpParams(sizes).map((param, i) => uniform(50 + i, [clients, ...param.shape], 0.3)),
    ],
    program: (ops, input, all) => trainByHand(ops, all.slice(2), input(0), input(1), federation),
    fax: ([x, y, ...params]) => round(params, stepsFirst(x as NDArray), stepsFirst(y as NDArray)) as readonly NDArray[],
    tolerance: 5e-3,
  };
}

function averaging(federation: Federation): Row {
  const { clients, steps, batch, sizes } = federation;
  const [pixels, classes] = [sizes[0] as number, sizes.at(-1) as number];
  const round = federatedProgram(
    {
      name: "averaging",
      placements: { clients },
      args: [
        shapesOf(sizes).map((shape) => f32(...shape)),
        f32(steps, batch, pixels).at("clients"),
        i32(steps, batch).at("clients"),
      ],
    },
    (params, x, y) =>
      federatedMean(federatedMap((images, digits) => trainLocally(params, images, digits, classes), x, y)),
  );
  return {
    name: `FedAvg round of ${clients} clients, MLP ${sizes.join("-")}`,
    mode: "call",
    flops: clients * steps * mlpStepFlops(batch, sizes),
    bytes: bytesOf(2 * mlpParamCount(sizes), clients * steps * batch * (pixels + 1)),
    inputs: () => [
      uniform(1, [steps, clients, batch, pixels]),
      labels(2, [steps, clients, batch], classes),
      ...mlpParams(sizes),
    ],
    program: (ops, input, all) => {
      const copies = all
        .slice(2)
        .map((param, i) => ops.broadcast(param, [clients, ...(shapesOf(sizes)[i] as number[])]));
      return trainByHand(ops, copies, input(0), input(1), federation).map((param) => ops.mean(param, 0));
    },
    fax: ([x, y, ...params]) => round(params, stepsFirst(x as NDArray), stepsFirst(y as NDArray)) as readonly NDArray[],
    tolerance: 5e-3,
  };
}

export function federatedRows(quick: boolean): Row[] {
  return [
    localSteps({ clients: quick ? 16 : 64, steps: quick ? 10 : 100, batch: 8, sizes: [32, 32, 10] }),
    averaging({ clients: quick ? 10 : 100, steps: 5, batch: quick ? 8 : 32, sizes: [784, quick ? 32 : 128, 10] }),
  ];
}
