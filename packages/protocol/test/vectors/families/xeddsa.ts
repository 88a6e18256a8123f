/** sessions/xeddsa.json: signatures made elsewhere, made here with fixed randomness, and refused ones. */
import type { CryptoProvider } from '#src/crypto/provider.js';
import { LABEL_ALTERNATE_IDENTITY } from '#src/labels.js';
import { toPrivateKey, toPublicKey } from '#src/types.js';
import { type Result, check as same, hex } from '../../support/hex.js';

interface File {
  libsignalSignatures: {
    privateHex: string;
    publicHex: string;
    messageHex: string;
    signatureHex: string;
  }[];
  deterministic: {
    privateHex: string;
    messageHex: string;
    ZHex: string;
    signatureHex: string;
    signBit: number;
  }[];
  verify: {
    note: string;
    publicHex: string;
    messageHex: string;
    signatureHex: string;
    expected: boolean;
  }[];
  alternateIdentity: {
    signerPublicHex: string;
    otherPublicHex: string;
    signatureHex: string;
    expected: boolean;
    expectedSwapped: boolean;
  }[];
}

export const files = ['sessions/xeddsa.json'];

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as File;
  for (const [i, v] of file.libsignalSignatures.entries()) {
    const key = toPublicKey(hex(v.publicHex));
    const derived = crypto.x25519PublicKey(toPrivateKey(hex(v.privateHex)));
    yield {
      name: `libsignal ${i}`,
      ok:
        crypto.xeddsaVerify(key, hex(v.signatureHex), hex(v.messageHex)) &&
        same('', derived, v.publicHex).ok,
    };
  }
  for (const [i, v] of file.deterministic.entries()) {
    const message = hex(v.messageHex);
    const signature = crypto.xeddsaSign(toPrivateKey(hex(v.privateHex)), hex(v.ZHex), message);
    yield same(`deterministic ${i}`, signature, v.signatureHex);
  }
  for (const v of file.verify) {
    const key = toPublicKey(hex(v.publicHex));
    const verdict = crypto.xeddsaVerify(key, hex(v.signatureHex), hex(v.messageHex));
    yield { name: `verify ${v.note}`, ok: verdict === v.expected, detail: `verdict ${verdict}` };
  }
  for (const [i, v] of file.alternateIdentity.entries()) {
    const signer = toPublicKey(hex(v.signerPublicHex));
    const other = toPublicKey(hex(v.otherPublicHex));
    const signature = hex(v.signatureHex);
    const straight = crypto.xeddsaVerify(signer, signature, LABEL_ALTERNATE_IDENTITY, other);
    const swapped = crypto.xeddsaVerify(other, signature, LABEL_ALTERNATE_IDENTITY, signer);
    yield {
      name: `alternate identity ${i}`,
      ok: straight === v.expected && swapped === v.expectedSwapped,
      detail: `straight ${straight}, swapped ${swapped}`,
    };
  }
}
