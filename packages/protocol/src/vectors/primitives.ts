/** Test vectors as a product. Operations of chapters 01, 02, 03. */
import { createFingerprint, compareScannable } from '../fingerprint.js';
import { verifyAlternateIdentity } from '../identity.js';
import {
  decodeKemPreKeyRecord,
  decodePreKeyRecord,
  decodeSignedPreKeyRecord,
  verifyBundle,
} from '../prekeys.js';
import { decodeIdentityKeyPair } from '../identity.js';
import {
  decodeFixedServiceId,
  decodeServiceId,
  encodeFixedServiceId,
  encodeServiceId,
  parseServiceId,
  serviceIdText,
  type ServiceId,
} from '../service-id.js';
import { toKemCiphertext, toPublicKey } from '../types.js';
import { hex, hexOrNull, type VectorOperation } from './operation.js';

const at = (chapter: string, family: string) => ({ chapter, family }) as const;

const P = at('01', 'primitives');
const I = at('02', 'identity');
const K = at('03', 'prekeys');

function serviceIdFields(id: ServiceId) {
  return {
    kind: id.kind,
    text: serviceIdText(id),
    binary: hex(encodeServiceId(id)),
    fixedWidth: hex(encodeFixedServiceId(id)),
  };
}

/** Chapters 01 to 03. */
export const PRIMITIVES: readonly VectorOperation[] = [
  {
    ...P,
    name: 'x25519',
    about: 'Agreement. Bit 255 of the peer is ignored; an all-zero result is VERIFY_KEY_AGREEMENT.',
    source: '01 §1',
    input: { secret: 'hex:32', public: 'hex' },
    output: { shared: 'hex:32' },
    run: (input, crypto) => ({
      output: { shared: hex(crypto.x25519(input.privateKey('secret'), input.publicKey('public'))) },
    }),
  },
  {
    ...P,
    name: 'x25519-public',
    about: 'Public key of a private key, which is clamped first.',
    source: '01 §1',
    input: { secret: 'hex' },
    output: { clamped: 'hex:32', public: 'hex:33' },
    run: (input, crypto) => {
      const secret = input.privateKey('secret');
      return { output: { clamped: hex(secret), public: hex(crypto.x25519PublicKey(secret)) } };
    },
  },
  {
    ...P,
    name: 'parse-public-key',
    about: 'Type byte 05 and 32 bytes; what follows is dropped. No point is checked.',
    source: '01 §1',
    input: { bytes: 'hex' },
    output: { key: 'hex:33' },
    run: (input) => ({ output: { key: hex(toPublicKey(input.hex('bytes'))) } }),
  },
  {
    ...P,
    name: 'is-canonical',
    about: 'Whether a base key is reduced, on the curve and in the prime-order subgroup.',
    source: '01 §1',
    input: { public: 'hex' },
    output: { canonical: 'boolean' },
    run: (input, crypto) => ({
      output: { canonical: crypto.isCanonicalPublicKey(input.publicKey('public')) },
    }),
  },
  {
    ...P,
    name: 'xeddsa-sign',
    about: 'Signature with given randomness (64 bytes). The sign of the point is in the last bit.',
    source: '01 §2',
    input: { secret: 'hex:32', random: 'hex:64', message: 'hex' },
    output: { signature: 'hex:64', public: 'hex:33' },
    run: (input, crypto) => {
      const secret = input.privateKey('secret');
      const signature = crypto.xeddsaSign(secret, input.hex('random'), input.hex('message'));
      return {
        output: { signature: hex(signature), public: hex(crypto.x25519PublicKey(secret)) },
      };
    },
  },
  {
    ...P,
    name: 'xeddsa-verify',
    about: 'Yes or no; never an error.',
    source: '01 §2',
    input: { public: 'hex:33', message: 'hex', signature: 'hex' },
    output: { valid: 'boolean' },
    run: (input, crypto) => ({
      output: {
        valid: crypto.xeddsaVerify(
          input.publicKey('public'),
          input.hex('signature'),
          input.hex('message'),
        ),
      },
    }),
  },
  {
    ...P,
    name: 'hmac-sha256',
    about: 'RFC 2104 with SHA-256.',
    source: '01 §4',
    input: { key: 'hex', data: 'hex' },
    output: { mac: 'hex:32' },
    run: (input, crypto) => ({
      output: { mac: hex(crypto.hmacSha256(input.hex('key'), input.hex('data'))) },
    }),
  },
  {
    ...P,
    name: 'hkdf-sha256',
    about: 'RFC 5869; a null salt is 32 zero bytes.',
    source: '01 §4',
    input: { salt: 'hex?', ikm: 'hex', info: 'hex', length: 'u32' },
    output: { okm: 'hex' },
    run: (input, crypto) => ({
      output: {
        okm: hex(
          crypto.hkdfSha256(
            input.hexOr('salt'),
            input.hex('ikm'),
            input.hex('info'),
            input.integer('length'),
          ),
        ),
      },
    }),
  },
  {
    ...P,
    name: 'aes-cbc-encrypt',
    about: 'AES-256-CBC with PKCS#7.',
    source: '01 §4',
    input: { key: 'hex:32', iv: 'hex:16', plaintext: 'hex' },
    output: { ciphertext: 'hex' },
    run: (input, crypto) => ({
      output: {
        ciphertext: hex(
          crypto.aesCbcEncrypt(input.hex('key'), input.hex('iv'), input.hex('plaintext')),
        ),
      },
    }),
  },
  {
    ...P,
    name: 'aes-cbc-decrypt',
    about: 'Null for a bad length or padding.',
    source: '01 §4',
    input: { key: 'hex:32', iv: 'hex:16', ciphertext: 'hex' },
    output: { plaintext: 'hex?' },
    run: (input, crypto) => ({
      output: {
        plaintext: hexOrNull(
          crypto.aesCbcDecrypt(input.hex('key'), input.hex('iv'), input.hex('ciphertext')),
        ),
      },
    }),
  },
  {
    ...P,
    name: 'kyber1024-encapsulate',
    about: 'ML-KEM-1024 with hashed coin and hashed secret. Keys and ciphertexts carry type 08.',
    source: '01 §3',
    input: { public: 'hex', coin: 'hex:32' },
    output: { ciphertext: 'hex:1569', shared: 'hex:32' },
    run: (input, crypto) => {
      const made = crypto.kyber1024Encapsulate(input.kemPublicKey('public'), input.hex('coin'));
      return {
        output: { ciphertext: hex(made.ciphertext), shared: hex(made.sharedSecret) },
      };
    },
  },
  {
    ...P,
    name: 'kyber1024-decapsulate',
    about: 'A wrong ciphertext gives another secret, never an error.',
    source: '01 §3',
    input: { secret: 'hex', ciphertext: 'hex' },
    output: { shared: 'hex:32' },
    run: (input, crypto) => {
      const ciphertext = toKemCiphertext(input.hex('ciphertext'));
      const shared = crypto.kyber1024Decapsulate(input.kemSecretKey('secret'), ciphertext);
      return { output: { shared: hex(shared) } };
    },
  },
  {
    ...P,
    name: 'mlkem768-incremental',
    about: 'Key pair from a seed, both halves of an encapsulation, decapsulation.',
    source: '06, incremental ML-KEM-768',
    input: { seed: 'hex:64', m: 'hex:32' },
    output: { header: 'hex:64', ct1: 'hex:960', ct2: 'hex:128', shared: 'hex:32' },
    run: (input, crypto) => {
      const { header, ekVector, dk } = crypto.mlkem768KeyPair(input.hex('seed'));
      const first = crypto.mlkem768Encapsulate1(header, input.hex('m'));
      const ct2 = crypto.mlkem768Encapsulate2(ekVector, first.encapsState);
      const decapsulated = crypto.mlkem768Decapsulate(dk, first.ct1, ct2);
      return {
        output: {
          header: hex(header),
          ct1: hex(first.ct1),
          ct2: hex(ct2),
          shared: hex(decapsulated),
        },
        intermediate: {
          ekVector: hex(ekVector),
          dk: hex(dk),
          encapsState: hex(first.encapsState),
        },
      };
    },
  },
  {
    ...I,
    name: 'fingerprint',
    about: 'Safety number in both forms.',
    source: '02 §6',
    input: {
      version: 'u32',
      iterations: 'u32',
      localIdentifier: 'hex',
      localKey: 'hex:33',
      remoteIdentifier: 'hex',
      remoteKey: 'hex:33',
    },
    output: { digits: 'text', scannable: 'hex' },
    run: (input, crypto) => {
      const made = createFingerprint(
        crypto,
        { identifier: input.hex('localIdentifier'), identityKey: input.publicKey('localKey') },
        { identifier: input.hex('remoteIdentifier'), identityKey: input.publicKey('remoteKey') },
        input.integer('version'),
        input.integer('iterations'),
      );
      return { output: { digits: made.digits, scannable: hex(made.scannable) } };
    },
  },
  {
    ...I,
    name: 'compare-scannable',
    about: 'Whether a scanned fingerprint belongs to ours.',
    source: '02 §6',
    input: { ours: 'hex', theirs: 'hex' },
    output: { match: 'boolean' },
    run: (input) => ({
      output: { match: compareScannable(input.hex('ours'), input.hex('theirs')) },
    }),
  },
  {
    ...I,
    name: 'parse-service-id',
    about: 'Text form of a service id.',
    source: '02 §5',
    input: { text: 'text' },
    output: { kind: 'text', text: 'text', binary: 'hex', fixedWidth: 'hex:17' },
    run: (input) => ({ output: serviceIdFields(parseServiceId(input.text('text'))) }),
  },
  {
    ...I,
    name: 'decode-service-id',
    about: 'Binary form of variable width.',
    source: '02 §5',
    input: { bytes: 'hex' },
    output: { kind: 'text', text: 'text', binary: 'hex', fixedWidth: 'hex:17' },
    run: (input) => ({ output: serviceIdFields(decodeServiceId(input.hex('bytes'))) }),
  },
  {
    ...I,
    name: 'decode-fixed-service-id',
    about: 'Binary form of fixed width.',
    source: '02 §5',
    input: { bytes: 'hex' },
    output: { kind: 'text', text: 'text', binary: 'hex', fixedWidth: 'hex:17' },
    run: (input) => ({ output: serviceIdFields(decodeFixedServiceId(input.hex('bytes'))) }),
  },
  {
    ...I,
    name: 'verify-alternate-identity',
    about: 'Whether one identity signed that another is its own as well.',
    source: '02 §4',
    input: { identity: 'hex:33', other: 'hex:33', signature: 'hex' },
    output: { valid: 'boolean' },
    run: (input, crypto) => ({
      output: {
        valid: verifyAlternateIdentity(
          crypto,
          input.publicKey('identity'),
          input.publicKey('other'),
          input.hex('signature'),
        ),
      },
    }),
  },
  {
    ...I,
    name: 'decode-identity-key-pair',
    about: 'Record of an identity key pair.',
    source: '02 §2',
    input: { record: 'hex' },
    output: { public: 'hex:33', secret: 'hex:32' },
    run: (input) => {
      const pair = decodeIdentityKeyPair(input.hex('record'));
      return { output: { public: hex(pair.public), secret: hex(pair.secret) } };
    },
  },
  {
    ...K,
    name: 'decode-prekey-record',
    about: 'Stored one-time prekey.',
    source: '03 §3',
    input: { record: 'hex' },
    output: { id: 'u32', public: 'hex:33', secret: 'hex:32' },
    run: (input) => {
      const { id, keyPair } = decodePreKeyRecord(input.hex('record'));
      return { output: { id, public: hex(keyPair.public), secret: hex(keyPair.secret) } };
    },
  },
  {
    ...K,
    name: 'decode-signed-prekey-record',
    about: 'Stored signed prekey.',
    source: '03 §3',
    input: { record: 'hex' },
    output: {
      id: 'u32',
      public: 'hex:33',
      secret: 'hex:32',
      signature: 'hex',
      timestampMs: 'integer',
    },
    run: (input) => {
      const record = decodeSignedPreKeyRecord(input.hex('record'));
      return {
        output: {
          id: record.id,
          public: hex(record.keyPair.public),
          secret: hex(record.keyPair.secret),
          signature: hex(record.signature),
          timestampMs: record.timestampMs,
        },
      };
    },
  },
  {
    ...K,
    name: 'decode-kem-prekey-record',
    about: 'Stored KEM prekey.',
    source: '03 §3',
    input: { record: 'hex' },
    output: {
      id: 'u32',
      public: 'hex:1569',
      secret: 'hex:3169',
      signature: 'hex',
      timestampMs: 'integer',
    },
    run: (input) => {
      const record = decodeKemPreKeyRecord(input.hex('record'));
      return {
        output: {
          id: record.id,
          public: hex(record.keyPair.public),
          secret: hex(record.keyPair.secret),
          signature: hex(record.signature),
          timestampMs: record.timestampMs,
        },
      };
    },
  },
  {
    ...K,
    name: 'verify-bundle',
    about: 'Both signatures of a bundle, over the serialised keys with their type bytes.',
    source: '03 §5',
    input: {
      identityKey: 'hex:33',
      signedPreKey: 'hex',
      signedPreKeySignature: 'hex',
      kemPreKey: 'hex',
      kemPreKeySignature: 'hex',
    },
    output: { valid: 'boolean' },
    run: (input, crypto) => {
      verifyBundle(crypto, {
        registrationId: 1,
        deviceId: 1,
        identityKey: input.publicKey('identityKey'),
        signedPreKey: {
          id: 1,
          public: input.publicKey('signedPreKey'),
          signature: input.hex('signedPreKeySignature'),
        },
        kemPreKey: {
          id: 1,
          public: input.kemPublicKey('kemPreKey'),
          signature: input.hex('kemPreKeySignature'),
        },
      });
      return { output: { valid: true } };
    },
  },
];
