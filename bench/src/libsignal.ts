/** libsignal-client, used as its users do: six stores in memory, awaited calls. */
import * as lib from '@signalapp/libsignal-client';
import { libsignalFormats } from './formats-libsignal.js';
import type { Keeping, Message, Pair, Side } from './side.js';

type Bytes = Uint8Array<ArrayBuffer>;

class Sessions extends lib.SessionStore {
  readonly #keeping: Keeping;
  readonly #records = new Map<string, Bytes>();
  readonly #objects = new Map<string, lib.SessionRecord>();
  constructor(keeping: Keeping) {
    super();
    this.#keeping = keeping;
  }
  async saveSession(name: lib.ProtocolAddress, record: lib.SessionRecord): Promise<void> {
    if (this.#keeping === 'held') this.#objects.set(name.toString(), record);
    else this.#records.set(name.toString(), record.serialize());
  }
  async getSession(name: lib.ProtocolAddress): Promise<lib.SessionRecord | null> {
    if (this.#keeping === 'held') return this.#objects.get(name.toString()) ?? null;
    const record = this.#records.get(name.toString());
    return record ? lib.SessionRecord.deserialize(record) : null;
  }
  async getExistingSessions(): Promise<lib.SessionRecord[]> {
    throw new Error('not used here');
  }
}

/** One's own key pair, and the first key seen of each name. */
export class Identities extends lib.IdentityKeyStore {
  readonly pair: lib.IdentityKeyPair = lib.IdentityKeyPair.generate();
  readonly #known = new Map<string, Bytes>();
  async getIdentityKey(): Promise<lib.PrivateKey> {
    return this.pair.privateKey;
  }
  override async getIdentityKeyPair(): Promise<lib.IdentityKeyPair> {
    return this.pair;
  }
  async getLocalRegistrationId(): Promise<number> {
    return 1;
  }
  async saveIdentity(name: lib.ProtocolAddress, key: lib.PublicKey): Promise<lib.IdentityChange> {
    this.#known.set(name.name(), key.serialize());
    return lib.IdentityChange.NewOrUnchanged;
  }
  async isTrustedIdentity(name: lib.ProtocolAddress, key: lib.PublicKey): Promise<boolean> {
    const known = this.#known.get(name.name());
    return known === undefined || Buffer.compare(known, key.serialize()) === 0;
  }
  async getIdentity(_?: lib.ProtocolAddress): Promise<lib.PublicKey | null> {
    return null;
  }
}

class PreKeys extends lib.PreKeyStore {
  readonly #records = new Map<number, Bytes>();
  async savePreKey(id: number, record: lib.PreKeyRecord): Promise<void> {
    this.#records.set(id, record.serialize());
  }
  async getPreKey(id: number): Promise<lib.PreKeyRecord> {
    return lib.PreKeyRecord.deserialize(present(this.#records.get(id)));
  }
  async removePreKey(id: number): Promise<void> {
    this.#records.delete(id);
  }
}

class SignedPreKeys extends lib.SignedPreKeyStore {
  readonly #records = new Map<number, Bytes>();
  async saveSignedPreKey(id: number, record: lib.SignedPreKeyRecord): Promise<void> {
    this.#records.set(id, record.serialize());
  }
  async getSignedPreKey(id: number): Promise<lib.SignedPreKeyRecord> {
    return lib.SignedPreKeyRecord.deserialize(present(this.#records.get(id)));
  }
}

class KemPreKeys extends lib.KyberPreKeyStore {
  readonly #records = new Map<number, Bytes>();
  async saveKyberPreKey(id: number, record: lib.KyberPreKeyRecord): Promise<void> {
    this.#records.set(id, record.serialize());
  }
  async getKyberPreKey(id: number): Promise<lib.KyberPreKeyRecord> {
    return lib.KyberPreKeyRecord.deserialize(present(this.#records.get(id)));
  }
  async markKyberPreKeyUsed(id: number): Promise<void> {
    this.#records.delete(id);
  }
}

function present(record: Bytes | undefined): Bytes {
  if (!record) throw new Error('no such record');
  return record;
}

class Device {
  readonly address: lib.ProtocolAddress;
  readonly sessions: Sessions;
  readonly identities = new Identities();
  readonly preKeys = new PreKeys();
  readonly signedPreKeys = new SignedPreKeys();
  readonly kemPreKeys = new KemPreKeys();

  constructor(name: string, keeping: Keeping) {
    this.address = lib.ProtocolAddress.new(name, 1);
    this.sessions = new Sessions(keeping);
  }

  async publish(): Promise<lib.PreKeyBundle> {
    const identity = this.identities.pair;
    const signed = lib.PrivateKey.generate();
    const signature = identity.privateKey.sign(signed.getPublicKey().serialize());
    const kem = lib.KEMKeyPair.generate();
    const kemSignature = identity.privateKey.sign(kem.getPublicKey().serialize());
    const once = lib.PrivateKey.generate();
    const now = Date.now();
    await this.signedPreKeys.saveSignedPreKey(
      1,
      lib.SignedPreKeyRecord.new(1, now, signed.getPublicKey(), signed, signature),
    );
    await this.kemPreKeys.saveKyberPreKey(1, lib.KyberPreKeyRecord.new(1, now, kem, kemSignature));
    await this.preKeys.savePreKey(1, lib.PreKeyRecord.new(1, once.getPublicKey(), once));
    return lib.PreKeyBundle.new(
      1,
      1,
      1,
      once.getPublicKey(),
      1,
      signed.getPublicKey(),
      signature,
      identity.publicKey,
      1,
      kem.getPublicKey(),
      kemSignature,
    );
  }

  async start(remote: Device, bundle: lib.PreKeyBundle): Promise<void> {
    await lib.processPreKeyBundle(
      bundle,
      remote.address,
      this.address,
      this.sessions,
      this.identities,
    );
  }

  async encrypt(remote: Device, text: Uint8Array): Promise<Message> {
    const message = await lib.signalEncrypt(
      text as Bytes,
      remote.address,
      this.address,
      this.sessions,
      this.identities,
    );
    return { type: message.type(), bytes: message.serialize() };
  }

  async decrypt(remote: Device, message: Message): Promise<Uint8Array> {
    const bytes = message.bytes as Bytes;
    if (message.type === lib.CiphertextMessageType.Whisper) {
      return await lib.signalDecrypt(
        lib.SignalMessage.deserialize(bytes),
        remote.address,
        this.address,
        this.sessions,
        this.identities,
      );
    }
    return await lib.signalDecryptPreKey(
      lib.PreKeySignalMessage.deserialize(bytes),
      remote.address,
      this.address,
      this.sessions,
      this.identities,
      this.preKeys,
      this.signedPreKeys,
      this.kemPreKeys,
    );
  }
}

const ALICE = '9d0652a3-dcc3-4d11-975f-74d61598733f';
const BOB = '796abedb-ca4e-4f18-8803-1fde5b921f9f';
const HELLO = new Uint8Array(64);

/** The black box. */
export const libsignal: Side = {
  name: 'libsignal-client 0.103.0',

  formats: () => libsignalFormats(),

  async makePrekeys() {
    await new Device(BOB, 'stored').publish();
  },

  async prepareSetUp(keeping) {
    const alice = new Device(ALICE, keeping);
    const bob = new Device(BOB, keeping);
    const bundle = await bob.publish();
    return async () => {
      await alice.start(bob, bundle);
      await bob.decrypt(alice, await alice.encrypt(bob, HELLO));
    };
  },

  async pair(keeping): Promise<Pair> {
    const devices = [new Device(ALICE, keeping), new Device(BOB, keeping)] as const;
    const [alice, bob] = devices;
    await alice.start(bob, await bob.publish());
    await bob.decrypt(alice, await alice.encrypt(bob, HELLO));
    await alice.decrypt(bob, await bob.encrypt(alice, HELLO));
    return {
      send: (from, text) => devices[from].encrypt(devices[1 - from] as Device, text),
      receive: (to, message) => devices[to].decrypt(devices[1 - to] as Device, message),
    };
  },
};
