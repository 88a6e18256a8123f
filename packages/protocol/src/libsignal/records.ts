/** Façade. Stored records and bundles. What is serialised is what libsignal-client serialises. */
import { copyBytes, samePublicBytes, type Bytes } from '../bytes.js';
import {
  archiveCurrentSession,
  decodeSessionRecord,
  encodeSessionRecord,
  isUsable,
  type SessionRecord as CoreSession,
} from '../session-record.js';
import {
  decodeSenderKeyRecord,
  encodeSenderKeyRecord,
  type SenderKeyRecord as CoreSenderKeys,
} from '../sender-keys.js';
import type { PreKeyBundle as CoreBundle } from '../prekeys.js';
import { ProtoReader, ProtoWriter } from '../wire/protobuf.js';
import { Damaged } from '../wire/records.js';
import { byteArray, generic, timestamp, translate, u32 } from './errors.js';
import { KEMKeyPair, KEMPublicKey, KEMSecretKey, PrivateKey, PublicKey } from './keys.js';

/** Fields of the three prekey records. Keys are parsed when asked for, as there. */
interface Fields {
  readonly id: number;
  readonly publicKey: Bytes;
  readonly secretKey: Bytes;
  readonly signature: Bytes;
  readonly timestampMs: number;
}

const EMPTY: Bytes = new Uint8Array(0);

function readFields(bytes: Uint8Array): Fields {
  let id = 0;
  let publicKey: Uint8Array = EMPTY;
  let secretKey: Uint8Array = EMPTY;
  let signature: Uint8Array = EMPTY;
  let timestampMs = 0;
  const reader = new ProtoReader(byteArray(bytes));
  while (reader.next()) {
    if (reader.field === 1) id = reader.uint32();
    else if (reader.field === 2) publicKey = reader.bytes();
    else if (reader.field === 3) secretKey = reader.bytes();
    else if (reader.field === 4) signature = reader.bytes();
    else if (reader.field === 5) timestampMs = reader.fixed64Nearest();
    else reader.skip();
  }
  return {
    id,
    publicKey: copyBytes(publicKey),
    secretKey: copyBytes(secretKey),
    signature: copyBytes(signature),
    timestampMs,
  };
}

function writeFields(fields: Fields): Bytes {
  const writer = new ProtoWriter(fields.secretKey.length + fields.publicKey.length + 100);
  if (fields.id !== 0) writer.uint32(1, fields.id);
  if (fields.publicKey.length !== 0) writer.bytes(2, fields.publicKey);
  if (fields.secretKey.length !== 0) writer.bytes(3, fields.secretKey);
  if (fields.signature.length !== 0) writer.bytes(4, fields.signature);
  if (fields.timestampMs !== 0) writer.fixed64(5, fields.timestampMs);
  return writer.finish();
}

/** A one-time prekey with its private half. */
export class PreKeyRecord {
  readonly #fields: Fields;

  private constructor(fields: Fields) {
    this.#fields = fields;
  }

  static new(id: number, pubKey: PublicKey, privKey: PrivateKey): PreKeyRecord {
    return new PreKeyRecord({
      id: u32(id),
      publicKey: pubKey.serialize(),
      secretKey: privKey.serialize(),
      signature: EMPTY,
      timestampMs: 0,
    });
  }

  static deserialize(bytes: Uint8Array): PreKeyRecord {
    return translate('PreKeyRecord_Deserialize', () => {
      return new PreKeyRecord({ ...readFields(bytes), signature: EMPTY, timestampMs: 0 });
    });
  }

  id(): number {
    return this.#fields.id;
  }

