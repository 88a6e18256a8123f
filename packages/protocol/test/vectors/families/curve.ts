/** sessions/curve.json: agreement, clamping, key parsing, low-order points. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import { toPrivateKey, toPublicKey } from '#src/types.js';
import { type Result, check as same, hex } from '../../support/hex.js';

interface Expected {
  readonly serializedHex?: string;
  readonly error?: { readonly message: string };
}

interface File {
  agreements: { privateHex: string; publicHex: string; sharedHex: string }[];
  privateKeys: { inputHex: string; serializedHex: string; publicHex: string }[];
  publicKeyParsing: { note: string; inputHex: string; expected: Expected }[];
  privateKeyParsing: { inputHex: string; expected: Expected }[];
  lowOrder: { note: string; privateHex: string; publicHex: string; expected: Expected }[];
}

export const files = ['sessions/curve.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as File;
  for (const [i, v] of file.agreements.entries()) {
    const shared = crypto.x25519(toPrivateKey(hex(v.privateHex)), toPublicKey(hex(v.publicHex)));
    yield same(`agreement ${i}`, shared, v.sharedHex);
  }
  for (const [i, v] of file.privateKeys.entries()) {
    const secret = toPrivateKey(hex(v.inputHex));
    yield same(`clamping ${i}`, secret, v.serializedHex);
    yield same(`public key ${i}`, crypto.x25519PublicKey(secret), v.publicHex);
  }
  for (const v of file.publicKeyParsing) {
    yield outcome(`parse public: ${v.note}`, v.expected, () => toPublicKey(hex(v.inputHex)));
  }
  for (const [i, v] of file.privateKeyParsing.entries()) {
    yield outcome(`parse private ${i}`, v.expected, () => toPrivateKey(hex(v.inputHex)));
  }
  for (const v of file.lowOrder) {
    const run = () => crypto.x25519(toPrivateKey(hex(v.privateHex)), toPublicKey(hex(v.publicHex)));
    const code = 'VERIFY_KEY_AGREEMENT';
    yield outcome(`low order: ${v.note}`, v.expected, run, code);
  }
}

/** Our errors carry the same text as the reference here, which makes them easy to compare. */
function outcome(name: string, expected: Expected, run: () => Uint8Array, code?: string): Result {
  try {
    return same(name, run(), expected.serializedHex ?? expected.error?.message ?? 'nothing');
  } catch (error) {
    if (!(error instanceof QasidError)) throw error;
    const ok =
      error.message === expected.error?.message && (code === undefined || error.code === code);
    return { name, ok, detail: `${error.code}: ${error.message}` };
  }
}
