/**
 * Random numbers on the host, for splitting and shuffling data: the same seed gives the same data on every machine.
 *
 * Bits: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled by the
 * finalizer of MurmurHash3 over a Weyl sequence.
 */
export class RandomSource {
  readonly #state = new Uint32Array(4);

  /** @param seeds whole numbers; every list of them is a stream of its own */
  constructor(...seeds: readonly number[]) {
    let weyl = 0;
    for (const seed of seeds) weyl = mix(weyl ^ seed) + 0x9e3779b9;
    for (let i = 0; i < 4; i++) {
      weyl = (weyl + 0x9e3779b9) >>> 0;
      this.#state[i] = mix(weyl);
    }
  }

  /** The next 32 bits. */
  bits(): number {
    const s = this.#state;
    const [s0, s1, s2, s3] = s as unknown as [number, number, number, number];
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const c = s2 ^ s0;
    const d = s3 ^ s1;
    s[0] = s0 ^ d;
    s[1] = s1 ^ c;
    s[2] = c ^ (s1 << 9);
    s[3] = rotateLeft(d, 11);
    return result;
  }

  /** Uniform in (0, 1), both ends excluded. */
  uniform(): number {
    return (this.bits() + 0.5) / 2 ** 32;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }

  /** Standard normal, by the polar method (Marsaglia and Bray 1964). */
  normal(): number {
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square > 0 && square < 1) return x * Math.sqrt((-2 * Math.log(square)) / square);
    }
  }

  /**
   * The logarithm of a Gamma(shape, 1) variate (Marsaglia and Tsang 2000); the logarithm, since for small shapes the
   * variate itself underflows.
   */
  logGamma(shape: number): number {
    // Gamma(a) = Gamma(a + 1) · U^(1/a)
    if (shape < 1) return this.logGamma(shape + 1) + Math.log(this.uniform()) / shape;
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(this.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
    }
  }

  /** A point of the simplex, from the symmetric Dirichlet distribution. */
  dirichlet(alpha: number, size: number): number[] {
    const logs = Array.from({ length: size }, () => this.logGamma(alpha));
    const largest = logs.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = logs.map((log) => Math.exp(log - largest));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  }

  /** The list in random order (Fisher and Yates); the list itself stays. */
  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [result[i], result[j]] = [result[j] as T, result[i] as T];
    }
    return result;
  }
}

function rotateLeft(x: number, count: number): number {
  return (x << count) | (x >>> (32 - count));
}

function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
