/** sessions/kyber1024.json: secrets agreed with the reference, also for tampered ciphertexts; parsing. */
import { QasidError } from '#src/errors.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { toKemCiphertext, toKemPublicKey, toKemSecretKey } from '#src/types.js';
import { base64, hex, type Result, check as same } from '../../support/hex.js';

interface File {
  vectors: {
    kind: string;
    publicKey: string;
    secretKey: string;
    ciphertext: string;
    ssHex: string;
    coinHex?: string;
  }[];
  parsing: {
    note: string;
    length: number;
    firstByte: number | null;
    expected: { error?: { message: string } };
  }[];
}

export const files = ['sessions/kyber1024.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as File;
  for (const [i, v] of file.vectors.entries()) {
    const secret = toKemSecretKey(base64(v.secretKey));
    const ciphertext = toKemCiphertext(base64(v.ciphertext));
    const shared = crypto.kyber1024Decapsulate(secret, ciphertext);
    yield same(`${v.kind} ${i}: decapsulate`, shared, v.ssHex);
    if (v.coinHex === undefined) continue;
    const key = toKemPublicKey(base64(v.publicKey));
    const made = crypto.kyber1024Encapsulate(key, hex(v.coinHex));
    yield same(`${v.kind} ${i}: secret`, made.sharedSecret, v.ssHex);
    const sameBytes = base64(v.ciphertext).every((byte, at) => byte === made.ciphertext[at]);
    yield { name: `${v.kind} ${i}: ciphertext`, ok: sameBytes && made.ciphertext.length === 1569 };
  }
  for (const v of file.parsing) {
    const bytes = new Uint8Array(v.length);
    if (v.firstByte !== null) bytes[0] = v.firstByte;
    let detail = 'accepted';
    try {
      toKemPublicKey(bytes);
    } catch (error) {
      if (!(error instanceof QasidError)) throw error;
      detail = error.message;
    }
    yield {
      name: `parse: ${v.note}`,
      ok: detail === (v.expected.error?.message ?? 'accepted'),
      detail,
    };
  }
}
