/** Recorded small formats: repair messages, usernames, links, HPKE, AES-GCM-SIV, alternate identities. */
import { fromHex, toHex, utf8 } from '#src/bytes.js';
import { aes256GcmSivOpen, aes256GcmSivSeal } from '#src/crypto/aead.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import { hpkeOpen, hpkeSeal } from '#src/hpke.js';
import { LABEL_ALTERNATE_IDENTITY } from '#src/labels.js';
import {
  decodeDecryptionError,
  decodePlaintextContent,
  decryptionErrorOfBody,
  describeFailure,
  encodeDecryptionError,
  encodePlaintextContent,
  type DecryptionErrorMessage,
} from '#src/repair.js';
import { toPrivateKey, toPublicKey } from '#src/types.js';
import { openUsernameLink, sealUsernameLink, UsernameError, usernameHash } from '#src/usernames.js';

export const files = ['misc/plaintext-content.json', 'misc/small-primitives.json'];

interface Result {
  name: string;
  ok: boolean;
  detail?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: recorded JSON, checked by what the cases assert
type Json = any;

const CODES: Record<string, string> = {
  'invalid-protobuf': 'DECODE_PROTOBUF',
  'message-too-short': 'DECODE_MESSAGE_TOO_SHORT',
  'unrecognized-message-version': 'DECODE_VERSION_MISMATCH',
  'bad-key-type': 'DECODE_KEY_TYPE',
  'no-key-type': 'DECODE_KEY_TYPE',
  'bad-key-length': 'DECODE_KEY_LENGTH',
  'invalid-argument': 'USAGE_ARGUMENT',
};

const FAULTS: Record<string, string> = {
  MissingSeparator: 'missing-separator',
  CannotStartWithDigit: 'nickname-starts-with-digit',
  DiscriminatorCannotBeSingleDigit: 'discriminator-single-digit',
  DiscriminatorCannotBeZero: 'discriminator-zero',
  DiscriminatorCannotHaveLeadingZeros: 'discriminator-leading-zeros',
  BadDiscriminatorCharacter: 'discriminator-character',
  BadNicknameCharacter: 'nickname-character',
  NicknameTooLong: 'nickname-too-long',
  NicknameCannotBeEmpty: 'nickname-empty',
  DiscriminatorCannotBeEmpty: 'discriminator-empty',
  DiscriminatorTooLarge: 'discriminator-too-large',
};

function bytes(hex: string): Uint8Array {
  const value = fromHex(hex);
  if (value === undefined) throw new Error(`not hex: ${hex.slice(0, 20)}`);
  return value;
}

function outcome(attempt: () => unknown): string {
  try {
    return JSON.stringify(attempt());
  } catch (error) {
    if (error instanceof QasidError) return `error:${error.code}`;
    throw error;
  }
}

function compare(name: string, got: string, want: unknown): Result {
  const text = typeof want === 'string' ? want : JSON.stringify(want);
  return got === text
    ? { name, ok: true }
    : { name, ok: false, detail: `got ${got}, want ${text}` };
}

function wanted(c: Json, ok: (ok: Json) => unknown): string {
  return c.error === undefined ? JSON.stringify(ok(c.ok)) : `error:${CODES[c.error] ?? c.error}`;
}

function described(message: DecryptionErrorMessage): Json {
  return [
    message.timestampMs,
    message.deviceId,
    message.ratchetKey === undefined ? null : toHex(message.ratchetKey),
  ];
}

export function* check(json: unknown, crypto: CryptoProvider): Iterable<Result> {
  const file = json as Json;
  if (file.make) yield* repair(file);
  else yield* primitives(file, crypto);
}

function* repair(file: Json): Iterable<Result> {
  for (const c of file.make) {
    const got = outcome(() => {
      const made = describeFailure(bytes(c.original), c.type, c.timestamp, c.deviceId);
      const serialized = encodeDecryptionError(made);
      const plaintext = encodePlaintextContent(serialized);
      return [
        toHex(serialized),
        made.ratchetKey === undefined ? null : toHex(made.ratchetKey),
        toHex(plaintext),
        toHex(decodePlaintextContent(plaintext)),
      ];
    });
    yield compare(
      `make: ${c.note}`,
      got,
      wanted(c, (ok) => [ok.serialized, ok.ratchetKey, ok.plaintextContent, ok.body]),
    );
  }
  for (const c of file.parse) {
    yield compare(
      `parse: ${c.note}`,
      outcome(() => described(decodeDecryptionError(bytes(c.bytes)))),
      wanted(c, (ok) => [ok.timestamp, ok.deviceId, ok.ratchetKey]),
    );
  }
  for (const c of file.extractFromBody) {
    yield compare(
      `extract: ${c.note}`,
      outcome(() => toHex(decryptionErrorOfBody(bytes(c.bytes)))),
      wanted(c, (ok) => ok),
    );
  }
  for (const c of file.parsePlaintextContent) {
    yield compare(
      `plaintext content: ${c.note}`,
      outcome(() => toHex(decodePlaintextContent(bytes(c.bytes)))),
      wanted(c, (ok) => ok),
    );
  }
}

function* primitives(file: Json, crypto: CryptoProvider): Iterable<Result> {
  const { signerPublicKey, otherPublicKey, signature } = file.alternateIdentity;
  yield {
    name: 'alternate identity signature',
    ok: crypto.xeddsaVerify(
      toPublicKey(bytes(signerPublicKey)),
      bytes(signature),
      LABEL_ALTERNATE_IDENTITY,
      bytes(otherPublicKey),
    ),
  };
  for (const c of file.usernames) {
    let got: string;
    try {
      got = toHex(usernameHash(crypto, c.username));
    } catch (error) {
      if (!(error instanceof UsernameError)) throw error;
      got = error.fault;
    }
    yield compare(`username ${c.username}`, got, c.ok ?? FAULTS[c.libName] ?? c.libName);
  }
  for (const c of file.usernameLinks) {
    const entropy = bytes(c.entropy);
    const sealed = bytes(c.encryptedUsername);
    yield compare(
      `link ${c.username}: opened`,
      openUsernameLink(crypto, sealed, entropy),
      c.username,
    );
    const sameIv = { ...crypto, randomBytes: () => sealed.slice(0, 16) };
    yield compare(
      `link ${c.username}: sealed`,
      toHex(sealUsernameLink(sameIv, c.username, entropy)),
      c.encryptedUsername,
    );
  }
  for (const [i, c] of file.hpke.entries()) {
    const secret = toPrivateKey(bytes(c.privateKey));
    const pair = { secret, public: crypto.x25519PublicKey(secret) };
    const info = utf8(c.info);
    const data = bytes(c.associatedData);
    yield compare(
      `hpke ${i}: opened`,
      toHex(hpkeOpen(crypto, pair, bytes(c.sealed), info, data)),
      c.plaintext,
    );
    const again = hpkeSeal(
      crypto,
      pair.public,
      bytes(c.plaintext),
      info,
      data,
      crypto.x25519KeyPair(),
    );
    yield compare(
      `hpke ${i}: round trip`,
      toHex(hpkeOpen(crypto, pair, again, info, data)),
      c.plaintext,
    );
    const flipped = bytes(c.sealed);
    flipped[flipped.length - 1] = (flipped[flipped.length - 1] ?? 0) ^ 1;
    yield compare(
      `hpke ${i}: tag changed`,
      outcome(() => hpkeOpen(crypto, pair, flipped, info, data)),
      'error:VERIFY_HPKE',
    );
  }
  for (const [i, c] of file.aes256GcmSiv.entries()) {
    const [key, nonce, data] = [bytes(c.key), bytes(c.nonce), bytes(c.associatedData)];
    yield compare(
      `gcm-siv ${i}: sealed`,
      toHex(aes256GcmSivSeal(key, nonce, bytes(c.plaintext), data)),
      c.sealed,
    );
    const opened = aes256GcmSivOpen(key, nonce, bytes(c.sealed), data);
    yield compare(
      `gcm-siv ${i}: opened`,
      opened === undefined ? 'refused' : toHex(opened),
      c.plaintext,
    );
  }
}
