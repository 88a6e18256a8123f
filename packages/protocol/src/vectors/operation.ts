/**
 * Test vectors as a product. What a vector is: an operation of the specification, its input, and what must
 * come out, or the one error code that must.
 *
 * Every value is JSON; bytes are lower-case hex. Another implementation needs a table like this one, a JSON
 * parser and nothing else. Format: test-vectors/README.md.
 */
import { fromHex, toHex, type Bytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/provider.js';
import { UsageError } from '../errors.js';
import {
  toKemPublicKey,
  toKemSecretKey,
  toPrivateKey,
  toPublicKey,
  type KemPublicKey,
  type KemSecretKey,
  type KeyPair,
  type PrivateKey,
  type PublicKey,
} from '../types.js';

/** JSON of a value in a vector. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** Named values. */
export type Fields = { readonly [name: string]: Json };

/**
 * Type of a value: `hex` bytes of any length, `hex:N` exactly N bytes, `u32`, `integer` to 2^53, `text`,
 * `boolean`, `json` anything. A `?` behind it: may be absent.
 */
export type FieldType = string;

/** What an operation gave. */
export interface Outcome {
  /** What a vector's `expect.output` is compared with. */
  readonly output: Fields;
  /** Values on the way. */
  readonly intermediate?: Fields;
}

/** One operation of the specification. */
export interface VectorOperation {
  /** Number of its chapter, `01`. */
  readonly chapter: string;
  /** Folder of its vectors. */
  readonly family: string;
  readonly name: string;
  readonly about: string;
  /** Section. */
  readonly source: string;
  readonly input: Readonly<Record<string, FieldType>>;
  readonly output: Readonly<Record<string, FieldType>>;
  /** Do it. Throws a QasidError for input that the specification refuses. */
  readonly run: (input: Input, crypto: CryptoProvider) => Outcome | Promise<Outcome>;
}

/** Reads the input of a vector; a missing or malformed value is a UsageError `USAGE_ARGUMENT`. */
export class Input {
  readonly #fields: Fields;

  constructor(fields: Fields) {
    this.#fields = fields;
  }

  /** Whether there is a value, and not null. */
  has(name: string): boolean {
    return this.#fields[name] !== undefined && this.#fields[name] !== null;
  }

  /** Bytes, written in hex. */
  hex(name: string): Bytes {
    const value = this.#fields[name];
    const bytes = typeof value === 'string' ? fromHex(value) : undefined;
    if (bytes === undefined) throw malformed(name, 'hex');
    return bytes;
  }

  /** Bytes, or `undefined` when there is no value. */
  hexOr(name: string): Bytes | undefined {
    return this.has(name) ? this.hex(name) : undefined;
  }

  /** A safe integer. */
  integer(name: string): number {
    const value = this.#fields[name];
    if (!Number.isSafeInteger(value)) throw malformed(name, 'integer');
    return value as number;
  }

  /** A string. */
  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== 'string') throw malformed(name, 'text');
    return value;
  }

  /** Objects in an array, each to be read like the whole. */
  list(name: string): readonly Input[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw malformed(name, 'list');
    return value.map((item) => new Input(item as Fields));
  }

  /** 33 bytes. */
  publicKey(name: string): PublicKey {
    return toPublicKey(this.hex(name));
  }

  /** 32 bytes. */
  privateKey(name: string): PrivateKey {
    return toPrivateKey(this.hex(name));
  }

  /** The pair of a private key. */
  pair(name: string, crypto: CryptoProvider): KeyPair {
    const secret = this.privateKey(name);
    return { secret, public: crypto.x25519PublicKey(secret) };
  }

  /** 1569 bytes. */
  kemPublicKey(name: string): KemPublicKey {
    return toKemPublicKey(this.hex(name));
  }

  /** With its type byte; the length is checked. */
  kemSecretKey(name: string): KemSecretKey {
    return toKemSecretKey(this.hex(name));
  }
}

/** Bytes as a vector writes them. */
export function hex(bytes: Uint8Array): string {
  return toHex(bytes);
}

/** `hex`, or null for `undefined`. */
export function hexOrNull(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : toHex(bytes);
}

/**
 * A provider that draws from a list instead of the platform, in order: `randomBytes` takes the next entry,
 * key pairs take the next entry as the private key. Anything left or missing is an error.
 */
export function drawing(crypto: CryptoProvider, draws: readonly Bytes[]): CryptoProvider {
  const rest = draws.slice();
  const next = (length: number): Bytes => {
    const drawn = rest.shift();
    if (drawn?.length !== length) throw malformed('draws', `${length} bytes`);
    return drawn.slice();
  };
  return {
    ...crypto,
    randomBytes: next,
    x25519KeyPair: () => {
      const secret = toPrivateKey(next(32));
      return { secret, public: crypto.x25519PublicKey(secret) };
    },
  };
}

function malformed(field: string, type: string): UsageError {
  return new UsageError('USAGE_ARGUMENT', `vector input: ${field} is not ${type}`);
}
