/**
 * Recorded conversations: their types, and a provider that draws what the recorded party drew.
 *
 * A record after a step holds the random choices of that step: the new ratchet key, the SPQR key pair or
 * encapsulation message. Feeding them back makes every step reproduce byte for byte. No `node:` here.
 */
import { concatBytes, copyBytes, samePublicBytes, type Bytes } from '#src/bytes.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { toKemCiphertext, toPrivateKey, toPublicKey, type KeyPair } from '#src/types.js';
import { ProtoReader } from '#src/wire/protobuf.js';
import { Damaged, decodeRecordStructure, type SessionStructure } from '#src/wire/records.js';
import { base64 } from './hex.js';

export interface RecordedParty {
  readonly name: string;
  readonly deviceId: number;
  readonly registrationId: number;
  readonly identityPrivate: string;
  readonly identityPublic: string;
  readonly preKeyRecords: readonly { id: number; record: string }[];
  readonly signedPreKeyRecords: readonly { id: number; record: string }[];
  readonly kyberPreKeyRecords: readonly { id: number; record: string }[];
}

export interface RecordedError {
  readonly code: number;
  readonly codeName: string;
  readonly message: string;
}

export interface RecordedStep {
  readonly op: 'setup' | 'encrypt' | 'decrypt';
  readonly by: string;
  readonly bundleOf?: string;
  readonly preKeyId?: number | null;
  readonly signedPreKeyId?: number;
  readonly kyberPreKeyId?: number;
  readonly nowMs?: number;
  readonly message?: number;
  readonly plaintext?: string;
  readonly type?: 2 | 3;
  readonly bytes?: string;
  readonly error?: RecordedError;
  readonly recordAfter?: string | null;
  readonly storeCalls?: readonly string[];
}

export interface Conversation {
  readonly parties: Readonly<Record<string, RecordedParty>>;
  readonly steps: readonly RecordedStep[];
}

/** Code of ours that stands for a recorded error. */
export function expectedCode(message: string): string {
  const table: readonly (readonly [RegExp, string])[] = [
    [/^message with old counter/, 'STATE_DUPLICATE_MESSAGE'],
    [/decryption failed$/, 'VERIFY_DECRYPTION'],
    [/X3DH no longer supported$/, 'VERIFY_DOWNGRADE'],
    [/incoming base key is invalid$/, 'VERIFY_BASE_KEY'],
    [/^invalid key agreement$/, 'VERIFY_KEY_AGREEMENT'],
    [/version was too old/, 'DECODE_VERSION_TOO_OLD'],
    [/version was unrecognized/, 'DECODE_VERSION_UNKNOWN'],
    [/were too short/, 'DECODE_MESSAGE_TOO_SHORT'],
    [/^protobuf encoding was invalid$/, 'DECODE_PROTOBUF'],
    [/^bad (KEM )?key type|^no key type/, 'DECODE_KEY_TYPE'],
    [/^bad (KEM )?(key|ciphertext) length/, 'DECODE_KEY_LENGTH'],
    [/Kyber pre key must be present|Both or neither kyber/, 'DECODE_PREKEY_MESSAGE'],
    [/failed to decode session record protobuf$/, 'DECODE_SESSION_RECORD'],
    [/not consistent with previously-established/, 'VERIFY_IDENTITY_MISMATCH'],
  ];
  for (const [pattern, code] of table) if (pattern.test(message)) return code;
  return `no code known for: ${message}`;
}

/** The identity key pair of a recorded party. */
export function identityOf(party: RecordedParty): KeyPair {
  return {
    public: toPublicKey(base64(party.identityPublic)),
    secret: toPrivateKey(base64(party.identityPrivate)),
  };
}

/** The current session of a recorded record. */
export function currentOf(record: Uint8Array): SessionStructure {
  const { current } = decodeRecordStructure(record);
  if (current === undefined) throw new Error('the recorded record has no current session');
  return current;
}

interface SpqrDraws {
  /** 2400 bytes, when the state holds a key pair. */
  readonly dk: Uint8Array | undefined;
  /** 2080 bytes, when the state holds an unfinished encapsulation. */
  readonly encapsState: Uint8Array | undefined;
}