  privateKey(): PrivateKey {
    return PrivateKey.deserialize(this.#fields.secretKey);
  }

  publicKey(): PublicKey {
    return PublicKey.deserialize(this.#fields.publicKey);
  }

  serialize(): Bytes {
    return writeFields(this.#fields);
  }
}

/** Public half of a signed prekey. */
export interface SignedPublicPreKey {
  id(): number;
  publicKey(): PublicKey;
  signature(): Bytes;
}

/** Public half of a signed KEM prekey. */
export interface SignedKyberPublicPreKey {
  id(): number;
  publicKey(): KEMPublicKey;
  signature(): Bytes;
}

/** A signed prekey with its private half. */
export class SignedPreKeyRecord implements SignedPublicPreKey {
  readonly #fields: Fields;

  private constructor(fields: Fields) {
    this.#fields = fields;
  }

  static new(
    id: number,
    timestampMs: number,
    pubKey: PublicKey,
    privKey: PrivateKey,
    signature: Uint8Array,
  ): SignedPreKeyRecord {
    return new SignedPreKeyRecord({
      id: u32(id),
      publicKey: pubKey.serialize(),
      secretKey: privKey.serialize(),
      signature: copyBytes(byteArray(signature)),
      timestampMs: timestamp(timestampMs),
    });
  }

  static deserialize(bytes: Uint8Array): SignedPreKeyRecord {
    return translate('SignedPreKeyRecord_Deserialize', () => {
      return new SignedPreKeyRecord(readFields(bytes));
    });
  }

  id(): number {
    return this.#fields.id;
  }

  privateKey(): PrivateKey {
    return PrivateKey.deserialize(this.#fields.secretKey);
  }

  publicKey(): PublicKey {
    return PublicKey.deserialize(this.#fields.publicKey);
  }

  signature(): Bytes {
    return copyBytes(this.#fields.signature);
  }

  timestamp(): number {
    return this.#fields.timestampMs;
  }

  serialize(): Bytes {
    return writeFields(this.#fields);
  }
}

/** A signed KEM prekey with its secret half. */
export class KyberPreKeyRecord implements SignedKyberPublicPreKey {
  readonly #fields: Fields;

  private constructor(fields: Fields) {
    this.#fields = fields;
  }

  static new(
    id: number,
    timestampMs: number,
    keyPair: KEMKeyPair,
    signature: Uint8Array,
  ): KyberPreKeyRecord {
    return new KyberPreKeyRecord({
      id: u32(id),
      publicKey: keyPair.getPublicKey().serialize(),
      secretKey: keyPair.getSecretKey().serialize(),
      signature: copyBytes(byteArray(signature)),
      timestampMs: timestamp(timestampMs),
    });
  }

  static deserialize(bytes: Uint8Array): KyberPreKeyRecord {
    return translate('KyberPreKeyRecord_Deserialize', () => {
      return new KyberPreKeyRecord(readFields(bytes));
    });
  }

  id(): number {
    return this.#fields.id;
  }

  keyPair(): KEMKeyPair {
    return KEMKeyPair._of(this.publicKey(), this.secretKey());
  }

  publicKey(): KEMPublicKey {
    return KEMPublicKey.deserialize(this.#fields.publicKey);
  }

  secretKey(): KEMSecretKey {
    return KEMSecretKey.deserialize(this.#fields.secretKey);
  }

  signature(): Bytes {
    return copyBytes(this.#fields.signature);
  }

  timestamp(): number {
    return this.#fields.timestampMs;
  }

  serialize(): Bytes {
    return writeFields(this.#fields);
  }
}

/** The public prekeys one handshake needs. */
export class PreKeyBundle {
  /** Ours; not for users. */
  readonly _core: CoreBundle;

  private constructor(core: CoreBundle) {
    this._core = core;
  }

  static new(
    registrationId: number,
    deviceId: number,
    prekeyId: number | null,
    prekey: PublicKey | null,
    signedPrekeyId: number,
    signedPrekey: PublicKey,
    signedPrekeySignature: Uint8Array,
    identityKey: PublicKey,
    kyberPrekeyId: number,
    kyberPrekey: KEMPublicKey,
    kyberPrekeySignature: Uint8Array,
  ): PreKeyBundle {
    if ((prekeyId === null) !== (prekey === null)) {
      throw generic(
        'invalid argument: Must supply both or neither of prekey and prekey_id',
        'PreKeyBundle_New',
      );
    }
    u32(registrationId);
    u32(signedPrekeyId);
    u32(kyberPrekeyId);
    if (!Number.isInteger(deviceId) || deviceId < 1 || deviceId > 127) {
      throw generic('invalid argument: device ID is out of range', 'PreKeyBundle_New');
    }
    return new PreKeyBundle({
      registrationId,
      deviceId,
      ...(prekeyId === null || prekey === null
        ? {}
        : { preKey: { id: u32(prekeyId), public: prekey._core } }),
      signedPreKey: {
        id: signedPrekeyId,
        public: signedPrekey._core,
        signature: copyBytes(byteArray(signedPrekeySignature)),
      },
      kemPreKey: {
        id: kyberPrekeyId,
        public: kyberPrekey._core,
        signature: copyBytes(byteArray(kyberPrekeySignature)),
      },
      identityKey: identityKey._core,
    });
  }

  deviceId(): number {
    return this._core.deviceId;
  }

  identityKey(): PublicKey {
    return PublicKey._of(this._core.identityKey);
  }

  preKeyId(): number | null {
    return this._core.preKey?.id ?? null;
  }

  preKeyPublic(): PublicKey | null {
    return this._core.preKey ? PublicKey._of(this._core.preKey.public) : null;
  }

  registrationId(): number {
    return this._core.registrationId;
  }

  signedPreKeyId(): number {
    return this._core.signedPreKey.id;
  }

  signedPreKeyPublic(): PublicKey {
    return PublicKey._of(this._core.signedPreKey.public);
  }

  signedPreKeySignature(): Bytes {
    return copyBytes(this._core.signedPreKey.signature);
  }

  kyberPreKeyId(): number {
    return this._core.kemPreKey.id;
  }

  kyberPreKeyPublic(): KEMPublicKey {
    return KEMPublicKey._of(this._core.kemPreKey.public);
  }

  kyberPreKeySignature(): Bytes {
    return copyBytes(this._core.kemPreKey.signature);
  }
}

/** All session states with one address. */
export class SessionRecord {
  /** Ours, replaced as a whole; not for users. */
  _core: CoreSession;

  private constructor(core: CoreSession) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: CoreSession): SessionRecord {
    return new SessionRecord(core);
  }

  static deserialize(bytes: Uint8Array): SessionRecord {
    return translate('SessionRecord_Deserialize', () => {
      return new SessionRecord(decodeSessionRecord(byteArray(bytes)));
    });
  }

  serialize(): Bytes {
    return encodeSessionRecord(this._core);
  }

  /** Stop sending on the current session; without one, nothing happens. */
  archiveCurrentState(): void {
    this._core = archiveCurrentSession(this._core).state;
  }

  localRegistrationId(): number {
    return this.#current('local').localRegistrationId;
  }

  remoteRegistrationId(): number {
    return this.#current('remote').remoteRegistrationId;
  }

  /** Whether the current session can send at `now`. */
  hasCurrentState(now: Date = new Date()): boolean {
    return isUsable(this._core, now.getTime());
  }

  /** Whether `key` is our own sending ratchet key of the current session. */
  currentRatchetKeyMatches(key: PublicKey): boolean {
    const sender = this._core.current?.sender;
    if (sender === undefined || sender instanceof Damaged) return false;
    return samePublicBytes(sender.ratchetKey.public, key._core);
  }

  #current(side: 'local' | 'remote'): NonNullable<CoreSession['current']> {
    const { current } = this._core;
    if (current === undefined) {
      const operation = `SessionRecord_Get${side === 'local' ? 'Local' : 'Remote'}RegistrationId`;
      throw generic(`session not found: ${side}_registration_id`, operation);
    }
    return current;
  }
}

/** All sender-key states for one (sender, distribution id). */
export class SenderKeyRecord {
  /** Ours; not for users. */
  readonly _core: CoreSenderKeys;

  private constructor(core: CoreSenderKeys) {
    this._core = core;
  }

  /** For the façade's own files. */
  static _of(core: CoreSenderKeys): SenderKeyRecord {
    return new SenderKeyRecord(core);
  }

  static deserialize(bytes: Uint8Array): SenderKeyRecord {
    return translate('SenderKeyRecord_Deserialize', () => {
      return new SenderKeyRecord(decodeSenderKeyRecord(byteArray(bytes)));
    });
  }

  serialize(): Bytes {
    return encodeSenderKeyRecord(this._core);
  }
}
