/** Faults of placement that the type checker reports; `tsc` fails here if one of them is accepted. */
import {
  type ArraySpec,
  bool,
  experiment,
  f32,
  federatedBroadcast,
  federatedMap,
  federatedMean,
  federatedWeightedMean,
  grad,
  i32,
  type NDArray,
  np,
  type Placed,
  program,
  valueAndGrad,
} from "@fax/core";

const placements = { clients: 3 };
const [w, x] = [f32(2), f32(2).at("clients")];

/** Fails to compile where the two types are not equal. */
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <Holds extends true>(proof?: Holds): Holds | undefined => proof;

// Parameters follow the declaration, trees included.
const tree = { w: f32(2), list: [i32().at("clients"), bool()] } as const satisfies Record<string, unknown>;
holds<Equal<Placed<ArraySpec<"clients">>, NDArray<"clients">>>();
holds<Equal<Placed<typeof tree>, { w: NDArray; list: [NDArray<"clients">, NDArray] }>>();

// Inside a map a member's values are ordinary arrays; results lie at the group, and means of them at the server.
program({ placements, args: [w, x] }, (w, x) => {
  holds<Equal<typeof w, NDArray>>();
  holds<Equal<typeof x, NDArray<"clients">>>();
  const mapped = federatedMap(
    (w, x) => {
      holds<Equal<typeof x, NDArray>>();
      return { dot: np.dot(w, x), one: 1 };
    },
    federatedBroadcast(w),
    x,
  );
  holds<Equal<typeof mapped, { dot: NDArray<"clients">; one: NDArray<"clients"> }>>();
  const mean = federatedMean(mapped);
  holds<Equal<typeof mean, { dot: NDArray; one: NDArray }>>();
  return mean;
});

// A server value where a map needs a group's.
// @ts-expect-error this value is at the server: federatedBroadcast(value) brings it to the group
program({ placements, args: [w, x] }, (w, x) => federatedMean(federatedMap((w, x) => np.dot(w, x), w, x)));

// A reduction of a server value.
// @ts-expect-error this value is at the server
program({ placements, args: [w] }, (w) => federatedMean(w));

// Weights at the server.
// @ts-expect-error this value is at the server
program({ placements, args: [w, x] }, (w, x) => federatedWeightedMean(x, w));

// A tree with one array at the server.
// @ts-expect-error this value is at the server
program({ placements, args: [w, x] }, (w, x) => federatedMean({ w, x }));

// A broadcast of what is at a group already.
// @ts-expect-error this value is at a group already
program({ placements, args: [x] }, (x) => federatedBroadcast(x));

// Operands at different groups.
program({ placements: { clients: 3, sensors: 2 }, args: [x, f32(2).at("sensors")] }, (x, y) =>
  // @ts-expect-error these values are at different groups
  federatedMap((x, y) => np.add(x, y), x, y),
);

// Server and group values in one operation.
// @ts-expect-error NDArray<"clients"> is not NDArray<"server">
program({ placements, args: [w, x] }, (w, x) => np.add(w, x));

// A group that the program does not declare.
// @ts-expect-error "clienst" is not "server" | "clients"
program({ placements, args: [f32(2).at("clienst")] }, () => 0);

// From outside: lists and arrays of the ordinary kind, in number and structure as declared.
const loss = program({ placements, args: [w, x] }, (w, x) => federatedMean(federatedMap((x) => np.dot(x, w), x)));
holds<Equal<ReturnType<typeof loss>, NDArray>>();
loss(np.ones(2), np.ones([3, 2]));
loss([1, 2], [[1, 2], [3, 4], np.ones(2)]);
const slope = grad(loss);
slope(np.ones(2), np.ones([3, 2]));
holds<Equal<ReturnType<typeof slope>, NDArray>>();
const [value, gradients] = valueAndGrad(loss, [0, 1])(np.ones(2), np.ones([3, 2]));
holds<Equal<typeof value, NDArray>>();
holds<Equal<(typeof gradients)[0], NDArray>>();
// @ts-expect-error two arguments are declared
loss([1, 2]);
// @ts-expect-error a string is no array
loss("w", [
  [1, 2],
  [3, 4],
  [5, 6],
]);
// @ts-expect-error sensors is not declared
loss.withPlacements({ sensors: 2 });

// An experiment's start and data fit its program.
const round = program({ placements, args: [w, x] }, (w, x) => ({
  state: w,
  metrics: { mean: np.mean(federatedMean(x)) },
}));
experiment({ program: round, init: () => np.ones(2), data: () => [np.ones([3, 2])] as const, rounds: 1 });
// @ts-expect-error the program takes the state and one more argument
experiment({ program: round, init: () => np.ones(2), data: () => [] as const, rounds: 1 });
// @ts-expect-error the state is an array
experiment({ program: round, init: () => ({ w: np.ones(2) }), data: () => [np.ones([3, 2])] as const, rounds: 1 });