/** What an SPQR state shows of the random choices behind it. */
function spqrDraws(state: Uint8Array): SpqrDraws {
  let dk: Uint8Array | undefined;
  let encapsState: Uint8Array | undefined;
  const outer = new ProtoReader(state);
  while (outer.next()) {
    if (outer.field !== 3) {
      outer.skip();
      continue;
    }
    const protocol = new ProtoReader(outer.bytes());
    while (protocol.next()) {
      const inner = new ProtoReader(protocol.bytes());
      while (inner.next()) {
        if (inner.field !== 1) {
          inner.skip();
          continue;
        }
        const core = new ProtoReader(inner.bytes());
        while (core.next()) {
          if (core.field === 1) {
            core.skip();
            continue;
          }
          const value = core.bytes();
          if (value.length === 2400) dk = copyBytes(value);
          if (value.length === 2080) encapsState = copyBytes(value);
        }
      }
    }
  }
  return { dk, encapsState };
}

/** `base`, but drawing what led to the recorded record `after`. */
export function replaying(base: CryptoProvider, after: Uint8Array): CryptoProvider {
  const session = currentOf(after);
  const { sender } = session;
  const draws = spqrDraws(session.spqr);
  return {
    ...base,
    x25519KeyPair: () => {
      if (sender === undefined || sender instanceof Damaged) throw new Error('no sender chain');
      const { public: key, secret } = sender.ratchetKey;
      return { public: key, secret: toPrivateKey(copyBytes(secret)) };
    },
    randomBytes: (length) => {
      // ML-KEM encapsulation message: the last 32 bytes of the encapsulation state.
      if (length === 32 && draws.encapsState !== undefined) {
        return copyBytes(draws.encapsState.subarray(2048));
      }
      return base.randomBytes(length);
    },
    mlkem768KeyPair: (seed) => {
      if (draws.dk === undefined) return base.mlkem768KeyPair(seed);
      // FIPS 203: dkPKE (1152), t (1152), rho (32), H(ek) (32), z (32).
      const dk = copyBytes(draws.dk);
      return {
        header: concatBytes(dk.subarray(2304, 2336), dk.subarray(2336, 2368)),
        ekVector: dk.slice(1152, 2304),
        dk,
      };
    },
  };
}

/** What the other side's private keys know about a handshake whose base key private half is gone. */
export interface TheirSecrets {
  readonly identity: KeyPair;
  readonly signedPreKey: KeyPair;
  readonly preKey: KeyPair | undefined;
  readonly kemSecret: Parameters<CryptoProvider['kyber1024Decapsulate']>[0];
}

/**
 * `base`, but repeating a recorded set-up: the base key's private half was thrown away, so its agreements
 * are computed from the other side; the KEM ciphertext is the recorded one.
 */
export function replayingSetup(
  base: CryptoProvider,
  after: Uint8Array,
  theirs: TheirSecrets,
): CryptoProvider {
  const session = currentOf(after);
  const baseKeyPublic = toPublicKey(copyBytes(session.baseKey));
  const placeholder = base.x25519KeyPair().secret;
  const ciphertext = toKemCiphertext(copyBytes(session.pendingKemPreKey?.ciphertext ?? EMPTY));
  const replay = replaying(base, after);
  let pairs = 0;
  return {
    ...replay,
    x25519KeyPair: () => {
      pairs += 1;
      return pairs === 1 ? { public: baseKeyPublic, secret: placeholder } : replay.x25519KeyPair();
    },
    x25519: (secret, key) => {
      if (secret !== placeholder) return base.x25519(secret, key);
      const known = [theirs.identity, theirs.signedPreKey, theirs.preKey].find(
        (pair) => pair !== undefined && samePublicBytes(pair.public, key),
      );
      if (known === undefined) throw new Error('agreement with an unknown key');
      return base.x25519(known.secret, baseKeyPublic);
    },
    kyber1024Encapsulate: () => ({
      ciphertext,
      sharedSecret: base.kyber1024Decapsulate(theirs.kemSecret, ciphertext),
    }),
  };
}

const EMPTY: Bytes = new Uint8Array(0);
