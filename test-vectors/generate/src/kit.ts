/** What every generator uses: seeded randomness, and the set that collects cases. */
import {
  concatBytes,
  toHex,
  toPrivateKey,
  u32be,
  utf8,
  type Bytes,
  type CryptoProvider,
  type KeyPair,
} from '../../../packages/protocol/dist/index.js';
import { kemFunctions, nobleSponge } from '../../../packages/protocol/dist/crypto/kem.js';
import { nobleProvider } from '../../../packages/protocol/dist/crypto/noble.js';
import { streams } from '../../../packages/protocol/dist/crypto/noble-streams.js';
import {
  runVector,
  VECTORS_VERSION,
  vectorOperations,
  type Fields,
  type Json,
  type Vector,
} from '../../../packages/protocol/dist/vectors/index.js';

export { concatBytes, toHex, utf8, type Bytes, type KeyPair };

/** The portable provider with all of its randomness from `seed`: the same seed, the same files. */
export function seeded(seed: string): CryptoProvider {
  let counter = 0;
  let pool = new Uint8Array(0);
  const randomBytes = (length: number): Bytes => {
    while (pool.length < length) {
      pool = concatBytes(pool, nobleProvider.sha256(utf8(seed), u32be(counter++)));
    }
    const out = pool.slice(0, length);
    pool = pool.slice(length);
    return out;
  };
  return {
    ...nobleProvider,
    ...kemFunctions(nobleSponge, randomBytes),
    name: 'seeded',
    randomBytes,
    x25519KeyPair: () => {
      const secret = toPrivateKey(randomBytes(32));
      return { secret, public: nobleProvider.x25519PublicKey(secret) };
    },
  };
}

export const operations = vectorOperations(streams);

/** Collects the cases of one generator. */
export class Cases {
  readonly vectors: Vector[] = [];
  /** Refusals that came out otherwise: all of them are told at once. */
  readonly problems: string[] = [];
  readonly #generator: string;
  readonly #names = new Set<string>();

  constructor(generator: string) {
    this.#generator = generator;
  }

  /** A case that must give an output, whatever it is; returns that output. */
  async add(operation: string, name: string, comment: string, input: Fields): Promise<Fields> {
    const result = await this.#run(operation, name, input);
    if ('error' in result) throw new Error(`${operation} ${name}: ${result.error}`);
    const { output, intermediate } = result;
    this.#push(operation, name, comment, input, { output }, intermediate);
    return output;
  }

  /** A case with one fault, which must be refused with exactly `code`. */
  async refuse(
    operation: string,
    name: string,
    comment: string,
    code: string,
    input: Fields,
  ): Promise<void> {
    const result = await this.#run(operation, name, input);
    const got = 'error' in result ? result.error : 'no error';
    if (got !== code) this.problems.push(`${operation} ${name}: ${got}, expected ${code}`);
    this.#push(operation, name, comment, input, { error: code });
  }

  async #run(operation: string, name: string, input: Fields) {
    const key = `${operation} ${name}`;
    if (this.#names.has(key)) throw new Error(`${key} is there twice`);
    this.#names.add(key);
    const found = operations.find((candidate) => candidate.name === operation);
    if (found === undefined) throw new Error(`no operation ${operation}`);
    return runVector(nobleProvider, found, input);
  }

  #push(
    operation: string,
    name: string,
    comment: string,
    input: Fields,
    expect: Vector['expect'],
    intermediate?: Fields,
  ): void {
    const { chapter, family, source } = operations.find((one) => one.name === operation)!;
    this.vectors.push({
      version: VECTORS_VERSION,
      chapter,
      family,
      operation,
      case: name,
      comment,
      source: `${source}; generate/src/${this.#generator}.ts`,
      input,
      ...(intermediate === undefined ? {} : { intermediate }),
      expect,
    });
  }
}

/** Bytes with one bit flipped. */
export function flip(bytes: Uint8Array, at: number, mask = 1): Bytes {
  const out = Uint8Array.from(bytes);
  out[at < 0 ? out.length + at : at]! ^= mask;
  return out;
}

/** A field as protobuf writes it, for cases that no encoder of ours would make. */
export function field(number: number, wireType: number, ...payload: readonly Uint8Array[]): Bytes {
  return concatBytes(varint((number << 3) | wireType), ...payload);
}

export function varint(value: number): Bytes {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    out.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
  return Uint8Array.from(out);
}

export function bytesField(number: number, value: Uint8Array): Bytes {
  return field(number, 2, varint(value.length), value);
}

export function intField(number: number, value: number): Bytes {
  return field(number, 0, varint(value));
}

export type { Json };
