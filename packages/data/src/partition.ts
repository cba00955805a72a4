/** Partitions of a data set among clients. */
import { FaxError, userLocation } from "@fax/core";
import { RandomSource } from "./random-source.ts";

export interface DirichletOptions {
  readonly clients: number;
  /** Small: clients see few classes; large: all clients look alike. */
  readonly alpha: number;
  /** Default 0. */
  readonly seed?: number;
}

/**
 * Splits examples among clients so that their label distributions differ: the share of each class that a client gets is
 * drawn from a symmetric Dirichlet distribution over the clients. Clients therefore differ in size as well.
 *
 * Every example goes to exactly one client, and every client gets at least one: a client that the draw leaves empty takes
 * an example from the client that then has the most.
 *
 * @returns for each client, the positions of its examples
 * @throws FAX3010 for fewer examples than clients, or an alpha that is not positive
 * @source Yurochkin et al. 2019, "Bayesian nonparametric federated learning of neural networks", section 4
 * @example const split = dirichletSplit([0, 1, 2, 0, 1, 2], { clients: 2, alpha: 0.3, seed: 1 });
 */
export function dirichletSplit(
  labels: Int32Array | readonly number[],
  { clients, alpha, seed = 0 }: DirichletOptions,
): number[][] {
  if (!Number.isInteger(clients) || clients < 1 || labels.length < clients) {
    throw new FaxError({
      code: "FAX3010",
      message: `dirichletSplit: ${labels.length} examples are split among ${clients} clients, and each needs at least one`,
      source: userLocation(),
      help: "choose fewer clients",
    });
  }
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new FaxError({
      code: "FAX3010",
      message: `dirichletSplit: alpha is ${alpha}, and a Dirichlet distribution has a positive one`,
      source: userLocation(),
      help: "alpha: 0.3 is a strong skew, alpha: 100 almost none",
    });
  }
  const random = new RandomSource(seed);
  const parts: number[][] = Array.from({ length: clients }, () => []);
  for (const indices of byClass(labels)) {
    const order = random.shuffled(indices);
    const shares = random.dirichlet(alpha, clients);
    let share = 0;
    let start = 0;
    shares.forEach((part, client) => {
      share += part;
      const end = client === clients - 1 ? order.length : Math.round(share * order.length);
      parts[client]?.push(...order.slice(start, end));
      start = end;
    });
  }
  for (const part of parts) {
    if (part.length > 0) continue;
    const donor = parts.reduce((most, other) => (other.length > most.length ? other : most));
    part.push(donor.pop() as number);
  }
  return parts;
}

/** Positions of the examples of each class, in order of the class. */
function byClass(labels: Int32Array | readonly number[]): number[][] {
  const classes = new Map<number, number[]>();
  labels.forEach((label: number, i: number) => {
    const known = classes.get(label);
    if (known) known.push(i);
    else classes.set(label, [i]);
  });
  return [...classes].sort(([a], [b]) => a - b).map(([, indices]) => indices);
}
