/**
 * Testing kit. Randomness that a seed repeats. Never for keys that protect anything: this entry is not
 * reached by any other of the package (ATK-A04).
 */
import { defaultCrypto, toPrivateKey, type Bytes, type CryptoProvider } from '@qasid/protocol';

/** A generator that gives the same numbers for the same seed. */
export class SeededRandom {
  #state: number;

  /** @param seed - A 32-bit integer. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). mulberry32: small, and good enough to choose what happens next. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 to `bound - 1`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of them. */
  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.below(items.length)] ?? items[0];
  }

  /** `length` bytes. */
  bytes(length: number): Bytes {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** A generator of its own, which does not disturb this one however much it is used. */
  fork(): SeededRandom {
    return new SeededRandom(this.below(2 ** 32));
  }
}

/**
 * Primitives whose random bytes, and the X25519 keys made of them, come from `random`: account ids, message
 * ids and tie-breaks are then the same in each run. Ed25519 and Kyber keys are still the platform's: no
 * decision rests on their bytes.
 */
export function seededCrypto(random: SeededRandom): CryptoProvider {
  return {
    ...defaultCrypto,
    name: 'seeded',
    randomBytes: (length) => random.bytes(length),
    x25519KeyPair() {
      const secret = random.bytes(32);
      secret[0] = (secret[0] ?? 0) & 0xf8;
      secret[31] = ((secret[31] ?? 0) & 0x7f) | 0x40;
      const key = toPrivateKey(secret);
      return { public: defaultCrypto.x25519PublicKey(key), secret: key };
    },
  };
}
