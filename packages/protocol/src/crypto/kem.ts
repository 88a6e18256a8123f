/** 01 Primitives. The KEM functions of a provider, over its sponge and its randomness. */
import { shake128, shake256, sha3_256, sha3_512 } from '@noble/hashes/sha3.js';

import { type Bytes, copyBytes } from '../bytes.js';
import { wipe } from '../secret.js';
import { decapsulateKyber, encapsulateKyber, generateKyber } from './kyber1024.js';
import type { Sponge } from './mlkem.js';
import {
  checkEkVector,
  decapsulateIncremental,
  encapsulateFirst,
  encapsulateSecond,
  generateIncremental,
} from './mlkem768-incremental.js';
import type { CryptoProvider } from './provider.js';

/** The KEM part of {@link CryptoProvider}. */
export type KemFunctions = Pick<
  CryptoProvider,
  | 'kyber1024KeyPair'
  | 'kyber1024Encapsulate'
  | 'kyber1024Decapsulate'
  | 'mlkem768KeyPair'
  | 'mlkem768Encapsulate1'
  | 'mlkem768Encapsulate2'
  | 'mlkem768Decapsulate'
  | 'mlkem768CheckEkVector'
>;

/** Both KEMs over `sponge`; `randomBytes` serves key pairs that take no seed. */
export function kemFunctions(sponge: Sponge, randomBytes: (length: number) => Bytes): KemFunctions {
  return {
    kyber1024KeyPair() {
      const seed = randomBytes(64);
      const pair = generateKyber(sponge, seed);
      wipe(seed);
      return pair;
    },
    kyber1024Encapsulate: (key, coin) => encapsulateKyber(sponge, key, coin),
    kyber1024Decapsulate: (secret, ciphertext) => decapsulateKyber(sponge, secret, ciphertext),
    mlkem768KeyPair: (seed) => generateIncremental(sponge, seed),
    mlkem768Encapsulate1: (header, m) => encapsulateFirst(sponge, header, m),
    mlkem768Encapsulate2: encapsulateSecond,
    mlkem768Decapsulate: (dk, ct1, ct2) => decapsulateIncremental(sponge, dk, ct1, ct2),
    mlkem768CheckEkVector: (header, ekVector) => checkEkVector(sponge, header, ekVector),
  };
}

/** The portable sponge. */
export const nobleSponge: Sponge = {
  sha3_256: (...parts) => digest(sha3_256.create(), parts),
  sha3_512: (...parts) => digest(sha3_512.create(), parts),
  shake256: (length, ...parts) => digest(shake256.create({ dkLen: length }), parts),
  shake128(seed) {
    const stream = shake128.create().update(seed);
    const block = new Uint8Array(SHAKE128_BLOCK_BYTES);
    return () => stream.xofInto(block);
  },
};

/** One block of SHAKE-128: a multiple of 3, so no candidate straddles two. */
const SHAKE128_BLOCK_BYTES = 168;

interface Hash {
  update(part: Uint8Array): unknown;
  digest(): Uint8Array;
  destroy(): void;
}

function digest(hash: Hash, parts: readonly Uint8Array[]): Bytes {
  for (const part of parts) hash.update(part);
  const out = copyBytes(hash.digest());
  // The state of a PRF call is as good as its seed.
  hash.destroy();
  return out;
}
