/** The sessions of a person without an SDK: libsignal-client's, or none at all. */
import * as lib from '@signalapp/libsignal-client';
import { Identities } from '../libsignal.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** What was encrypted, and the session to store before it leaves. */
export interface Encrypted {
  readonly type: 2 | 3;
  readonly message: Bytes;
  readonly record: Uint8Array | undefined;
}

/** Encryption of one conversation. */
export interface Sessions {
  publish(): Promise<Readonly<Record<string, Bytes>> | undefined>;
  meet(name: string, bundle: Readonly<Record<string, Bytes>> | undefined): Promise<void>;
  encrypt(text: Uint8Array): Promise<Encrypted>;
  decrypt(
    type: number,
    message: Bytes,
  ): Promise<{ readonly plain: Uint8Array; readonly record: Uint8Array | undefined }>;
}

/** No encryption: what the relay, the socket and the disk cost alone. */
export const plainSessions: Sessions = {
  publish: async () => undefined,
  meet: async () => undefined,
  encrypt: async (text) => ({ type: 2, message: new Uint8Array(text), record: undefined }),
  decrypt: async (_, message) => ({ plain: message, record: undefined }),
};

/** One session, whose newest record the caller stores. */
class OneSession extends lib.SessionStore {
  record: Bytes | undefined;
  async saveSession(_: lib.ProtocolAddress, record: lib.SessionRecord): Promise<void> {
    this.record = record.serialize();
  }
  async getSession(): Promise<lib.SessionRecord | null> {
    return this.record ? lib.SessionRecord.deserialize(this.record) : null;
  }
  async getExistingSessions(): Promise<lib.SessionRecord[]> {
    throw new Error('not used here');
  }
}

/** The keys of one device, of which each exists once. */
class OneTime extends lib.PreKeyStore {
  readonly key: lib.PrivateKey = lib.PrivateKey.generate();
  async savePreKey(): Promise<void> {}
  async getPreKey(id: number): Promise<lib.PreKeyRecord> {
    return lib.PreKeyRecord.new(id, this.key.getPublicKey(), this.key);
  }
  async removePreKey(): Promise<void> {}
}

class Signed extends lib.SignedPreKeyStore {
  readonly key: lib.PrivateKey = lib.PrivateKey.generate();
  readonly signature: Bytes;
  constructor(by: lib.PrivateKey) {
    super();
    this.signature = by.sign(this.key.getPublicKey().serialize());
  }
  async saveSignedPreKey(): Promise<void> {}
  async getSignedPreKey(id: number): Promise<lib.SignedPreKeyRecord> {
    const { key, signature } = this;
    return lib.SignedPreKeyRecord.new(id, 1, key.getPublicKey(), key, signature);
  }
}

class Kem extends lib.KyberPreKeyStore {
  readonly pair: lib.KEMKeyPair = lib.KEMKeyPair.generate();
  readonly signature: Bytes;
  constructor(by: lib.PrivateKey) {
    super();
    this.signature = by.sign(this.pair.getPublicKey().serialize());
  }
  async saveKyberPreKey(): Promise<void> {}
  async getKyberPreKey(id: number): Promise<lib.KyberPreKeyRecord> {
    return lib.KyberPreKeyRecord.new(id, 1, this.pair, this.signature);
  }
  async markKyberPreKeyUsed(): Promise<void> {}
}

/** libsignal-client 0.103.0, through its public names. */
export class LibsignalSessions implements Sessions {
  readonly #self: lib.ProtocolAddress;
  #remote!: lib.ProtocolAddress;
  readonly #session = new OneSession();
  readonly #identities = new Identities();
  readonly #oneTime = new OneTime();
  readonly #signed = new Signed(this.#identities.pair.privateKey);
  readonly #kem = new Kem(this.#identities.pair.privateKey);

  constructor(name: string) {
    this.#self = lib.ProtocolAddress.new(name, 1);
  }

  async publish(): Promise<Readonly<Record<string, Bytes>>> {
    return {
      identity: this.#identities.pair.publicKey.serialize(),
      oneTime: this.#oneTime.key.getPublicKey().serialize(),
      signed: this.#signed.key.getPublicKey().serialize(),
      signature: this.#signed.signature,
      kem: this.#kem.pair.getPublicKey().serialize(),
      kemSignature: this.#kem.signature,
    };
  }

  /** With a bundle: make the session. Without: the other side makes it with its first message. */
  async meet(name: string, bundle: Readonly<Record<string, Bytes>> | undefined): Promise<void> {
    this.#remote = lib.ProtocolAddress.new(name, 1);
    if (bundle === undefined) return;
    const { identity, oneTime, signed, signature, kem, kemSignature } = bundle;
    const parsed = lib.PreKeyBundle.new(
      1,
      1,
      1,
      lib.PublicKey.deserialize(oneTime!),
      1,
      lib.PublicKey.deserialize(signed!),
      signature!,
      lib.PublicKey.deserialize(identity!),
      1,
      lib.KEMPublicKey.deserialize(kem!),
      kemSignature!,
    );
    await lib.processPreKeyBundle(
      parsed,
      this.#remote,
      this.#self,
      this.#session,
      this.#identities,
    );
  }

  async encrypt(text: Uint8Array): Promise<Encrypted> {
    const message = await lib.signalEncrypt(
      new Uint8Array(text),
      this.#remote,
      this.#self,
      this.#session,
      this.#identities,
    );
    const type = message.type() === lib.CiphertextMessageType.Whisper ? 2 : 3;
    return { type, message: message.serialize(), record: this.#session.record };
  }

  async decrypt(type: number, message: Bytes): ReturnType<Sessions['decrypt']> {
    const plain =
      type === 2
        ? await lib.signalDecrypt(
            lib.SignalMessage.deserialize(message),
            this.#remote,
            this.#self,
            this.#session,
            this.#identities,
          )
        : await lib.signalDecryptPreKey(
            lib.PreKeySignalMessage.deserialize(message),
            this.#remote,
            this.#self,
            this.#session,
            this.#identities,
            this.#oneTime,
            this.#signed,
            this.#kem,
          );
    return { plain, record: this.#session.record };
  }
}
